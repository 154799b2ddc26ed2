"""A block of one's own. `--plugin scale_norm` or `import scale_norm` makes it known to specs, as scale_norm.yaml."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import modelwright as mw


@mw.blocks.register("scale_norm")
class ScaleNorm(mw.blocks.Norm):
    """One learned length for every vector. Paper: Nguyen and Salazar 2019, arXiv:1910.05895.
    *Shape:* [..., D] -> [..., D].

    Args:
        width: D.
        eps: least length that is divided by.
    """

    leaf = "scale_norm"  # by this name a weight mapping can say how a format stores its parameters

    def __init__(self, *, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.width = width
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self, std: float = 0.02) -> None:
        """The square root of the width, whatever `std` is. Called again when the model gets its memory."""
        nn.init.constant_(self.weight, self.width**0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.weight * hidden / hidden.norm(dim=-1, keepdim=True).clamp(min=self.eps)
