"""What `torch.save` writes, read without torch's unpickler: nothing can run, nothing is read before it is asked for."""

from __future__ import annotations

import ctypes
import mmap
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch

from ...errors import Diagnostic, Place
from .base import Refused, TensorInfo, listed, missing_tensor, open_file, problem, quoted
from .pickles import StoredTensor
from .torch_layout import AGAIN, read_layout

NESTED = ("state_dict", "model_state_dict", "model")  # where training programs put the weights beside other things
CHUNK = 2**20  # bytes


class TorchStore:
    """One `.bin`, `.pt` or `.pth` file, zip or older. Raises `DownloadError` if it cannot be read, `WeightsError` if it
    is damaged, wants to run code, or holds anything but dense tensors by name (simple values are `ignored`)."""

    name = "torch"

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        self.metadata: Mapping[str, str] = {}
        self._mapped: torch.UntypedStorage | None = None
        self._file = open_file(path)
        try:
            content, self._records = read_layout(self._file)
            self._views, self.ignored = _state_dict(content)
        except BaseException as error:
            self._file.close()
            if isinstance(error, Refused):
                raise problem(path, str(error), error.help) from None
            raise
        self.tensors = {name: TensorInfo(view.shape, view.dtype, path) for name, view in self._views.items()}

    def read(self, name: str) -> torch.Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if self._file.closed:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        view = self._views[name]
        if 0 in view.shape:
            return torch.empty(view.shape, dtype=view.dtype)
        length = 1 + sum((size - 1) * step for size, step in zip(view.shape, view.stride, strict=True))
        start = self._records[f"data/{view.storage.key}"].start + view.offset * view.dtype.itemsize
        storage = self._span(start, length * view.dtype.itemsize, view.dtype.itemsize)
        return torch.empty(0, dtype=view.dtype).set_(storage, 0, view.shape, view.stride)

    def _span(self, start: int, size: int, alignment: int) -> torch.UntypedStorage:
        """Bytes of the file as a storage: mapped, or copied if they are not aligned (the old format aligns nothing)."""
        if start % alignment == 0:
            if self._mapped is None:
                # Private pages: a tensor may be written to, the file stays as it is. The open file is mapped, not its
                # path, which may have been replaced since.
                pages = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
                self._mapped = torch.frombuffer(pages, dtype=torch.uint8).untyped_storage()
            return self._mapped[start : start + size]
        storage = torch.UntypedStorage(size)
        self._file.seek(start)
        if self._file.readinto((ctypes.c_char * size).from_address(storage.data_ptr())) != size:
            raise problem(self.paths[0], "truncated: the file became shorter while it was read", AGAIN)
        return storage

    def check_sums(self) -> list[Diagnostic]:
        owners: dict[str, list[str]] = {}
        for name, view in self._views.items():
            owners.setdefault(f"data/{view.storage.key}", []).append(name)
        problems = []
        for key, record in self._records.items():
            if record.checksum is None:
                continue
            self._file.seek(record.start)
            checksum, left = 0, record.size
            while left and (chunk := self._file.read(min(CHUNK, left))):
                checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
            if checksum != record.checksum:
                what = f" ({listed(owners[key])})" if key in owners else ""
                problems.append(Diagnostic(
                    f"record {quoted(key)}{what} does not match its checksum", Place(str(self.paths[0])), help=AGAIN
                ))
        return problems

    def close(self) -> None:
        self._file.close()
        self._mapped = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _state_dict(content: object) -> tuple[dict[str, StoredTensor], tuple[str, ...]]:
    """The tensors by name, and the names of what was passed over. Raises `Refused`."""
    help = f"save `model.state_dict()` alone, or under one of the keys {listed(NESTED)}"
    if not isinstance(content, dict):
        raise Refused(f"it holds a {_kind(content)}, not tensors by name", help)
    ignored: list[str] = []
    for key in NESTED:
        if isinstance(content.get(key), dict):
            ignored = [str(other) for other in content if other != key]
            content = content[key]
            break
    views: dict[str, StoredTensor] = {}
    others = []
    for name, value in content.items():
        if isinstance(value, StoredTensor) and isinstance(name, str):
            views[name] = value
        elif isinstance(value, str | bytes | int | float | None):
            ignored.append(str(name))
        else:
            others.append(f"{name} ({_kind(value)})")
    if others:
        raise Refused(f"it holds more than tensors by name: {listed(others)}", help)
    return views, tuple(ignored)


def _kind(value: object) -> str:
    return "tensor" if isinstance(value, StoredTensor) else type(value).__name__
