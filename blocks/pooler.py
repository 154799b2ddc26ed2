"""Poolers: one vector for a sequence."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .activation import ACTIVATIONS, Activation
from .base import Context, Part
from .linear import Linear
from .registry import Size, register


@register("first_token_pooler")
class FirstTokenPooler(Part):
    """The first position, projected and activated. Paper: Devlin et al. 2018, arXiv:1810.04805.
    *Shape:* [B, L, D] -> [B, D].

    Args:
        hidden_size: D, width of the input and the output.
        activation: function after the projection.
    """

    output: ClassVar = "pooler_output"
    reads: ClassVar = frozenset({"last_hidden_state"})
    provides: ClassVar = frozenset({"pooler_output"})

    def __init__(self, *, hidden_size: Size, activation: Activation = "tanh") -> None:
        super().__init__()
        self.dense = Linear(hidden_size, hidden_size)
        self.activation = ACTIVATIONS[activation]

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        return self.activation(self.dense(hidden[:, 0]))
