"""Position-wise feed-forward network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .activation import ACTIVATIONS, Activation
from .base import Context, Sublayer
from .linear import Linear
from .registry import Count, Probability, Size, register


@register("feed_forward")
class FeedForward(Sublayer):
    """Two projections with an activation between them. Paper: Vaswani et al. 2017, arXiv:1706.03762.
    *Shape:* [..., L, D] -> [..., L, D].

    Args:
        hidden_size: D, width of the input and the output.
        intermediate_size: width between the projections.
        activation: function between the projections.
        bias: whether the projections have biases.
        dropout: probability of dropping an intermediate value in training.
        chunk_size: positions computed at a time, 0 for all: the same numbers with a lower peak of memory.
        init_scale: factor on the initial weights of the second projection.
    """

    def __init__(
        self,
        *,
        hidden_size: Size,
        intermediate_size: Size,
        activation: Activation = "gelu",
        bias: bool = True,
        dropout: Probability = 0.0,
        chunk_size: Count = 0,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.dropout = dropout
        self.chunk_size = chunk_size
        self.intermediate = Linear(hidden_size, intermediate_size, bias=bias)
        self.output = Linear(intermediate_size, hidden_size, bias=bias, init_scale=init_scale)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        if self.chunk_size == 0:
            return self._transform(hidden)
        return torch.cat([self._transform(chunk) for chunk in hidden.split(self.chunk_size, dim=-2)], dim=-2)

    def _transform(self, hidden: Tensor) -> Tensor:
        inner = self.activation(self.intermediate(hidden))
        return self.output(F.dropout(inner, self.dropout, self.training))
