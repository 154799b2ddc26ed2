"""The one linear function of the project, and the leaf module that holds its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .leaf import begin
from .registry import Block

#: Rows up to which a weight on the CPU is the left factor: then it is read as it lies instead of being repacked.
FEW_ROWS = 32


def linear(hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """hidden · weightᵀ + bias. *Shape:* [..., in], [out, in], [out] -> [..., out].

    Every projection of every block comes through here, so a faster kernel for a processor is one change.
    """
    if hidden.is_cpu and not torch.is_grad_enabled() and _few(hidden, weight):
        rows = hidden.reshape(-1, hidden.shape[-1])
        product = (weight @ rows.t()).t().contiguous()
        product = product if bias is None else product.add_(bias)
        return product.view(*hidden.shape[:-1], -1)
    return F.linear(hidden, weight, bias)


def _few(hidden: Tensor, weight: Tensor) -> bool:
    """Whether there are some rows, but so few that repacking a wide weight would take longer than using it."""
    if weight.shape[0] < weight.shape[1] or weight.dtype != torch.float32 or torch.compiler.is_compiling():
        return False
    rows = hidden.numel() // hidden.shape[-1]
    return 1 < rows <= FEW_ROWS and weight.is_contiguous() and not torch.is_autocast_enabled("cpu")


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
