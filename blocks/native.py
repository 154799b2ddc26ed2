"""The functions in C, where they were built and the processor has their instructions."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path

import torch

from . import processor

_POINTER, _NUMBER, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float
#: What the functions take, `few_rows.c` and `few_queries.c` say what it means.
SIGNATURES = {
    "few_rows": [*[_POINTER] * 4, *[_NUMBER] * 4, _INT, _NUMBER, _POINTER],
    "few_queries": [*[_POINTER] * 8, _FLOAT, _INT, _INT, _NUMBER, _POINTER],
}
#: The types of numbers, as `vectors.h` counts them.
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


def library() -> ctypes.CDLL | None:
    """The functions, or None where there are none: torch's own serve then."""
    built = find_spec(f"{__package__}._native")
    if built is None or built.origin is None:
        return None
    try:
        loaded = ctypes.CDLL(built.origin)
    except OSError:  # built on another machine
        return None
    if not loaded.ready():
        return None
    for name, arguments in SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, None
    return loaded


def threads_of_torch() -> int | None:
    """The address of the function that runs another in torch's own threads: a second set would be in their way."""
    try:
        libraries = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return ctypes.cast(libraries.GOMP_parallel, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None


# Not asked for again, and compiled code finds them as they are.
LIBRARY = library()
THREADS = threads_of_torch()


def serves(dtype: torch.dtype) -> bool:
    """Whether they are there, with all of torch's threads, and torch has nothing faster for numbers of a type."""
    if LIBRARY is None or (THREADS is None and torch.get_num_threads() > 1):
        return False
    return dtype == torch.float32 or dtype in processor.SLOW
