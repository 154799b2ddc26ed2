"""Weights laid out for how they are read."""

from __future__ import annotations

import torch
from torch import nn

from ...assembler.model import Model


@torch.no_grad()
def arrange(model: Model, rows: int = 1) -> None:
    """Lay the matrices of a model on the CPU out for steps of `rows` texts at a time, in place.

    Values, shapes and ties stay; only the order in memory changes, so nothing has to be kept twice. One row reads a
    wide matrix fastest column by column, more rows read it row by row. The matrices come into memory of their own,
    if they were a view of the file. `state_dict()` holds views that are not contiguous afterwards; `model.save` does
    not mind.
    """
    for parameter in _matrices(model):
        by_columns = rows == 1 and parameter.shape[0] > parameter.shape[1]
        laid_out = parameter.t().contiguous().t() if by_columns else parameter.contiguous()
        if laid_out.stride() != parameter.stride():
            parameter.data = laid_out


def _matrices(model: Model) -> list[nn.Parameter]:
    """The weights of projections, each once. The table of words is one of them where the head is tied to it."""
    found = [m.weight for m in model.modules() if getattr(m, "leaf", None) == "linear" and m.weight.is_cpu]
    return list({id(parameter): parameter for parameter in found}.values())
