"""Tensors out of one open file: mapped where their alignment allows, copied where not."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .base import problem
from .dtypes import ITEMSIZE, torch_dtype

if TYPE_CHECKING:
    from torch import Tensor


class MappedFile:
    """`path` is for messages: the open file is mapped, not its path, which may have been replaced since."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self._mapped: memoryview | None = None

    def tensor(
        self, start: int, dtype: str, shape: Sequence[int], stride: Sequence[int] | None = None
    ) -> Tensor:
        """The tensor whose first element is at byte `start`; `stride` counts elements, row-major if None."""
        stride = row_major(shape) if stride is None else stride
        length = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        size = 0 if 0 in shape else length * ITEMSIZE[dtype]
        return tensor_of(self.content(start, size, ITEMSIZE[dtype]), dtype, shape, stride)

    def content(self, start: int, size: int, alignment: int = 1) -> memoryview | bytearray:
        """Bytes of the file: mapped if they begin at a multiple of `alignment`, else copied."""
        if size and start % alignment == 0:
            if self._mapped is None:  # private pages: a tensor may be written to, the file stays as it is
                self._mapped = memoryview(mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY))
            return self._mapped[start : start + size]
        copy = bytearray(size)
        self.read_into(memoryview(copy), start)
        return copy

    def read_into(self, target: memoryview, start: int) -> None:
        """Fill `target` with the bytes at `start` of the file."""
        self.file.seek(start)
        if self.file.readinto(target) != len(target):
            raise problem(self.path, "truncated: the file became shorter while it was read", "fetch or save it again")

    @property
    def closed(self) -> bool:
        return self.file.closed

    def close(self) -> None:
        self.file.close()
        self._mapped = None


def tensor_of(
    content: memoryview | bytearray, dtype: str, shape: Sequence[int], stride: Sequence[int] | None = None
) -> Tensor:
    """The tensor whose bytes these are. It shares their memory, which has to be writable, if that is aligned. `stride`
    as above.

    Here torch is imported, for all that reads tensors: who lists those of a file need not wait for it.
    """
    import torch

    kind = torch_dtype(dtype)
    if 0 in shape:
        return torch.empty(tuple(shape), dtype=kind)
    stride = row_major(shape) if stride is None else tuple(stride)
    storage = torch.frombuffer(content, dtype=torch.uint8).untyped_storage()
    storage = storage if storage.data_ptr() % kind.itemsize == 0 else storage.clone()
    return torch.empty(0, dtype=kind).set_(storage, 0, tuple(shape), stride)


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
