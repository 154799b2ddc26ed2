"""Products in 16 bits on processors that cannot multiply such numbers: in 32 bits, a piece of the weight at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from . import processor
from .operation import product_operation

#: Numbers of a weight that are widened at a time: they stay in the processor's cache until they are used.
PIECE = 2**19
#: Rows from which widening a weight that lies row by row pays; fewer are faster with torch's product.
ROWS = 4


def pays(hidden: Tensor, weight: Tensor) -> bool:
    """Whether the product of [..., in] with a weight of its type is faster widened."""
    if weight.dtype not in processor.SLOW or hidden.dtype != weight.dtype:
        return False
    return hidden.numel() >= hidden.shape[-1] * (1 if weight.stride(0) == 1 else ROWS)


def _product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """In float32, rounded once."""
    rows = hidden.reshape(-1, hidden.shape[-1]).float()
    result = rows.new_empty(rows.shape[0], weight.shape[0])
    step = max(1, PIECE // weight.shape[1 if weight.stride(1) == 1 else 0])
    if weight.stride(1) == 1:
        for first in range(0, weight.shape[0], step):
            torch.mm(rows, weight[first : first + step].float().t(), out=result[:, first : first + step])
    else:  # column by column
        result.zero_()
        for first in range(0, weight.shape[1], step):
            result.addmm_(rows[:, first : first + step], weight[:, first : first + step].t().float())
    result = result if bias is None else result.add_(bias)
    return result.to(hidden.dtype).view(*hidden.shape[:-1], -1)


product = product_operation("widened", _product)
