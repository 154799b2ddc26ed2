"""Embeddings: tables looked up by the ids in the context, and their sum."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Context, Embedding, Norm, Part, positions
from .leaf import begin
from .registry import BlockError, Count, Probability, Size, register


class Lookup(Embedding):
    """A table of vectors, [size, width]."""

    leaf = "lookup"

    def __init__(self, size: Size, width: Size, padding_id: Count | None = None) -> None:
        super().__init__()
        if padding_id is not None and not 0 <= padding_id < size:
            raise BlockError(f"padding id {padding_id} is outside the table of {size} rows", "padding_id", "size")
        self.padding_id = padding_id
        self.weight = nn.Parameter(torch.empty(size, width))
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal rows of standard deviation `std`; the padding row is zero."""
        nn.init.normal_(self.weight, std=std)
        if self.padding_id is not None:
            with torch.no_grad():
                self.weight[self.padding_id].zero_()

    def rows(self, ids: Tensor) -> Tensor:
        """[...] -> [..., width]. The padding row gets no gradient."""
        return F.embedding(ids, self.weight, self.padding_id)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


@register("token_lookup")
class TokenLookup(Lookup):
    """Vectors of `input_ids`, or the caller's `inputs_embeds` in their place. *Shape:* -> [B, L, width].

    Args:
        size: number of tokens.
        width: width of the vectors.
        padding_id: token whose row starts as zero and is not trained.
        scale: factor on the vectors.
    """

    reads: ClassVar = frozenset({"input_ids", "inputs_embeds"})

    def __init__(self, *, size: Size, width: Size, padding_id: Count | None = None, scale: float = 1.0) -> None:
        super().__init__(size, width, padding_id)
        self.scale = scale

    def forward(self, context: Context) -> Tensor:
        if context.inputs_embeds is not None:
            return context.inputs_embeds
        rows = self.rows(context.input_ids)
        return rows if self.scale == 1.0 else rows * self.scale


@register("position_lookup")
class PositionLookup(Lookup):
    """Learned vectors of `position_ids`, which default to counting on. *Shape:* -> [B or 1, L, width].

    Args:
        size: number of positions, the longest sequence.
        width: width of the vectors.
    """

    reads: ClassVar = frozenset({"position_ids"})

    def __init__(self, *, size: Size, width: Size) -> None:
        super().__init__(size, width)

    def forward(self, context: Context) -> Tensor:
        given = context.input_ids if context.inputs_embeds is None else context.inputs_embeds
        end = context.past_length + given.shape[1]
        if context.position_ids is None and end > self.weight.shape[0]:
            raise BlockError(
                f"a sequence of {end} tokens, but the model has {self.weight.shape[0]} positions", "input_ids",
                help="truncate the text: tokenizer(…, truncation=True)",
            )  # fmt: skip
        return self.rows(positions(context, given.shape[1], given.device))


@register("segment_lookup")
class SegmentLookup(Lookup):
    """Vectors of `token_type_ids`. *Shape:* -> [B or 1, L or 1, width].

    Args:
        size: number of segments.
        width: width of the vectors.
        optional: whether absent token_type_ids add nothing; otherwise they count as segment 0.
    """

    reads: ClassVar = frozenset({"token_type_ids"})

    def __init__(self, *, size: Size, width: Size, optional: bool = False) -> None:
        super().__init__(size, width)
        self.optional = optional

    def forward(self, context: Context) -> Tensor | None:
        if context.token_type_ids is not None:
            return self.rows(context.token_type_ids)
        return None if self.optional else self.weight[:1]


@register("sum_embeddings")
class SumEmbeddings(Part):
    """The sum of several embeddings, normed. *Shape:* -> [B, L, width].

    Args:
        lookups: what is summed, in order; tokens first.
        norm: applied to the sum.
        dropout: probability of dropping a value of the result in training.
    """

    def __init__(self, *, lookups: dict[str, Embedding], norm: Norm | None = None, dropout: Probability = 0.0) -> None:
        super().__init__()
        self._names = tuple(lookups)
        for name, lookup in lookups.items():
            self.add_module(name, lookup)
        self.norm = nn.Identity() if norm is None else norm
        self.dropout = dropout

    def forward(self, hidden: Tensor | None, context: Context) -> Tensor:
        total, *rest = (vectors for name in self._names if (vectors := getattr(self, name)(context)) is not None)
        for vectors in rest:
            total = total + vectors
        return F.dropout(self.norm(total), self.dropout, self.training)
