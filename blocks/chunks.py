"""Attention in chunks: sequences filled up to whole chunks, and each chunk beside its neighbours."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import Context, Part
from .registry import BlockError, Count, Size, register


@register("chunk_padding")
class ChunkPadding(Part):
    """Padding behind the inputs up to whole chunks, hidden by the mask. Fills the context; `cut_padding` ends it.

    In training nothing is filled up, the length has to fit. A text no longer than the shortest chunk stays as it is:
    it is attended to as a whole.

    Args:
        lengths: length of a chunk, by kind of layer.
        kinds: the kinds of the layers; the length becomes a multiple of all their chunks.
        padding_id: token that fills up.
    """

    output: ClassVar = None
    reads: ClassVar = frozenset({"input_ids", "inputs_embeds", "attention_mask", "position_ids"})

    def __init__(self, *, lengths: dict[str, Size], kinds: list[str], padding_id: Count = 0) -> None:
        super().__init__()
        missing = [kind for kind in kinds if kind not in lengths]
        if missing:
            raise BlockError(
                f"no length of chunk for layers of kind `{missing[0]}`", "lengths", help=f"known: {', '.join(lengths)}"
            )
        used = [lengths[kind] for kind in kinds]
        self.multiple = math.lcm(*used)
        self.shortest = min(used, default=1)
        self.padding_id = padding_id

    def forward(self, hidden: Tensor | None, context: Context) -> None:
        given = context.input_ids if context.inputs_embeds is None else context.inputs_embeds
        length = given.shape[1]
        short = -length % self.multiple
        if short == 0 or length <= self.shortest:
            return
        if self.training:
            raise BlockError(
                f"{length} tokens are no whole number of chunks, which training needs", "input_ids",
                help=f"pad the text to {length + short} tokens, a multiple of {self.multiple}",
            )  # fmt: skip
        mask = key_mask(context)
        mask = given.new_ones(given.shape[:2], dtype=torch.bool) if mask is None else mask
        context.unpadded_length = length
        context.attention_mask = F.pad(mask, (0, short))
        if context.input_ids is not None:
            context.input_ids = F.pad(context.input_ids, (0, short), value=self.padding_id)
        if context.inputs_embeds is not None:
            context.inputs_embeds = F.pad(context.inputs_embeds, (0, 0, 0, short))
        if context.position_ids is not None:
            context.position_ids = F.pad(context.position_ids, (0, short))


@register("cut_padding")
class CutPadding(Part):
    """What `chunk_padding` added, taken away again. *Shape:* [B, padded L, D] -> [B, L, D]."""

    reads: ClassVar = frozenset({"last_hidden_state"})

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        length = context.unpadded_length
        if length is None:
            return hidden
        context.unpadded_length = None
        for name in ("input_ids", "inputs_embeds", "position_ids", "attention_mask"):
            if (value := getattr(context, name)) is not None:
                setattr(context, name, value[:, :length])
        return hidden[:, :length]


def key_mask(context: Context) -> Tensor | None:
    """The caller's mask [B, L], true where visible; BlockError if it has other dimensions, which chunks cannot heed."""
    mask = context.attention_mask
    if mask is not None and mask.dim() != 2:
        raise BlockError(
            f"attention_mask has {mask.dim()} dimensions; attention in chunks takes two, [batch, keys]",
            "attention_mask",
        )
    return None if mask is None else mask != 0


def whole_chunks(length: int, chunk_length: int) -> None:
    """BlockError unless a longer sequence is made of whole chunks."""
    if length % chunk_length:
        raise BlockError(
            f"{length} positions are no whole number of chunks of {chunk_length}", "input_ids",
            help="pad the text, or put `chunk_padding` before the embeddings and `cut_padding` after the stack",
        )  # fmt: skip


def with_neighbours(chunks: Tensor, before: int, after: int, dim: int) -> Tensor:
    """Each chunk with those before and after it, as on a ring: beside the first stands the last.

    *Shape:* [..., N, C, ...] with N at `dim` -> [..., N, (before + 1 + after) · C, ...].
    """
    if before == after == 0:
        return chunks
    return torch.cat([chunks.roll(-step, dim) for step in range(-before, after + 1)], dim=dim + 1)
