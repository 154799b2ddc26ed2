"""Products of a few rows by `few_rows.c`."""

from __future__ import annotations

import torch
from torch import Tensor

from . import native
from .operation import product_operation
from .processor import capabilities


def most_rows() -> int:
    """Up to which it is faster. More cost arithmetic, of which Intel's 512-bit vectors do twice as much in a product of
    torch's; AMD's do not."""
    has = capabilities()
    return 8 if has.get("avx512_f") and "AMD" not in has.get("cpu_name", "") else 32


MOST_ROWS = most_rows()


def pays(hidden: Tensor, weight: Tensor) -> bool:
    """Whether the product of [..., in] with a weight of its type is faster so: few rows, and a weight that lies row by
    row."""
    if hidden.dtype != weight.dtype or weight.stride(1) != 1 or hidden.shape[-1] != weight.shape[1]:
        return False
    return native.serves(weight.dtype) and 0 < hidden.numel() <= MOST_ROWS * hidden.shape[-1]


def _product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """In float32, rounded once."""
    outputs, inputs = weight.shape
    values = hidden.float().contiguous()
    added = None if bias is None else bias.to(weight.dtype).expand(outputs).contiguous()
    result = values.new_empty(*hidden.shape[:-1], outputs)
    native.LIBRARY.few_rows(
        values.data_ptr(), weight.data_ptr(), None if added is None else added.data_ptr(), result.data_ptr(),
        values.numel() // inputs, inputs, outputs, weight.stride(0), native.TYPES[weight.dtype],
        torch.get_num_threads(), native.THREADS,
    )  # fmt: skip
    return result.to(hidden.dtype)


product = product_operation("few_rows", _product)
