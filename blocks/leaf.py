"""How modules that hold parameters begin."""

from __future__ import annotations

from torch import nn


def begin(module: nn.Module) -> None:
    """Give a module its initial values, unless it is built on the meta device, to be filled later: there each draw
    would cost a millisecond and yield nothing."""
    if not any(parameter.is_meta for parameter in module._parameters.values() if parameter is not None):
        module.reset_parameters()
