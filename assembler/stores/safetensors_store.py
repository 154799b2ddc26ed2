"""safetensors: a JSON header, then raw bytes. Read through the library, which maps them; written here, atomically."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Self

import torch
from safetensors import SafetensorError, safe_open

from ...errors import Diagnostic, Place, WeightsError
from ..replacing import replacing
from .base import (
    TensorInfo,
    bytes_of,
    missing_tensor,
    open_file,
    problem,
    quoted,
    representable,
    unreadable,
    unwritable,
    valueless,
    what_it_is_instead,
)

HEADER_LIMIT = 100_000_000  # bytes; the format's own
DIAGNOSED = 2**24  # bytes of a refused header that are worth parsing again, to say what is wrong

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "C64": torch.complex64,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class SafetensorsStore:
    """One `.safetensors` file. Raises `DownloadError` if it cannot be read, `WeightsError` if it is damaged."""

    name = "safetensors"
    ignored: tuple[str, ...] = ()
    extras: Mapping[str, object] = {}

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        with open_file(path) as file:  # the library's errors do not say what the system refused, nor what is wrong
            try:
                self._file = safe_open(path, framework="pt", device="cpu")
            except (SafetensorError, ValueError) as error:
                raise problem(path, *_diagnosis(file, str(error))) from None
            except OSError as error:
                raise unreadable(path, error) from None
        self.metadata: Mapping[str, str] = dict(self._file.metadata() or {})
        self.tensors: dict[str, TensorInfo] = {}
        for name in self._file.keys():  # noqa: SIM118 - not a mapping
            header = self._file.get_slice(name)
            shape, kind = tuple(header.get_shape()), header.get_dtype()
            if kind not in DTYPES:
                raise problem(path, f"tensor {quoted(name)} is stored as {quoted(kind)}, which torch has no type for")
            if not representable(shape):
                raise problem(path, f"tensor {quoted(name)} claims an impossible shape: {list(shape)}")
            self.tensors[name] = TensorInfo(shape, DTYPES[kind], path)

    def read(self, name: str) -> torch.Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        try:
            tensor = self._file.get_tensor(name)
        except SafetensorError as error:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: {error}") from None
        # Some writers do not align their tensors; kernels may count on it.
        return tensor if tensor.data_ptr() % tensor.element_size() == 0 else tensor.clone()

    def check_sums(self) -> list[Diagnostic]:
        return []

    def close(self) -> None:
        self._file.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _diagnosis(file: BinaryIO, error: str) -> tuple[str, str]:
    """What is wrong with a file that the library refused with `error`, and the way out."""
    again = "fetch or save the file again"
    size = os.fstat(file.fileno()).st_size
    head = file.read(512)
    if instead := what_it_is_instead(head):
        return instead
    if head.startswith((b"PK\x03\x04", b"\x80\x02")) and head[8:9] != b"{":
        return "this is a PyTorch file, not safetensors", "give it the ending `.bin` or `.pt`"
    if size < 8:
        return f"truncated: this file has {size} bytes, too few for a safetensors file", again
    (length,) = struct.unpack("<Q", head[:8])
    if head[8:9] not in (b"{", b""):
        return "this is not a safetensors file: there is no header where one should begin", again
    if length > HEADER_LIMIT:
        return f"the header claims {length} bytes, more than the {HEADER_LIMIT} the format allows", again
    if 8 + length > size:
        return f"truncated: the header alone should end at byte {8 + length}, the file has {size}", again
    damaged = f"the header is damaged ({error.split(': ', 1)[-1]})"
    if length > DIAGNOSED:
        return damaged, again
    file.seek(8)
    try:
        header = json.loads(file.read(length))
        end = max(info["data_offsets"][1] for name, info in header.items() if name != "__metadata__")
        promised = 8 + length + int(end)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError):
        return damaged, again
    if promised > size:
        return f"truncated: the header describes {promised} bytes, the file has {size}", again
    if promised < size:
        return f"the header describes {promised} bytes, the file has {size - promised} more", again
    return f"the header contradicts itself ({error.split(': ', 1)[-1]})", again


def write_safetensors(
    path: Path,
    tensors: Mapping[str, torch.Tensor] | Iterable[tuple[str, torch.Tensor]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `tensors` to `path`, all or nothing: under a temporary name beside it, flushed to the disk, then renamed.

    Tensors may be strided, share memory or lie on any device; at most one at a time is copied to be laid out. The
    metadata always says `format: pt`, without which other libraries refuse the file. Raises `WeightsError` if a tensor
    cannot be stored, `DownloadError` if the file cannot be written; what was at `path` before is then untouched.
    """
    tensors = dict(tensors)
    wrong = [
        Diagnostic(f"tensor {quoted(name)} cannot be stored: {reason}", Place(str(path)))
        for name, tensor in tensors.items() if (reason := _unwritable(name, tensor))
    ]
    if wrong:
        raise WeightsError(*wrong)
    # Widest elements first: with a padded header that aligns every tensor.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    start = 0
    for name in order:
        tensor = tensors[name]
        end = start + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > HEADER_LIMIT:
        raise problem(path, f"its header would have {len(text)} bytes, more than the {HEADER_LIMIT} the format allows")

    try:
        with replacing(path) as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                file.write(bytes_of(tensors[name]))
    except OSError as error:
        raise unwritable(path, error) from None


def _unwritable(name: str, tensor: torch.Tensor) -> str | None:
    if name == "__metadata__":
        return "the format keeps this name for itself"
    if reason := valueless(name, tensor):
        return reason
    return None if tensor.dtype in NAMES else f"safetensors has no type for {tensor.dtype}"
