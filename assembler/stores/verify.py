"""Reading a whole checkpoint to see that it is sound: stored checksums, and numbers that are none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...errors import Diagnostic, Place
from .base import Store, quoted
from .dtypes import is_complex, is_floating

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2**20  # elements looked at together


def verify(store: Store, names: Iterable[str] | None = None) -> list[Diagnostic]:
    """Everything wrong with the values of `names` (all tensors if None): one problem for each record that does not
    match its checksum and for each floating tensor with NaN or infinite elements. At most one tensor is in memory.

    Checksums are per file, so they are checked whatever `names` are.
    """
    problems = store.check_sums()
    for name in store.tensors if names is None else names:
        info = store.tensors[name]
        if is_floating(info.dtype) or is_complex(info.dtype):
            nan, infinite = _count(store.read(name))
            if nan or infinite:
                message = f"tensor {quoted(name)} {list(info.shape)} has {nan} NaN and {infinite} infinite elements"
                problems.append(Diagnostic(message, Place(str(info.file)), help="fetch or train the weights again"))
    return problems


def _count(tensor: Tensor) -> tuple[int, int]:
    import torch

    nan = infinite = 0
    for chunk in tensor.reshape(-1).split(CHUNK):
        chunk = torch.view_as_real(chunk) if chunk.is_complex() else chunk
        chunk = chunk.float() if chunk.element_size() == 1 else chunk  # torch compares no 8-bit floats
        extremes = torch.stack(chunk.aminmax()) if chunk.numel() else chunk  # one quick pass; NaN shows in both
        if not extremes.isfinite().all():
            nan += int(chunk.isnan().sum())
            infinite += int(chunk.isinf().sum())
    return nan, infinite
