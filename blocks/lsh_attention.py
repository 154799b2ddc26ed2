"""Attention among positions that a random rotation puts into the same bucket."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import Context, Sublayer
from .chunks import key_mask, whole_chunks, with_neighbours
from .kernel import join_heads, split_heads
from .linear import Linear
from .registry import BlockError, Count, Divides, Probability, Size, register


@register("lsh_attention")
class LSHAttention(Sublayer):
    """Attention with locality-sensitive hashing: positions are sorted by the bucket their vector falls into, and each
    chunk of the sorted sequence sees itself and the chunks around it. Queries are keys too; keys are normed.
    Paper: Kitaev et al. 2020, arXiv:2001.04451. *Shape:* [B, L, D] -> [B, L, D].

    A position sees itself only if it sees nothing else. The chunks of all rounds form one ring. Rounds are joined by
    their share in the sum of all exponentials. What the attention mask hides has a bucket of its own. A text of at most
    one chunk is attended to as a whole, without hashing; a longer one must be whole chunks. `attentions` are
    [B, heads, rounds · chunks, chunk_length, keys], in sorted order.

    Args:
        hidden_size: D, width of the input and the output.
        num_heads: number of heads.
        head_size: width of a head; hidden_size / num_heads if absent.
        chunk_length: positions in a chunk.
        chunks_before: chunks before its own that a position sees.
        chunks_after: chunks after its own that a position sees.
        num_hashes: rounds of hashing.
        num_buckets: an even number, or even factors of it (fewer rotations); by the length of the text if absent, two
            for each of its chunks.
        max_length: the longest text; a computed number of buckets beyond twice its root (in chunks) is factored.
        hash_seed: of the rotations, which are then the same in all layers and passes; drawn anew if absent.
        causal: whether a position sees only itself and earlier ones.
        bias: whether the three projections have biases.
        dropout: probability of dropping an attention weight in training.
    """

    reads: ClassVar = frozenset({"attention_mask"})
    constraints: ClassVar = (Divides("hidden_size", "num_heads", "heads", unless="head_size"),)

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_heads: Size,
        head_size: Size | None = None,
        chunk_length: Size,
        chunks_before: Count = 1,
        chunks_after: Count = 0,
        num_hashes: Size = 1,
        num_buckets: int | list[int] | None = None,
        max_length: Size | None = None,
        hash_seed: Count | None = None,
        causal: bool = False,
        bias: bool = True,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        for constraint in self.constraints:
            constraint.check({"hidden_size": hidden_size, "num_heads": num_heads, "head_size": head_size})
        self.factors = num_buckets if num_buckets is None or isinstance(num_buckets, list) else [num_buckets]
        for factor in self.factors or ():
            if factor < 2 or factor % 2:
                raise BlockError(f"{factor} buckets are no pairs; their number is even", "num_buckets")
        self.num_heads = num_heads
        self.head_size = hidden_size // num_heads if head_size is None else head_size
        self.chunk_length = chunk_length
        self.chunks_before = chunks_before
        self.chunks_after = chunks_after
        self.num_hashes = num_hashes
        self.max_length = max_length
        self.hash_seed = hash_seed
        if hash_seed is not None:  # this imports the compiler, two seconds that only a model that hashes shall pay
            torch.compiler.assume_constant_result(seeded_normal)
        self.causal = causal
        self.dropout = dropout
        inner = num_heads * self.head_size
        self.query_key = Linear(hidden_size, inner, bias=bias)
        self.value = Linear(hidden_size, inner, bias=bias)
        self.output = Linear(inner, hidden_size, bias=bias)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        shared, value = (split_heads(p(hidden), self.num_heads) for p in (self.query_key, self.value))
        real = key_mask(context)
        if hidden.shape[1] <= self.chunk_length:
            attended = self._whole(shared, value, real, context)
        else:
            whole_chunks(hidden.shape[1], self.chunk_length)
            attended = self._hashed(shared, value, real, context)
        return self.output(join_heads(attended))

    def _whole(self, shared: Tensor, value: Tensor, real: Tensor | None, context: Context) -> Tensor:
        """[B, H, L, d] -> [B, H, L, d]."""
        places = torch.arange(shared.shape[2], device=shared.device)
        seen = None if real is None else real[:, None]
        attended, _, weights = self._attend(shared, normed(shared), value, places, places, seen)
        if context.output_attentions:
            context.collect("attentions", weights)
        return attended

    def _hashed(self, shared: Tensor, value: Tensor, real: Tensor | None, context: Context) -> Tensor:
        """[B, H, L, d] -> [B, H, L, d], by way of the sorted order of all rounds R."""
        batch, heads, length, _ = shared.shape
        rounds = (self.num_hashes, length)
        with torch.no_grad():
            order = self._buckets(shared, real, context).argsort(dim=-1, stable=True)  # [B, H, R, L]
            back = order.argsort(dim=-1)
            order = order.flatten(2)
            places = order.unflatten(2, (-1, self.chunk_length))
            seen = None
            if real is not None:
                seen = real[:, None].expand(batch, heads, length).gather(2, order).view_as(places)
                seen = self._around(seen)
        query, value = (
            x.gather(2, order[..., None].expand(-1, -1, -1, self.head_size)).unflatten(2, places.shape[2:])
            for x in (shared, value)
        )
        attended, total, weights = self._attend(
            query, self._around(normed(query)), self._around(value), places, self._around(places), seen
        )
        if context.output_attentions:
            context.collect("attentions", weights)
        attended, total = attended.flatten(2, 3).unflatten(2, rounds), total.flatten(2).unflatten(2, rounds)
        attended = attended.gather(3, back[..., None].expand_as(attended))
        if self.num_hashes == 1:
            return attended[:, :, 0]
        total = total.gather(3, back)
        # No softmax: near -1e5, where a position sees only itself, rounding would not be that of the published models.
        share = (total - total.logsumexp(dim=2, keepdim=True)).exp()
        return (attended * share[..., None]).sum(dim=2)

    def _around(self, chunks: Tensor) -> Tensor:
        return with_neighbours(chunks, self.chunks_before, self.chunks_after, dim=2)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor, seen: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attended values [..., C, d], the logarithm of each row's sum of exponentials [..., C], and weights.

        `rows` [..., C] and `columns` [..., K] are positions; `seen` [..., K] is false for keys that are hidden.
        """
        scores = query @ key.transpose(-1, -2)
        alone, never = (-1e3, -1e4) if scores.dtype == torch.float16 else (-1e5, -1e9)
        if seen is not None:
            scores = scores.masked_fill(~seen.unsqueeze(-2), never)
        rows, columns = rows.unsqueeze(-1), columns.unsqueeze(-2)
        if self.causal:
            scores = scores.masked_fill(rows < columns, never)
        scores = scores.masked_fill(rows == columns, alone)
        total = scores.logsumexp(dim=-1)
        weights = F.dropout((scores - total[..., None]).exp(), self.dropout, self.training)
        return weights @ value, total, weights

    def _buckets(self, vectors: Tensor, real: Tensor | None, context: Context) -> Tensor:
        """Of each position in each round, [B, H, R, L]."""
        factors = self._computed_factors(vectors.shape[2]) if self.factors is None else self.factors
        rotated = torch.einsum("bhld,hdrn->bhrln", vectors, self._rotations(vectors, sum(factors) // 2, context))
        buckets, stride = 0, 1
        for factor, part in zip(factors, rotated.split([factor // 2 for factor in factors], dim=-1), strict=True):
            buckets = buckets + stride * torch.cat([part, -part], dim=-1).argmax(dim=-1)
            stride *= factor
        return buckets if real is None else buckets.masked_fill(~real[:, None, None], stride)

    def _rotations(self, vectors: Tensor, directions: int, context: Context) -> Tensor:
        """[H, d, R, directions]."""
        shape = (self.num_heads, self.head_size, self.num_hashes, directions)
        if self.hash_seed is None or vectors.is_meta:
            return torch.randn(shape, device=vectors.device, dtype=vectors.dtype)
        memo = ("rotations", self.hash_seed, *shape)
        if memo not in context.memo:
            context.memo[memo] = seeded_normal(self.hash_seed, shape, vectors.device, vectors.dtype)
        return context.memo[memo]

    def _computed_factors(self, length: int) -> list[int]:
        """The power of two next below twice the number of chunks."""
        power = (2 * (length // self.chunk_length)).bit_length() - 1
        longest = self.max_length or length
        if 2**power > 2 * max(math.isqrt(longest // self.chunk_length), self.chunk_length):
            return [2 ** (power // 2), 2 ** (power - power // 2)]
        return [2**power]


def normed(vectors: Tensor) -> Tensor:
    """Vectors as keys: of root mean square 1, by the root of their width."""
    return vectors * torch.rsqrt(vectors.square().mean(dim=-1, keepdim=True) + 1e-6) / math.sqrt(vectors.shape[-1])


def seeded_normal(seed: int, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """What `torch.manual_seed(seed)` and `torch.randn` give, without touching the global generator."""
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=device, dtype=dtype)
