"""Position-wise feed-forward network."""

from __future__ import annotations

from collections.abc import Callable

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

    Gated, the activation is of a third projection and scales the intermediate values: output(activation(gate(x)) *
    intermediate(x)). Paper: Shazeer 2020, arXiv:2002.05202.

    Args:
        hidden_size: D, width of the input and the output.
        intermediate_size: width between the projections.
        activation: function between the projections.
        gated: whether a third projection gates the intermediate values.
        bias: whether the projections have biases.
        dropout: probability of dropping an intermediate value in training.
        output_dropout: probability of dropping a value of the result in training, beside what the layer drops.
        chunk_size: positions computed at a time, 0 for all: the same numbers with a lower peak of memory.
        init_scale: factor on the initial weights of the second projection.
    """

    def __init__(
        self,
        *,
        hidden_size: Size,
        intermediate_size: Size,
        activation: Activation = "gelu",
        gated: bool = False,
        bias: bool = True,
        dropout: Probability = 0.0,
        output_dropout: Probability = 0.0,
        chunk_size: Count = 0,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.dropout = dropout
        self.output_dropout = output_dropout
        self.chunk_size = chunk_size
        self.gate = Linear(hidden_size, intermediate_size, bias=bias) if gated else None
        self.intermediate = Linear(hidden_size, intermediate_size, bias=bias)
        self.output = Linear(intermediate_size, hidden_size, bias=bias, init_scale=init_scale)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        result = in_chunks(self._transform, hidden, self.chunk_size)
        return F.dropout(result, self.output_dropout, self.training)

    def _transform(self, hidden: Tensor) -> Tensor:
        inner = self.intermediate(hidden)
        inner = self.activation(inner) if self.gate is None else self.activation(self.gate(hidden)) * inner
        return self.output(F.dropout(inner, self.dropout, self.training))


def in_chunks(transform: Callable[[Tensor], Tensor], hidden: Tensor, size: int) -> Tensor:
    """`transform` of `size` positions at a time, 0 for all. *Shape:* [..., L, D] -> [..., L, any]."""
    if size == 0:
        return transform(hidden)
    return torch.cat([transform(chunk) for chunk in hidden.split(size, dim=-2)], dim=-2)
