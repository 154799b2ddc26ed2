"""Attention within chunks of neighbouring positions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .attention import MultiHead
from .base import Context
from .chunks import key_mask, whole_chunks, with_neighbours
from .kernel import attend, join_heads, split_heads
from .registry import Count, Probability, Size, register


@register("local_attention")
class LocalAttention(MultiHead):
    """Multi-head attention of each chunk to itself and the chunks around it, in memory that grows with L, not its
    square. Paper: Kitaev et al. 2020, arXiv:2001.04451. *Shape:* [B, L, D] -> [B, L, D].

    The chunks form a ring, so the first sees the last one unless `causal` hides it. A text of at most one chunk is
    attended to as a whole; a longer one must be whole chunks. `attentions` are [B, heads, chunks, chunk_length, keys].

    Args:
        hidden_size: D, width of the input and the output.
        num_heads: number of heads.
        head_size: width of a head; hidden_size / num_heads if absent.
        chunk_length: positions in a chunk.
        chunks_before: chunks before its own that a position sees.
        chunks_after: chunks after its own that a position sees.
        causal: whether a position sees only itself and earlier ones.
        bias: whether the four projections have biases.
        dropout: probability of dropping an attention weight in training.
    """

    reads: ClassVar = frozenset({"attention_mask"})

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_heads: Size,
        head_size: Size | None = None,
        chunk_length: Size,
        chunks_before: Count = 1,
        chunks_after: Count = 0,
        causal: bool = False,
        bias: bool = True,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(hidden_size=hidden_size, num_heads=num_heads, head_size=head_size, bias=bias, dropout=dropout)
        self.chunk_length = chunk_length
        self.chunks_before = chunks_before
        self.chunks_after = chunks_after
        self.causal = causal

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        batch, length, _ = hidden.shape
        whole = length <= self.chunk_length
        if not whole:
            whole_chunks(length, self.chunk_length)
        size = length if whole else self.chunk_length
        query, key, value = (p(hidden).unflatten(1, (-1, size)) for p in (self.query, self.key, self.value))
        if not whole:
            key, value = self._around(key), self._around(value)
        # Chunks are rows of a batch of their own, for the fused kernels.
        query, key, value = (split_heads(x.flatten(0, 1), self.num_heads) for x in (query, key, value))
        attended, weights = attend(
            query, key, value, mask=self._mask(context, hidden, size), scale=self.scale, dropout=self.active_dropout,
            weights=context.output_attentions,
        )  # fmt: skip
        if weights is not None:
            context.collect("attentions", weights if whole else weights.unflatten(0, (batch, -1)).transpose(1, 2))
        return self.output(join_heads(attended).unflatten(0, (batch, -1)).flatten(1, 2))

    def _around(self, chunks: Tensor) -> Tensor:
        return with_neighbours(chunks, self.chunks_before, self.chunks_after, dim=1)

    def _mask(self, context: Context, hidden: Tensor, size: int) -> Tensor | None:
        """What each position of each chunk sees, [B · chunks, 1, chunk or 1, keys], or None for everything."""
        memo = ("local mask", size, self.chunks_before, self.chunks_after, self.causal)
        if memo not in context.memo:
            batch, length, _ = hidden.shape
            around = (lambda chunks: chunks) if length == size else self._around
            visible, rule = key_mask(context), None
            if visible is not None:
                visible = around(visible.unflatten(1, (-1, size))).unsqueeze(2)
            if self.causal:
                position = torch.arange(length, device=hidden.device).view(1, -1, size)
                rule = position.unsqueeze(3) >= around(position).unsqueeze(2)
                visible = rule.expand(batch, -1, -1, -1) if visible is None else visible & rule
            context.memo[memo] = None if visible is None else visible.flatten(0, 1).unsqueeze(1)
        return context.memo[memo]
