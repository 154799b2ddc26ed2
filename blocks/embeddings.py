"""Embeddings: tables looked up by the ids in the context, and their sum."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Context, Embedding, Norm, Part, positions
from .leaf import begin
from .linear import Linear
from .positions import check_pairs, sinusoids
from .registry import BlockError, Count, Probability, Size, register


class Table(Embedding):
    """Vectors by ids, of which there are so many. BlockError for an id beyond them."""

    ids: ClassVar[str] = "input_ids"  # the field of the context that holds the ids
    size: int  # ids are 0 to size - 1

    def forward(self, context: Context) -> Tensor | None:
        try:
            return self.vectors(context)
        except IndexError:
            ids = getattr(context, self.ids)
            if ids is None or not ids.numel() or 0 <= ids.min() <= ids.max() < self.size:
                raise
            raise self._beyond(ids, context.called(self.ids)) from None

    def vectors(self, context: Context) -> Tensor | None:
        """IndexError for an id beyond the table, where that can be told without waiting for a device."""

    def _beyond(self, ids: Tensor, name: str) -> BlockError:
        low, high = int(ids.min()), int(ids.max())
        return BlockError(
            f"{name} has {low if low < 0 else high}, but the model's table for it has rows 0 to {self.size - 1}", name,
            help="is the tokenizer another model's?" if name.endswith("input_ids") else None,
        )  # fmt: skip


class Lookup(Table):
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

    @property
    def size(self) -> int:
        return self.weight.shape[0]

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
        scale_given: whether it is a factor on the caller's vectors, too.
        dropout: probability of dropping a value of them in training, before anything is added.
    """

    reads: ClassVar = frozenset({"input_ids", "inputs_embeds"})

    def __init__(
        self,
        *,
        size: Size,
        width: Size,
        padding_id: Count | None = None,
        scale: float = 1.0,
        scale_given: bool = False,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(size, width, padding_id)
        self.scale = scale
        self.scale_given = scale_given
        self.dropout = dropout

    def vectors(self, context: Context) -> Tensor:
        return F.dropout(self._vectors(context), self.dropout, self.training)

    def _vectors(self, context: Context) -> Tensor:
        given = context.inputs_embeds
        if given is None and context.input_ids is None:
            raise BlockError("no token ids and no vectors in their place", "input_ids")
        rows = self.rows(context.input_ids) if given is None else given
        return rows if self.scale == 1.0 or (given is not None and not self.scale_given) else rows * self.scale


@register("position_lookup")
class PositionLookup(Lookup):
    """Vectors of positions. *Shape:* -> [B or 1, L, width].

    `position_ids` are rows of the table. Without them positions are counted from `offset` on, padding included; with a
    `padding_id` only real tokens are counted, and each padding token gets that row.

    Args:
        size: rows of the table, the longest sequence and the offset.
        width: width of the vectors.
        offset: row of the first position.
        padding_id: token that fills up short rows, where it is not to be counted.
        sinusoidal: whether the table starts as sinusoids, in turn, and is not trained.
        dropout: probability of dropping a value of the vectors in training, before anything is added.
    """

    reads: ClassVar = frozenset({"position_ids"})
    ids: ClassVar = "position_ids"

    def __init__(
        self,
        *,
        size: Size,
        width: Size,
        offset: Count = 0,
        padding_id: Count | None = None,
        sinusoidal: bool = False,
        dropout: Probability = 0.0,
    ) -> None:
        if sinusoidal:
            check_pairs(width)
        self.sinusoidal = sinusoidal
        super().__init__(size, width, padding_id)
        self.offset = offset
        self.longest = size - offset
        self.dropout = dropout
        self.weight.requires_grad_(not sinusoidal)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal rows of standard deviation `std`, or sinusoids."""
        super().reset_parameters(std)
        if self.sinusoidal:
            rows, width = self.weight.shape
            table = sinusoids(torch.arange(rows), width, layout="interleaved", dtype=self.weight.dtype)
            with torch.no_grad():
                self.weight.copy_(table)

    def vectors(self, context: Context) -> Tensor:
        return F.dropout(self._vectors(context), self.dropout, self.training)

    def _vectors(self, context: Context) -> Tensor:
        given = context.input_ids if context.inputs_embeds is None else context.inputs_embeds
        length, room = given.shape[1], self.size - self.offset
        if context.position_ids is None and not context.fixed and context.past_length + length > room:
            raise BlockError(
                f"a sequence of {context.past_length + length} tokens, but the model has {room} positions",
                "input_ids", help="truncate the text: tokenizer(…, truncation=True)",
            )  # fmt: skip
        if context.position_ids is not None:
            return self.rows(context.position_ids)
        if self.padding_id is None or context.inputs_embeds is not None:
            return self.rows(positions(context, length, given.device) + self.offset)
        real = context.input_ids != self.padding_id
        counted = real.cumsum(dim=-1) - 1 + context.past_length + self.offset
        return self.rows(torch.where(real, counted, self.padding_id))


@register("segment_lookup")
class SegmentLookup(Lookup):
    """Vectors of `token_type_ids`. *Shape:* -> [B or 1, L or 1, width].

    Args:
        size: number of segments.
        width: width of the vectors.
        optional: whether absent token_type_ids add nothing; otherwise they count as segment 0.
        scale: factor on the vectors.
        padding_id: segment whose row starts as zero and is not trained.
    """

    reads: ClassVar = frozenset({"token_type_ids"})
    ids: ClassVar = "token_type_ids"

    def __init__(
        self,
        *,
        size: Size,
        width: Size,
        optional: bool = False,
        scale: float = 1.0,
        padding_id: Count | None = None,
    ) -> None:
        super().__init__(size, width, padding_id)
        self.optional = optional
        self.scale = scale

    def vectors(self, context: Context) -> Tensor | None:
        if context.token_type_ids is None and self.optional:
            return None
        ids = context.token_type_ids
        rows = self.weight[:1] if ids is None else self.rows(ids)
        return rows if self.scale == 1.0 else rows * self.scale


@register("language_lookup")
class LanguageLookup(Lookup):
    """Vectors of `langs`, nothing where they are absent. Paper: Lample and Conneau 2019, arXiv:1901.07291.
    *Shape:* -> [B, L, width].

    Args:
        size: number of languages; one has nothing to be told from, so there is no table, and `langs` add nothing.
        width: width of the vectors.
    """

    reads: ClassVar = frozenset({"langs"})
    ids: ClassVar = "langs"

    def __init__(self, *, size: Size, width: Size) -> None:
        super().__init__(size, width)
        if size == 1:
            self.weight = None

    def vectors(self, context: Context) -> Tensor | None:
        return None if context.langs is None or self.weight is None else self.rows(context.langs)


@register("sum_embeddings")
class SumEmbeddings(Part):
    """The sum of several embeddings, normed. *Shape:* -> [B, L, width], or [B, L, output_size].

    Args:
        lookups: what is summed, in order; tokens first.
        norm: applied to the sum.
        dropout: probability of dropping a value of the normed sum in training.
        width: of the sum, where a projection follows.
        output_size: width of that projection, for a table that is narrower than the layers; none if absent.
    """

    def __init__(
        self,
        *,
        lookups: dict[str, Embedding],
        norm: Norm | None = None,
        dropout: Probability = 0.0,
        width: Size | None = None,
        output_size: Size | None = None,
    ) -> None:
        super().__init__()
        self._names = tuple(lookups)
        for name, lookup in lookups.items():
            self.add_module(name, lookup)
        self.norm = nn.Identity() if norm is None else norm
        self.dropout = dropout
        if output_size is not None and width is None:
            raise BlockError("a projection has to know the width of what it projects", "output_size")
        self.projection = nn.Identity() if output_size is None else Linear(width, output_size)

    def forward(self, hidden: Tensor | None, context: Context) -> Tensor:
        total, *rest = (vectors for name in self._names if (vectors := getattr(self, name)(context)) is not None)
        for vectors in rest:
            total = total + vectors.to(total.dtype)
        return self.projection(F.dropout(self.norm(total), self.dropout, self.training))
