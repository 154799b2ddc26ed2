"""Products of a few rows by `few_rows.c`, where that was built and the processor has its instructions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from . import widened
from .operation import product_operation
from .processor import capabilities

#: The types of a weight, as few_rows.c numbers them.
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


def kernel() -> Callable[..., None] | None:
    """`few_rows`, or None where there is none: torch's own products serve then."""
    built = find_spec(f"{__package__}._few_rows")
    if built is None or built.origin is None:
        return None
    try:
        library = ctypes.CDLL(built.origin)
    except OSError:  # built on another machine
        return None
    if not library.few_rows_ready():
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.few_rows.argtypes = [pointer] * 4 + [number] * 4 + [ctypes.c_int, number, pointer]
    library.few_rows.restype = None
    return library.few_rows


def threads_of_torch() -> int | None:
    """The address of the function that runs another in torch's own threads: a second set would be in their way."""
    try:
        libraries = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return ctypes.cast(libraries.GOMP_parallel, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None


def most_rows() -> int:
    """Up to which it is faster. More cost arithmetic, of which Intel's 512-bit vectors do twice as much in a product of
    torch's; AMD's do not."""
    has = capabilities()
    return 8 if has.get("avx512_f") and "AMD" not in has.get("cpu_name", "") else 32


# Not asked for again, and compiled code finds them as they are.
KERNEL = kernel()
THREADS = threads_of_torch()
MOST_ROWS = most_rows()


def pays(hidden: Tensor, weight: Tensor) -> bool:
    """Whether the product of [..., in] with a weight is faster so: few rows, a weight of their type that lies row by
    row, and, in 16 bits, a processor for which torch has no fast product."""
    if KERNEL is None or hidden.dtype != weight.dtype or weight.stride(1) != 1 or hidden.shape[-1] != weight.shape[1]:
        return False
    if weight.dtype != torch.float32 and weight.dtype not in widened.SLOW:
        return False
    if THREADS is None and torch.get_num_threads() > 1:
        return False
    return 0 < hidden.numel() <= MOST_ROWS * hidden.shape[-1]


def _product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """In float32, rounded once."""
    outputs, inputs = weight.shape
    values = hidden.float().contiguous()
    added = None if bias is None else bias.float().contiguous()
    result = values.new_empty(*hidden.shape[:-1], outputs)
    KERNEL(
        values.data_ptr(), weight.data_ptr(), None if added is None else added.data_ptr(), result.data_ptr(),
        values.numel() // inputs, inputs, outputs, weight.stride(0), TYPES[weight.dtype],
        torch.get_num_threads(), THREADS,
    )  # fmt: skip
    return result.to(hidden.dtype)


product = product_operation("few_rows", _product)
