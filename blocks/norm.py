"""Normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Norm
from .leaf import begin
from .registry import Epsilon, Size, register


@register("layer_norm")
class LayerNorm(Norm):
    """Layer normalisation. Paper: Ba et al. 2016, arXiv:1607.06450. *Shape:* [..., width] -> [..., width].

    Args:
        width: size of the last dimension.
        eps: added to the variance.
        bias: whether a bias is added.
    """

    leaf = "layer_norm"

    def __init__(self, *, width: Size, eps: Epsilon = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width)) if bias else None
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Weight one, bias zero; `std` has no part in it."""
        nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return F.layer_norm(hidden, self.weight.shape, self.weight, self.bias, self.eps)


@register("rms_norm")
class RMSNorm(Norm):
    """Root mean square normalisation, without mean and bias. Paper: Zhang and Sennrich 2019, arXiv:1910.07467.
    *Shape:* [..., width] -> [..., width].

    Args:
        width: size of the last dimension.
        eps: added to the mean square.
    """

    leaf = "rms_norm"

    def __init__(self, *, width: Size, eps: Epsilon = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Weight one; `std` has no part in it."""
        nn.init.ones_(self.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        return F.rms_norm(hidden, self.weight.shape, self.weight, self.eps)
