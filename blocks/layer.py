"""A layer: named operations, each with a norm and a residual connection around it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from .base import Context, Norm, Sublayer
from .registry import Block, Factory, Probability, register


@register("layer")
class Layer(Block, nn.Module):
    """Operations in a row with residual connections. *Shape:* [B, L, D] -> [B, L, D].

    Each operation bears its own norm, so `attention` and `attention.norm` are one name in spec, checkpoint and hook.

    Args:
        sublayers: the operations, in order.
        norm: made once for each operation.
        residual: `post`, norm(x + f(x)), Vaswani et al. 2017; or `pre`, x + f(norm(x)), Radford et al. 2019.
        dropout: probability of dropping a value of f(x) in training.
    """

    kind: str | None = None  # of a stack that has several

    def __init__(
        self,
        *,
        sublayers: dict[str, Sublayer],
        norm: Factory[Norm],
        residual: Literal["pre", "post"] = "post",
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.dropout = dropout
        self._arrange = self._pre if residual == "pre" else self._post
        for name, operation in sublayers.items():
            operation.norm = norm()
            self.add_module(name, operation)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        for operation in self.children():
            if operation.requires is None or getattr(context, operation.requires) is not None:
                hidden = self._arrange(operation, hidden, context)
        return hidden

    def _post(self, operation: Sublayer, hidden: Tensor, context: Context) -> Tensor:
        return operation.norm(hidden + self._drop(operation(hidden, context)))

    def _pre(self, operation: Sublayer, hidden: Tensor, context: Context) -> Tensor:
        memory = context.memory
        if memory is not None and "mems" in operation.reads:
            context.memory = operation.norm(memory)  # what is attended to is normed alike, old or new
        hidden = hidden + self.change(operation, hidden, context)
        context.memory = memory
        return hidden

    def change(self, operation: Sublayer, hidden: Tensor, context: Context) -> Tensor:
        """What an operation that is normed first adds to the hidden states. *Shape:* [B, L, D] -> [B, L, D]."""
        return self._drop(operation(operation.norm(hidden), context))

    def _drop(self, hidden: Tensor) -> Tensor:
        return F.dropout(hidden, self.dropout, self.training)
