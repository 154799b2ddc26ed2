"""safetensors: eight bytes of length, a JSON header, then raw bytes. Written atomically."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from ...errors import Diagnostic, Place, WeightsError
from ..replacing import replacing
from .base import (
    Refused,
    TensorInfo,
    bytes_of,
    missing_tensor,
    open_file,
    problem,
    quoted,
    representable,
    unwritable,
    valueless,
    what_it_is_instead,
)
from .dtypes import ITEMSIZE, dtype_of
from .mapped import MappedFile

if TYPE_CHECKING:
    from torch import Tensor

HEADER_LIMIT = 100_000_000  # bytes; the format's own
METADATA = "__metadata__"
AGAIN = "fetch or save the file again"

DTYPES: dict[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "C64": "complex64",
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class SafetensorsStore:
    """One `.safetensors` file. Raises `DownloadError` if it cannot be read, `WeightsError` if it is damaged."""

    name = "safetensors"
    ignored: tuple[str, ...] = ()
    extras: Mapping[str, object] = {}

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        self._file = MappedFile(open_file(path), path)
        try:
            header, data = _read_header(self._file.file)
            self.metadata: Mapping[str, str] = _metadata(header.pop(METADATA, {}))
            places = {name: _place(name, header[name]) for name in sorted(header)}
            _check(places.values(), os.fstat(self._file.file.fileno()).st_size - data, data)
        except BaseException as error:
            self._file.close()
            if isinstance(error, Refused):
                raise problem(path, str(error), error.help) from None
            raise
        self._starts = {name: data + start for name, (_, _, start, _) in places.items()}
        self.tensors = {name: TensorInfo(shape, dtype, path) for name, (dtype, shape, _, _) in places.items()}

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if self._file.closed:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        return self._file.tensor(self._starts[name], self.tensors[name].dtype, self.tensors[name].shape)

    def check_sums(self) -> list[Diagnostic]:
        return []

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


Location = tuple[str, tuple[int, ...], int, int]  # type, shape, first byte and end in the data


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, and the first byte of the data."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(512)
    if instead := what_it_is_instead(head):
        raise Refused(*instead)
    if head.startswith((b"PK\x03\x04", b"\x80\x02")) and head[8:9] != b"{":
        raise Refused("this is a PyTorch file, not safetensors", "give it the ending `.bin` or `.pt`")
    if size < 8:
        raise Refused(f"truncated: this file has {size} bytes, too few for a safetensors file", AGAIN)
    (length,) = struct.unpack("<Q", head[:8])
    if head[8:9] not in (b"{", b""):
        raise Refused("this is not a safetensors file: there is no header where one should begin", AGAIN)
    if length > HEADER_LIMIT:
        raise Refused(f"the header claims {length} bytes, more than the {HEADER_LIMIT} the format allows", AGAIN)
    if 8 + length > size:
        raise Refused(f"truncated: the header alone should end at byte {8 + length}, the file has {size}", AGAIN)
    file.seek(8)
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error)) from None
    if not isinstance(header, dict):
        raise _damaged("it is no JSON object")
    return header, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name comes twice")
    return content


def _metadata(metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _damaged(f"{METADATA} does not map names to texts")
    return metadata


def _place(name: str, entry: object) -> Location:
    """What an entry of the header says."""
    if not isinstance(entry, dict) or not entry.keys() >= {"dtype", "shape", "data_offsets"}:
        raise _damaged(f"{quoted(name)} does not have a type, a shape and offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not numbers or not all(type(number) is int and 0 <= number < 2**64 for number in (*shape, *offsets)):
        raise _damaged(f"the shape or the offsets of {quoted(name)} are none")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise Refused(f"the header says that tensor {quoted(name)} is {quoted(kind)}, which torch has no type for")
    if not representable(shape):
        raise Refused(f"the header contradicts itself: tensor {quoted(name)} has an impossible shape, {shape}", AGAIN)
    start, end = offsets
    if end - start != math.prod(shape) * ITEMSIZE[DTYPES[kind]]:
        message = f"tensor {quoted(name)} {shape} of {kind} should not have {end - start} bytes"
        raise Refused(f"the header contradicts itself: {message}", AGAIN)
    return DTYPES[kind], tuple(shape), start, end


def _check(places: Iterable[Location], size: int, data: int) -> None:
    """The tensors fill the `size` bytes of the data, which begins at byte `data` of the file, without holes."""
    at = 0
    for start, end in sorted((start, end) for _, _, start, end in places):
        if start != at:
            message = f"tensors overlap or leave a hole at byte {at} of the data"
            raise Refused(f"the header contradicts itself: {message}", AGAIN)
        at = end
    if at > size:
        raise Refused(f"truncated: the header describes {data + at} bytes, the file has {data + size}", AGAIN)
    if at < size:
        raise Refused(f"the header describes {data + at} bytes, the file has {size - at} more", AGAIN)


def _damaged(reason: str) -> Refused:
    return Refused(f"the header is damaged ({ascii(reason[:200])[1:-1]})", AGAIN)


def write_safetensors(
    path: Path,
    tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
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
    header: dict[str, object] = {METADATA: {"format": "pt", **(metadata or {})}}
    start = 0
    for name in order:
        tensor = tensors[name]
        end = start + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[dtype_of(tensor)], "shape": list(tensor.shape), "data_offsets": [start, end]}
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


def _unwritable(name: str, tensor: Tensor) -> str | None:
    if name == METADATA:
        return "the format keeps this name for itself"
    if reason := valueless(name, tensor):
        return reason
    return None if dtype_of(tensor) in NAMES else f"safetensors has no type for {dtype_of(tensor)}"
