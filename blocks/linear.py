"""The one linear function of the project, and the leaf module that holds its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import few_rows, onednn, widened
from .leaf import begin
from .operation import only_values
from .registry import Block

#: Faster ways than torch's own, for what each says that it pays for.
WAYS = (few_rows, widened, onednn)


def linear(hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """hidden · weightᵀ + bias. *Shape:* [..., in], [out, in], [out] -> [..., out].

    Every projection of every block comes through here, so a faster kernel for a processor is one change.
    """
    if only_values(hidden, weight):
        for way in WAYS:
            if way.pays(hidden, weight):
                return way.product(hidden, weight, bias)
    return F.linear(hidden, weight, bias)


class Linear(Block, nn.Module):
    """A projection. *Shape:* [..., inputs] -> [..., outputs].

    Args:
        inputs: width of the input.
        outputs: width of the output.
        bias: whether a bias is added.
        init_scale: factor on the standard deviation of the initial weights.
    """

    leaf = "linear"

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, init_scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.init_scale = init_scale
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal weights of standard deviation `std` times `init_scale`, zero bias."""
        nn.init.normal_(self.weight, std=std * self.init_scale)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return linear(hidden, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"
