"""Weights laid out for how they are read."""

from __future__ import annotations

import torch

from ..blocks import Linear
from ..blocks.native import LIBRARY
from .model import Model


@torch.no_grad()
def arrange(model: Model) -> None:
    """Lay each matrix of a model on the CPU row by row, as products of few rows read it; `generate` does so by itself.

    Only those that lie otherwise, as a checkpoint may have them, come into memory of their own. Values, shapes and ties
    stay.
    """
    if LIBRARY is None:
        return
    for module in model.modules():
        if isinstance(module, Linear) and module.weight.is_cpu and module.weight.stride(1) != 1:
            module.weight.data = module.weight.contiguous()
