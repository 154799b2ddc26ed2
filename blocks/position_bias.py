"""Biases on attention scores by distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Bias
from .leaf import begin
from .registry import BlockError, Size, register


@register("bucketed_bias")
class BucketedBias(Bias):
    """A number for each head and bucket of distances: short ones have a bucket each, longer ones share buckets whose
    widths grow with the logarithm. Paper: Raffel et al. 2019, arXiv:1910.10683. *Shape:* -> [1, num_heads, L, keys].

    Args:
        num_heads: number of heads.
        num_buckets: number of buckets; half of them for each direction, unless causal.
        max_distance: all distances from it on share the last bucket.
        causal: whether only what comes before is told apart.
    """

    leaf = "lookup"

    def __init__(
        self, *, num_heads: Size, num_buckets: Size = 32, max_distance: Size = 128, causal: bool = False
    ) -> None:
        super().__init__()
        near = (num_buckets if causal else num_buckets // 2) // 2  # distances with a bucket of their own
        if near < 1 or max_distance <= near:
            raise BlockError(
                f"{num_buckets} buckets cannot tell distances below {max_distance} apart", "num_buckets", "max_distance"
            )
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.causal = causal
        self.weight = nn.Parameter(torch.empty(num_buckets, num_heads))
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal of standard deviation `std`."""
        nn.init.normal_(self.weight, std=std)

    def forward(self, length: int, keys: int, first: Tensor | None = None) -> Tensor:
        if first is not None:
            places = torch.arange(length, device=self.weight.device) + first
            offsets = torch.arange(keys, device=self.weight.device) - places[:, None]
            return F.embedding(self.buckets(offsets), self.weight).permute(2, 0, 1)[None]
        offsets = torch.arange(1 - keys, length, device=self.weight.device)  # of a key from a query
        values = F.embedding(self.buckets(offsets), self.weight).t().contiguous()
        # A row is the one below it, a key later: all are windows of one row, the last query's first.
        heads, width = values.shape
        return values.as_strided((heads, length, keys), (width, 1, 1)).flip(1)[None]

    def buckets(self, offset: Tensor) -> Tensor:
        """Bucket of each key position minus query position."""
        count, first = self.num_buckets, 0
        if self.causal:
            distance = (-offset).clamp(min=0)
        else:
            count //= 2
            first = (offset > 0) * count
            distance = offset.abs()
        near = count // 2
        steps = torch.log(distance.clamp(min=1).float() / near) / math.log(self.max_distance / near)
        far = (near + (steps * (count - near)).long()).clamp(max=count - 1)
        return first + torch.where(distance < near, distance, far)
