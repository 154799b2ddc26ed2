"""What every checkpoint store offers, and the words they share for files that are not what they should be."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from ...errors import Diagnostic, DownloadError, Place, WeightsError, did_you_mean

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a checkpoint's header says of one tensor. `shape` in elements; `dtype` as torch names it, one of `ITEMSIZE`;
    `file` is the one that holds its bytes."""

    shape: tuple[int, ...]
    dtype: str
    file: Path


class Store(Protocol):
    """A checkpoint opened for reading: all names and shapes at once, then tensors one at a time."""

    name: str  # the kind: "safetensors", "torch"
    paths: list[Path]  # every file behind it
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]  # texts the file carries beside its tensors
    ignored: Sequence[str]  # entries that are no tensors and were passed over
    extras: Mapping[str, object]  # plain values beside the tensors: options, vocabularies; inert

    def read(self, name: str) -> torch.Tensor:
        """The tensor on the CPU, shaped `tensors[name].shape`. Mapped from the file where its alignment allows: nothing
        is copied, writing to it never reaches the file, and it stays valid after `close`.

        Raises `WeightsError` if the file holds no such tensor or the store is closed.
        """
        ...

    def check_sums(self) -> list[Diagnostic]:
        """Reads every byte that the format stores a checksum of; what does not agree. Empty for formats without any."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class Refused(Exception):
    """What a reader finds wrong with the file it was given; its store adds which file that is."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


def problem(path: Path, message: str, help: str | None = None) -> WeightsError:
    """A damaged or hostile file, as one error that names it."""
    return WeightsError(Diagnostic(message, Place(str(path)), help=help))


def quoted(name: object) -> str:
    """A name out of a file, made safe to print: no control characters, not endless."""
    text = str(name)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return f"`{text if len(text) <= 120 else text[:117] + '...'}`"


def listed(names: Iterable[object], limit: int = 8) -> str:
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(quoted(name) for name in names[:limit]) + more


def open_file(path: Path) -> BinaryIO:
    """Open for reading; what the system refuses becomes a `DownloadError` that says why."""
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None


def unwritable(path: Path, error: OSError) -> DownloadError:
    reason = (error.strerror or str(error)).lower()
    return DownloadError(Diagnostic(f"this file cannot be written: {reason}", Place(str(path))))


def unreadable(path: Path, error: OSError) -> DownloadError:
    reason = (error.strerror or str(error)).lower()
    return DownloadError(Diagnostic(f"this file cannot be read: {reason}", Place(str(path))))


def representable(shape: Sequence[int]) -> bool:
    """Whether torch can hold such a shape at all; a hostile header may hide absurd sizes behind a zero."""
    return math.prod(max(size, 1) for size in shape) < 2**63


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The elements row by row, as they lie in memory; copied only if they lie otherwise."""
    flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    size = flat.numel() * flat.element_size()
    if not size:
        return memoryview(b"")
    content = (ctypes.c_char * size).from_address(flat.data_ptr())
    content._tensor = flat  # kept as long as its bytes
    return memoryview(content).cast("B")


def missing_tensor(path: Path, name: str, known: Iterable[str]) -> WeightsError:
    return problem(path, f"there is no tensor {quoted(name)} in this file", did_you_mean(name, known) or None)


def valueless(name: str, tensor: torch.Tensor) -> str | None:
    """Why no format can store a tensor under this name; None if some can."""
    if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
        return "its name is not text"
    if tensor.device.type == "meta":
        return "it has no values yet (meta device)"
    if str(tensor.layout) != "torch.strided" or tensor.is_quantized:
        return "it is sparse or quantized, which the format does not know"
    return None


def what_it_is_instead(head: bytes) -> tuple[str, str] | None:
    """Recognise, by its first bytes, a file that never was a checkpoint: what it is, and the way out."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "this file is empty", "fetch it again"
    if text.startswith(b"version https://git-lfs"):
        return "this is a git-lfs pointer, not the weights it points to", "run `git lfs pull` in that repository"
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "this is a web page, not weights", "the address answered with a page: fetch the file itself again"
    if text.startswith((b"{", b"[")):
        return "this is JSON text, not weights", "a shard index must be named `*.index.json`"
    if head.startswith(b"\x89HDF"):
        return "this is an HDF5 file (Keras or TensorFlow)", "use the safetensors or PyTorch release of these weights"
    if head.startswith(b"\x93NUMPY"):
        return "this is one array of NumPy", "name the folder it is in, or the list of shapes beside it"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        return "this file is compressed", "unpack it first"
    return None
