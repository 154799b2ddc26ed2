"""Bytes of tensors: spans of a file as their memory, and their memory into a file."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import BinaryIO

import torch

from .base import open_file, problem


class MappedFile:
    """A file open for reading, mapped when a span is first asked for. `DownloadError` if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = open_file(path)
        self.size = os.fstat(self.file.fileno()).st_size
        self._mapped: torch.UntypedStorage | None = None

    def span(self, start: int, size: int, alignment: int = 1) -> torch.UntypedStorage:
        """`size` bytes, not 0, as a storage: the file's own pages, or a copy if they do not begin at the alignment."""
        if start % alignment == 0:
            if self._mapped is None:
                # Private pages: a tensor may be written to, the file stays as it is. The open file is mapped, not its
                # path, which may have been replaced since.
                pages = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)
                self._mapped = torch.frombuffer(pages, dtype=torch.uint8).untyped_storage()
            return self._mapped[start : start + size]
        storage = torch.UntypedStorage(size)
        self.file.seek(start)
        if self.file.readinto((ctypes.c_char * size).from_address(storage.data_ptr())) != size:
            raise problem(self.path, "truncated: the file became shorter while it was read", "fetch the file again")
        return storage

    @property
    def closed(self) -> bool:
        return self.file.closed

    def close(self) -> None:
        """Spans stay valid."""
        self.file.close()
        self._mapped = None


def raw_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's values in order, as bytes on the CPU; copied only if they do not lie so already."""
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return tensor.reshape(-1).view(torch.uint8)


def write_bytes(file: BinaryIO, data: torch.Tensor) -> None:
    if data.numel():
        file.write((ctypes.c_char * data.numel()).from_address(data.data_ptr()))
