"""Tensors out of one open file: mapped where their alignment allows, copied where not."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import torch

from .base import problem


class MappedFile:
    """`path` is for messages: the open file is mapped, not its path, which may have been replaced since."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self._mapped: torch.UntypedStorage | None = None

    def tensor(
        self, start: int, dtype: torch.dtype, shape: Sequence[int], stride: Sequence[int] | None = None
    ) -> torch.Tensor:
        """The tensor whose first element is at byte `start`; `stride` counts elements, row-major if None."""
        if 0 in shape:
            return torch.empty(tuple(shape), dtype=dtype)
        stride = row_major(shape) if stride is None else stride
        length = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        storage = self._span(start, length * dtype.itemsize, dtype.itemsize)
        return torch.empty(0, dtype=dtype).set_(storage, 0, tuple(shape), tuple(stride))

    def read_into(self, storage: torch.UntypedStorage, position: int, start: int, size: int) -> None:
        """Copy `size` bytes at `start` of the file to `position` of the storage."""
        self.file.seek(start)
        if self.file.readinto((ctypes.c_char * size).from_address(storage.data_ptr() + position)) != size:
            raise problem(self.path, "truncated: the file became shorter while it was read", "fetch or save it again")

    def _span(self, start: int, size: int, alignment: int) -> torch.UntypedStorage:
        if start % alignment == 0:
            if self._mapped is None:  # private pages: a tensor may be written to, the file stays as it is
                pages = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)
                self._mapped = torch.frombuffer(pages, dtype=torch.uint8).untyped_storage()
            return self._mapped[start : start + size]
        storage = torch.UntypedStorage(size)
        self.read_into(storage, 0, start, size)
        return storage

    @property
    def closed(self) -> bool:
        return self.file.closed

    def close(self) -> None:
        self.file.close()
        self._mapped = None


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
