"""Pickles of nested lists, tuples and dicts of NumPy arrays, plain or compressed (`.pkl`, `.pkl.gz`).

The tensors are named by their paths: `weights/5/0/1` is `content["weights"][5][0][1]`.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from ...errors import Diagnostic, Place, WeightsError
from ..replacing import replacing
from .archives import gunzip
from .arrays import NAMES, StoredArray, dtype_named
from .base import (
    Refused,
    TensorInfo,
    bytes_of,
    missing_tensor,
    open_file,
    problem,
    quoted,
    unwritable,
    what_it_is_instead,
)
from .dtypes import dtype_of
from .mapped import MappedFile
from .pickles import PickleStream, read_pickle
from .plain import plain_values
from .rebuild import Attributes
from .torch_layout import is_plain_pickle, read_layout

if TYPE_CHECKING:
    from torch import Tensor

DEPTH = 32  # lists in lists
VALUES = 1_000_000  # a pickle can name one list a million times: so many places are looked at
AGAIN = "fetch or save the file again"


class PickleStore:
    """Raises `DownloadError` if the file cannot be read, `WeightsError` if it is damaged, wants to run code, or holds
    no arrays. `extras` has those entries of the outermost dict in which there is no array; `empty` the paths of lists,
    tuples and dicts with nothing in them (layers without parameters)."""

    name = "pickle"
    ignored: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        file = open_file(path)
        try:
            file = _plain(file)
            content = _content(file)
            self._arrays: dict[str, StoredArray] = {}
            self.empty: list[str] = []
            for name, value in leaves(content):
                if isinstance(value, StoredArray):
                    self._arrays[name] = value
                elif isinstance(value, list | tuple | dict):
                    self.empty.append(name)
            self.tensors = {
                name: TensorInfo(array.shape, dtype_named(array.dtype), path) for name, array in self._arrays.items()
            }
            if not self._arrays:
                raise Refused("it holds no NumPy arrays", "name the file with the weights")
        except BaseException as error:
            file.close()
            if isinstance(error, Refused):
                raise problem(path, str(error), error.help) from None
            raise
        self._file = MappedFile(file, path)
        used = {name.partition("/")[0] for name in self._arrays}
        outermost = content.items() if isinstance(content, dict) else ()
        self.extras: Mapping[str, object] = {str(key): value for key, value in outermost if str(key) not in used}

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if self._file.closed:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        try:
            return self._arrays[name].read(self._file)
        except Refused as error:
            raise problem(self.paths[0], f"tensor {quoted(name)}: {error}", error.help) from None

    def check_sums(self) -> list[Diagnostic]:
        return []

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_pickled(path: Path) -> object:
    """Everything a pickle or a file of torch.save says, as inert data: numbers, texts, lists, tuples, dicts (objects of
    known classes as dicts of their attributes), arrays and tensors as descriptions. For vocabularies and the like.

    Raises `DownloadError` if it cannot be read, `WeightsError` if it is damaged or wants to run code.
    """
    with open_file(path) as file:
        try:
            with _plain(file) as plain:
                head = plain.read(32)
                plain.seek(0)
                return _content(plain) if is_plain_pickle(head) else read_layout(plain)[0]
        except Refused as error:
            raise problem(path, str(error), error.help) from None


def _plain(file: BinaryIO) -> BinaryIO:
    head = file.read(512)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        with file:
            return gunzip(file)
    if instead := what_it_is_instead(head):
        raise Refused(*instead)
    return file


def _content(file: BinaryIO) -> object:
    size = os.fstat(file.fileno()).st_size
    content, storages = read_pickle(PickleStream(file, 0, size))
    if storages:
        raise Refused("its tensors are not in this file", AGAIN)
    return content


def leaves(content: object) -> Iterator[tuple[str, object]]:
    """Path and value of everything in nested lists, tuples and dicts that is none of these, or is empty. Objects are
    not looked into. Raises `Refused` if there is too much."""
    left = VALUES
    stack: list[tuple[tuple[str, ...], object]] = [((), content)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Attributes):
            continue
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        left -= len(inner)
        if left < 0 or len(path) > DEPTH:
            raise Refused("its lists are nested or repeated without end", AGAIN)
        if not inner:
            yield "/".join(path), value
        names = value if isinstance(value, dict) else range(len(inner))
        stack += reversed([((*path, str(name)), one) for name, one in zip(names, inner, strict=True)])


def write_pickle(
    path: Path,
    tensors: Mapping[str, Tensor],
    extras: Mapping[str, object] | None = None,
    *,
    empty: Iterable[str] = (),
) -> None:
    """Write tensors named by paths as nested tuples of NumPy arrays, in dicts where a part of the path is no number;
    compressed if `path` ends in `.gz`. All or nothing.

    Args:
        extras: plain values for the outermost dict.
        empty: paths that shall hold `()`; so do places that no name speaks of but later ones imply.
    Raises:
        WeightsError: names contradict each other, or NumPy has no such type. DownloadError: it cannot be written.
    """
    wrong = [
        Diagnostic(f"tensor {quoted(name)} cannot be stored: {reason}", Place(str(path)))
        for name, tensor in tensors.items()
        if (reason := "it has no values yet" if tensor.is_meta else "" if dtype_of(tensor) in NAMES else
            f"NumPy has no type for {dtype_of(tensor)}")
    ]  # fmt: skip
    if wrong:
        raise WeightsError(*wrong)
    tree: dict[str, Any] = {}
    for name, value in [*((name, ()) for name in empty), *tensors.items()]:
        node = tree
        *outer, last = name.split("/")
        for part in outer:
            if isinstance(node.get(part, ()), tuple):  # nothing yet
                node[part] = {}
            node = node[part]
            if not isinstance(node, dict):
                raise problem(path, f"{quoted(name)} would lie inside another tensor")
        if not isinstance(node.get(last, ()), tuple):
            raise problem(path, f"{quoted(name)} would be a tensor and a list at once")
        node[last] = value
    content = {**tree, **plain_values(extras or {}, path)}
    try:
        with replacing(path) as file:
            if path.name.endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed:
                    _Writer(packed).write(content)
            else:
                _Writer(file).write(content)
    except OSError as error:
        raise unwritable(path, error) from None


class _Writer:
    """A pickle of protocol 4, one tensor at a time, with NumPy's arrays as every NumPy and every reader since 2005
    knows them: under the module's old name, which NumPy 2 still answers to."""

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file = file

    def write(self, content: Mapping[str, Any]) -> None:
        self._file.write(b"\x80\4")
        self._value(content, outermost=True)
        self._file.write(b".")

    def _value(self, value: object, outermost: bool = False) -> None:
        import torch

        put = self._file.write
        if isinstance(value, torch.Tensor):
            self._array(value)
        elif isinstance(value, dict) and value and not outermost and all(key.isdecimal() for key in map(str, value)):
            places = {int(key): inner for key, inner in value.items()}
            put(b"(")
            for index in range(max(places) + 1):
                self._value(places.get(index, ()))
            put(b"t")
        elif isinstance(value, Mapping):
            put(b"}(")
            for key, inner in value.items():
                self._plain(key)
                self._value(inner)
            put(b"u")
        else:
            self._plain(value)

    def _plain(self, value: object) -> None:
        """What pickle writes of a plain value, without its beginning and end. It remembers nothing (`fast`), so that
        pieces can be put together."""
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, 3)
        pickler.fast = True
        pickler.dump(value)
        self._file.write(buffer.getbuffer()[2:-1])

    def _array(self, tensor: Tensor) -> None:
        name, content = NAMES[dtype_of(tensor)], bytes_of(tensor)
        self._file.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\1b\x87R(K\1")
        self._plain(tuple(tensor.shape))
        self._file.write(b"cnumpy\ndtype\n")
        self._plain((name[1:], False, True))
        self._file.write(b"R(K\3")
        self._plain(name[0])
        self._file.write(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89\x8e" + struct.pack("<Q", len(content)))
        self._file.write(content)
        self._file.write(b"tb")
