"""Float32 products of many rows by oneDNN, on processors on which it is faster than MKL, which torch takes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .operation import product_operation
from .processor import capabilities

#: Rows from which it is faster; and up to which, with a wide weight and without 512-bit vectors.
FROM, UP_TO = 33, 256


def gain() -> Literal["none", "wide", "all"]:
    """Where it is faster. MKL leaves half of an AMD processor with 512-bit vectors unused: oneDNN takes 0.37 to 0.48 of
    its time. Without, it takes 0.74 to 0.9 of it where a weight is wide and rows are few, for MKL packs the weight."""
    has = capabilities()
    operation = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # torch keeps it for its compiler
    if operation is None or not torch.backends.mkldnn.is_available() or "AMD" not in has.get("cpu_name", ""):
        return "none"
    return "all" if has.get("avx512_f") else "wide"


GAIN = gain()


def pays(hidden: Tensor, weight: Tensor) -> bool:
    """Whether it is faster for a product of [..., in] with a weight that lies row by row."""
    if GAIN == "none" or not hidden.dtype == weight.dtype == torch.float32 or weight.stride(1) != 1:
        return False
    outputs, inputs = weight.shape
    rows = hidden.numel() // max(1, inputs)
    return rows >= FROM and (GAIN == "all" or (outputs > inputs and rows <= UP_TO))


def _product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, "none", [], "")


product = product_operation("onednn", _product)
