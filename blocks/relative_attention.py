"""Attention that knows distances instead of positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import MultiHead
from .base import Context
from .kernel import attend, join_heads, split_heads
from .leaf import begin
from .linear import Linear
from .masks import self_attention_mask
from .positions import sinusoids
from .registry import Count, Probability, Size, register

#: Queries whose scores by distance are in memory at a time.
CHUNK = 128


@register("relative_attention")
class RelativeAttention(MultiHead):
    """Multi-head attention by content and by distance, over a memory and the segment itself.
    Paper: Dai et al. 2019, arXiv:1901.02860, section 3.3. *Shape:* [B, L, D] -> [B, L, D].

    A score is (query + content_bias) · key + (query + position_bias) · position(sinusoid of the distance).

    Args:
        hidden_size: D, width of the input and the output.
        num_heads: number of heads.
        head_size: width of a head; hidden_size / num_heads if absent.
        causal: whether a position sees only itself and earlier ones.
        bias: whether the projections have biases.
        dropout: probability of dropping an attention weight in training.
        position_dropout: probability of dropping a value of the sinusoids in training.
        clamp_length: distances beyond it, either way, count as it; no limit unless positive.
        window: positions seen, the own one included; all if absent.
        init_scale: factor on the initial weights of the output projection.
    """

    reads: ClassVar = frozenset({"mems", "attention_mask"})

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_heads: Size,
        head_size: Size | None = None,
        causal: bool = True,
        bias: bool = False,
        dropout: Probability = 0.0,
        position_dropout: Probability = 0.0,
        clamp_length: int = 0,
        window: Count | None = None,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__(
            hidden_size=hidden_size, num_heads=num_heads, head_size=head_size, bias=bias, dropout=dropout,
            init_scale=init_scale,
        )  # fmt: skip
        self.causal = causal
        self.one_sided = causal  # keys after a query are not even looked at
        self.clamp_length = clamp_length
        self.window = window
        self.position_dropout = position_dropout
        self.position = Linear(hidden_size, self.num_heads * self.head_size, bias=False)
        self.content_bias = nn.Parameter(torch.empty(num_heads, self.head_size))
        self.position_bias = nn.Parameter(torch.empty(num_heads, self.head_size))
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal values of standard deviation `std`."""
        for parameter in self._parameters.values():
            nn.init.normal_(parameter, std=std)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        seen = hidden if context.memory is None else torch.cat([context.memory, hidden], dim=1)
        keys = seen.shape[1]
        query = split_heads(self.query(hidden), self.num_heads)
        key, value = (split_heads(projection(seen), self.num_heads) for projection in (self.key, self.value))
        mask = self_attention_mask(context, hidden, keys, causal=self.causal, window=self.window)
        attended, weights = self.relate(
            query, key, value, self.distances(context, hidden, keys), mask, weights=context.output_attentions
        )
        if weights is not None:
            context.collect("attentions", weights)
        return self.output(join_heads(attended))

    def relate(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        distances: Tensor,
        mask: Tensor | None,
        *,
        more: Callable[[int, int], Tensor] | None = None,
        weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attention itself, `CHUNK` queries at a time, and the probabilities if `weights`.

        *Shape:* query [B, H, L, d], key and value [B, H, K, d] of which the last L are the queries' own, `distances` of
        the method of that name, boolean mask broadcastable to [B, H, L, K] -> [B, H, L, d] and [B, H, L, K].
        `more(start, stop)` are further scores [B, H, stop - start, K], to be scaled with the others.
        """
        length, keys = query.shape[-2], key.shape[-2]
        by_content = query + self.content_bias[:, None]
        by_position = query + self.position_bias[:, None]
        attended, probabilities = [], []
        for start in range(0, length, CHUNK):
            stop = min(start + CHUNK, length)
            end = keys - length + stop if self.one_sided else keys
            near = distances[..., length - stop : length - start + end, :]
            scores = shifted_scores(by_position[:, :, start:stop], near, end)
            if more is not None:
                scores = scores + more(start, stop)[..., :end]
            bias = scores * self.scale
            if mask is not None:
                rows = (mask if mask.shape[-2] == 1 else mask[..., start:stop, :])[..., :end]
                bias = bias + (~rows).to(bias.dtype) * (torch.finfo(bias.dtype).min / 2)  # half: sums stay finite
            result, chunk = attend(
                by_content[:, :, start:stop], key[:, :, :end], value[:, :, :end],
                mask=bias, scale=self.scale, dropout=self.active_dropout, weights=weights,
            )  # fmt: skip
            attended.append(result)
            if chunk is not None:
                probabilities.append(F.pad(chunk, (0, keys - end)))
        return torch.cat(attended, dim=-2), torch.cat(probabilities, dim=-2) if weights else None

    def distances(self, context: Context, hidden: Tensor, keys: int) -> Tensor:
        """Projected sinusoids of the distances K - 1, K - 2, …, of K keys. *Shape:* [H, more than K, head_size].

        They end with -L, or one-sided with 0 and zeros for what nobody looks at. Layers share the sinusoids, dropout
        included.
        """
        memo = ("distances", self.one_sided, self.clamp_length)
        length = hidden.shape[1]
        if memo not in context.memo:
            distance = torch.arange(keys - 1, -1 if self.one_sided else -length - 1, -1, device=hidden.device)
            if self.clamp_length > 0:
                distance = distance.clamp(-self.clamp_length, self.clamp_length)
            table = self.sinusoids(distance, hidden)
            context.memo[memo] = F.dropout(table, self.position_dropout, self.training)
        projected = split_heads(self.position(context.memo[memo]), self.num_heads)
        return F.pad(projected, (0, 0, 0, min(CHUNK, length))) if self.one_sided else projected

    def sinusoids(self, distance: Tensor, hidden: Tensor) -> Tensor:
        """Of distances [n], for states [B, L, D]. *Shape:* [n, D]."""
        return sinusoids(distance, hidden.shape[-1], layout="halves", dtype=hidden.dtype)


def shifted_scores(query: Tensor, distances: Tensor, keys: int) -> Tensor:
    """query · distance, moved so that column j of row i is the score of key j for query i.

    *Shape:* query [B, H, n, d]; distances [H, keys + n, d], the first that of key 0 as the *last* query counts it, each
    next one less; or [2, H, keys + n, d], for either half of the batch -> [B, H, n, keys].
    Row i needs the products from column n - 1 - i on. With rows one shorter than they are, that is a plain slice:
    no gather, no copy.
    """
    rows, width = query.shape[-2], distances.shape[-2]
    if distances.dim() == 3:
        products = query @ distances.transpose(-1, -2)
    else:
        products = (query.unflatten(0, (2, -1)) @ distances[:, None].transpose(-1, -2)).flatten(0, 1)
    flat = products.flatten(-2)[..., rows - 1 : rows - 1 + rows * (width - 1)]
    return flat.unflatten(-1, (rows, width - 1))[..., :keys]
