"""The one linear function of the project, and the leaf module that holds its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import onednn, widened
from .leaf import begin
from .panels import ROWS, Panels, only_values
from .registry import Block

#: Rows up to which a weight on the CPU is the left factor: then it is read as it lies instead of being repacked.
FEW_ROWS = 32


def linear(hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """hidden · weightᵀ + bias. *Shape:* [..., in], [out, in], [out] -> [..., out].

    Every projection of every block comes through here, so a faster kernel for a processor is one change.
    """
    if only_values(hidden) and not torch.compiler.is_compiling():
        if _few(hidden, weight):
            rows = hidden.reshape(-1, hidden.shape[-1])
            product = (weight @ rows.t()).t().contiguous()
            product = product if bias is None else product.add_(bias)
            return product.view(*hidden.shape[:-1], -1)
        if widened.pays(hidden, weight):
            return widened.product(hidden, weight, bias)
        if onednn.pays(hidden, weight):
            return onednn.product(hidden, weight, bias)
    return F.linear(hidden, weight, bias)


def _few(hidden: Tensor, weight: Tensor) -> bool:
    """Whether there are some rows, but so few that repacking a wide weight would take longer than using it."""
    if weight.shape[0] < weight.shape[1] or weight.dtype != torch.float32:
        return False
    return 1 < hidden.numel() // hidden.shape[-1] <= FEW_ROWS and weight.is_contiguous()


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
        self.panels: Panels | None = None  # a second copy of the weight, for steps of few rows
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal weights of standard deviation `std` times `init_scale`, zero bias."""
        nn.init.normal_(self.weight, std=std * self.init_scale)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        if self.panels is not None and self.panels.serve(hidden, self.weight):
            return self.panels.multiply(hidden, self.bias)
        return linear(hidden, self.weight, self.bias)

    @torch.no_grad()
    def arrange(self, rows: int) -> None:
        """Lay the weight out for products with so many rows on the CPU: in place for one row (a wide one column by
        column, in 32 bits) and for two or three, once more in panels for four to 32."""
        full = self.weight.dtype == torch.float32
        self.panels = Panels(self.weight) if rows in ROWS and full else None
        if rows < ROWS.start:
            by_columns = rows == 1 and full and self.weight.shape[0] > self.weight.shape[1]
            laid_out = self.weight.t().contiguous().t() if by_columns else self.weight.contiguous()
            if laid_out.stride() != self.weight.stride():
                self.weight.data = laid_out

    def drop_stale(self) -> None:
        """Forget panels of a weight that was written to since: compiled code could not tell."""
        if self.panels is not None and not self.panels.current(self.weight):
            self.panels = None

    def train(self, mode: bool = True) -> Linear:
        """Training writes to weights, so what was copied from them goes."""
        self.panels = None if mode else self.panels
        return super().train(mode)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"
