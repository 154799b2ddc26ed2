"""Attention that knows distances instead of positions."""

from __future__ import annotations

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
    """Causal multi-head attention by content and by distance, over a memory and the segment itself.
    Paper: Dai et al. 2019, arXiv:1901.02860, section 3.3. *Shape:* [B, L, D] -> [B, L, D].

    A score is (query + content_bias) · key + (query + position_bias) · position(sinusoid of the distance).

    Args:
        hidden_size: D, width of the input and the output.
        num_heads: number of heads.
        head_size: width of a head; hidden_size / num_heads if absent.
        bias: whether the projections have biases.
        dropout: probability of dropping an attention weight in training.
        position_dropout: probability of dropping a value of the sinusoids in training.
        clamp_length: distances beyond it count as it; no limit unless positive.
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
        self.clamp_length = clamp_length
        self.window = window
        self.position_dropout = position_dropout
        self.position = Linear(hidden_size, self.num_heads * self.head_size, bias=False)
        self.content_bias = nn.Parameter(torch.empty(num_heads, self.head_size))
        self.position_bias = nn.Parameter(torch.empty(num_heads, self.head_size))
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal biases of standard deviation `std`."""
        nn.init.normal_(self.content_bias, std=std)
        nn.init.normal_(self.position_bias, std=std)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        seen = hidden if context.memory is None else torch.cat([context.memory, hidden], dim=1)
        length, keys = hidden.shape[1], seen.shape[1]
        query = split_heads(self.query(hidden), self.num_heads)
        key, value = (split_heads(projection(seen), self.num_heads) for projection in (self.key, self.value))
        distance = split_heads(self.position(self._distances(context, hidden, keys)), self.num_heads)
        by_content = query + self.content_bias[:, None]
        by_position = query + self.position_bias[:, None]
        mask = self_attention_mask(context, hidden, keys, causal=True, window=self.window)

        attended, weights = [], []
        for start in range(0, length, CHUNK):
            stop = min(start + CHUNK, length)
            end = keys - length + stop  # what comes later is not visible to these queries
            scores = shifted_scores(by_position[:, :, start:stop], distance[:, length - stop :])
            rows = (mask if mask.shape[-2] == 1 else mask[..., start:stop, :])[..., :end]
            bias = (scores * self.scale).masked_fill(~rows, torch.finfo(scores.dtype).min)
            result, probabilities = attend(
                by_content[:, :, start:stop], key[:, :, :end], value[:, :, :end],
                mask=bias, scale=self.scale, dropout=self.active_dropout, weights=context.output_attentions,
            )  # fmt: skip
            attended.append(result)
            if probabilities is not None:
                weights.append(F.pad(probabilities, (0, keys - end)))
        if weights:
            context.collect("attentions", torch.cat(weights, dim=-2))
        return self.output(join_heads(torch.cat(attended, dim=-2)))

    def _distances(self, context: Context, hidden: Tensor, keys: int) -> Tensor:
        """Sinusoids of the distances keys - 1, …, 0. *Shape:* [keys, D]. Layers share them, dropout included."""
        memo = ("distances", self.clamp_length)
        if memo not in context.memo:
            distance = torch.arange(keys - 1, -1, -1, device=hidden.device)
            if self.clamp_length > 0:
                distance = distance.clamp(max=self.clamp_length)
            table = sinusoids(distance, hidden.shape[-1], layout="halves", dtype=hidden.dtype)
            context.memo[memo] = F.dropout(table, self.position_dropout, self.training)
        return context.memo[memo]


def shifted_scores(query: Tensor, distance: Tensor) -> Tensor:
    """query · distance, moved so that column j of row i is the score of key j for query i.

    *Shape:* query [B, H, n, d], distance [H, K, d] with rows for the distances K - 1 down to 0 as the *last* query
    counts them -> [B, H, n, K]. Columns of keys after their query hold other rows' numbers and must be masked.
    Row i needs the products from column n - 1 - i on. With rows one shorter than they are, that is a plain slice:
    no gather, no copy.
    """
    rows, columns = query.shape[-2], distance.shape[-2]
    products = query @ F.pad(distance, (0, 0, 0, rows)).transpose(-1, -2)
    width = columns + rows
    flat = products.flatten(-2)[..., rows - 1 : rows - 1 + rows * (width - 1)]
    return flat.unflatten(-1, (rows, width - 1))[..., :columns]
