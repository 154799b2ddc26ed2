"""One flat vector in several `.npy` files, and a list of the shapes it is cut into: `params_shapes.json` beside
`params_0.npy`, `params_1.npy`… The tensors have no names: `params/0` is the first of the list."""

from __future__ import annotations

import json
import math
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from ...errors import Diagnostic, Place, WeightsError
from ..replacing import replacing
from .arrays import NAMES, dtype_named
from .base import (
    Refused,
    TensorInfo,
    bytes_of,
    listed,
    missing_tensor,
    open_file,
    problem,
    quoted,
    representable,
    unwritable,
    what_it_is_instead,
)
from .dtypes import ITEMSIZE, dtype_of
from .mapped import MappedFile, tensor_of

if TYPE_CHECKING:
    from torch import Tensor

SHAPES = "params_shapes.json"
PIECES = 10  # as the release has
MOST_PIECES = 1000
LIST_LIMIT = 2**22  # bytes of the list of shapes
HEADER_LIMIT = 2**16  # bytes
AGAIN = "fetch the files again"
_HEADER = re.compile(  # the text of a Python dict, as every NumPy has written it
    rb"\{'descr': '([<>|=]?[A-Za-z]\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,19}L?, ?)*(?:\d{1,19}L?)?)\),? ?\}\s*"
)


class NumpyStore:
    """Opened by its list of shapes. Raises `DownloadError` if a file cannot be read, `WeightsError` if one is damaged
    or they do not fit together."""

    name = "numpy"
    ignored: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}
    extras: Mapping[str, object] = {}

    def __init__(self, path: Path) -> None:
        shapes = _read_shapes(path)
        self.paths = [path, *_pieces(path)]
        self._files: list[MappedFile] = []
        try:
            self._headers = [self._open(piece) for piece in self.paths[1:]]
            self._check(path, shapes)
        except BaseException:
            self.close()
            raise
        self._dtype = self._headers[0][0]
        self._ends = list(accumulate(numel for _, numel, _ in self._headers))  # of each piece, in elements
        numels = [math.prod(shape) for shape in shapes]
        self._starts = dict(zip(_names(len(shapes)), accumulate(numels, initial=0), strict=False))
        self.tensors = {
            name: TensorInfo(shape, self._dtype, self.paths[1 + min(self._piece(start), len(self._files) - 1)])
            for (name, start), shape in zip(self._starts.items(), shapes, strict=True)
        }

    def _open(self, path: Path) -> tuple[str, int, int]:
        file = MappedFile(open_file(path), path)
        self._files.append(file)
        try:
            return read_npy_header(file.file)
        except Refused as error:
            raise problem(path, str(error), error.help) from None

    def _check(self, path: Path, shapes: list[tuple[int, ...]]) -> None:
        dtypes = list(dict.fromkeys(dtype for dtype, _, _ in self._headers))
        if len(dtypes) > 1:
            raise problem(path, f"the files beside it hold numbers of several types: {listed(dtypes)}", AGAIN)
        there, wanted = sum(numel for _, numel, _ in self._headers), sum(map(math.prod, shapes))
        if there != wanted:
            message = f"its shapes need {wanted} numbers, the {len(self._headers)} files beside it hold {there}"
            raise problem(path, message, "they do not belong together, or some are missing: fetch all of them again")

    def _piece(self, element: int) -> int:
        """The piece that holds an element of the vector."""
        return bisect_right(self._ends, element)

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if any(file.closed for file in self._files):
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        shape, size = self.tensors[name].shape, ITEMSIZE[self._dtype]
        first = self._starts[name]
        end, piece = first + math.prod(shape), self._piece(first)
        if first < end <= self._ends[piece]:
            return self._files[piece].tensor(self._byte(piece, first), self._dtype, shape)
        content = bytearray((end - first) * size)  # of an empty tensor, or one that is cut
        element = first
        while element < end:
            piece = self._piece(element)
            stop = min(end, self._ends[piece])
            place = memoryview(content)[(element - first) * size : (stop - first) * size]
            self._files[piece].read_into(place, self._byte(piece, element))
            element = stop
        return tensor_of(content, self._dtype, shape)

    def _byte(self, piece: int, element: int) -> int:
        _, numel, start = self._headers[piece]
        return start + (element - self._ends[piece] + numel) * ITEMSIZE[self._dtype]

    def check_sums(self) -> list[Diagnostic]:
        return []

    def close(self) -> None:
        for file in self._files:
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_npy_header(file: BinaryIO) -> tuple[str, int, int]:
    """Type, number of elements and first byte of the array in an `.npy` file. Raises `Refused`."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if not head.startswith(b"\x93NUMPY"):
        raise Refused(*(what_it_is_instead(head) or ("this is not an `.npy` file of NumPy", AGAIN)))
    width = {1: 2, 2: 4, 3: 4}.get(head[6] if len(head) > 6 else 0)
    if width is None:
        raise Refused("it is of a version of the `.npy` format that is not known", AGAIN)
    length = int.from_bytes(head[8 : 8 + width], "little")
    start = 8 + width + length
    if start > size or len(head) < 8 + width:
        raise Refused(f"truncated: its header should end at byte {start}, the file has {size}", AGAIN)
    if length > HEADER_LIMIT:
        raise Refused(f"its header claims {length} bytes, more than any array of numbers needs", AGAIN)
    file.seek(8 + width)
    found = _HEADER.fullmatch(file.read(length))
    if found is None:
        raise Refused("its header does not describe an array of numbers", AGAIN)
    dtype = dtype_named(found[1].decode())
    shape = [int(number) for number in re.findall(rb"\d+", found[3])]
    if not representable(shape):
        raise Refused(f"its header claims an impossible shape: {shape}", AGAIN)
    if found[2] == b"True" and len(shape) > 1:
        raise Refused("its array is column-major, and cannot be part of a flat vector", AGAIN)
    end = start + math.prod(shape) * ITEMSIZE[dtype]
    if end != size:
        what = "truncated: " if end > size else ""
        raise Refused(f"{what}its header describes {end} bytes, the file has {size}", AGAIN)
    return dtype, math.prod(shape), start


def _read_shapes(path: Path) -> list[tuple[int, ...]]:
    with open_file(path) as file:
        text = file.read(LIST_LIMIT + 1)
    try:
        content = json.loads(text) if len(text) <= LIST_LIMIT else None
    except (ValueError, RecursionError) as error:
        raise problem(path, f"this list of shapes is not JSON: {str(error)[:200]}", AGAIN) from None
    if not isinstance(content, list) or not content or not all(_is_shape(shape) for shape in content):
        raise problem(path, "this is no list of shapes: `[[512, 768], [768], …]`", AGAIN)
    return [tuple(shape) for shape in content]


def _is_shape(shape: object) -> bool:
    sizes = isinstance(shape, list) and len(shape) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in shape)
    return sizes and representable(shape)


def _pieces(path: Path) -> list[Path]:
    """The files of the vector, in their order."""
    pieces = []
    while len(pieces) < MOST_PIECES and (piece := path.with_name(f"params_{len(pieces)}.npy")).is_file():
        pieces.append(piece)
    others = sorted(set(path.parent.glob("params_*.npy")) - set(pieces))
    if not pieces or others:
        named = f"; {listed(other.name for other in others)} would come after it" if others else ""
        raise problem(path, f"`params_{len(pieces)}.npy` is missing beside it{named}", "fetch all files of the release")
    return pieces


def _names(count: int) -> list[str]:
    return [f"params/{index}" for index in range(count)]


def write_numpy(folder: Path, tensors: Mapping[str, Tensor], pieces: int = PIECES) -> list[Path]:
    """Write `params/0`, `params/1`… as one flat vector in `pieces` files, and their shapes. Returns the files' paths.

    At most one tensor at a time is copied. Raises `WeightsError` if the names are others or the types differ,
    `DownloadError` if a file cannot be written.
    """
    names = _names(len(tensors))
    if not names or set(names) != set(tensors):
        strange = listed(sorted(set(tensors) - set(names)) or ["nothing"])
        last = max(len(names) - 1, 0)
        raise problem(folder, f"its tensors must be `params/0` to `params/{last}`; there is {strange}")
    dtypes = list(dict.fromkeys(dtype_of(tensors[name]) for name in names))
    if len(dtypes) > 1 or dtypes[0] not in NAMES:
        raise problem(folder, f"one flat vector of NumPy cannot hold {listed(dtypes)}", "convert with --dtype float32")
    if meta := [name for name in names if tensors[name].is_meta]:
        raise WeightsError(Diagnostic(f"{listed(meta)}: no values yet (meta device)", Place(str(folder))))
    total = sum(tensors[name].numel() for name in names)
    sizes = [total // pieces + (index < total % pieces) for index in range(pieces)]
    paths = [folder / f"params_{index}.npy" for index in range(pieces)]
    try:
        chunks = _chunks((bytes_of(tensors[name]) for name in names), [size * ITEMSIZE[dtypes[0]] for size in sizes])
        for path, size, content in zip(paths, sizes, chunks, strict=True):
            with replacing(path) as file:
                file.write(_header(dtypes[0], size))
                for run in content:
                    file.write(run)
        with replacing(folder / SHAPES) as file:
            file.write(json.dumps([list(tensors[name].shape) for name in names]).encode())
    except OSError as error:
        raise unwritable(folder, error) from None
    return [folder / SHAPES, *paths]


def _header(dtype: str, size: int) -> bytes:
    text = f"{{'descr': '{NAMES[dtype]}', 'fortran_order': False, 'shape': ({size},), }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def _chunks(runs: Iterator[memoryview], sizes: list[int]) -> Iterator[Iterator[memoryview]]:
    """The bytes of `runs`, one after the other, cut into pieces of `sizes`, each to be used up before the next."""
    rest = memoryview(b"")

    def take(size: int) -> Iterator[memoryview]:
        nonlocal rest
        while size:
            rest = rest or next(runs)
            part, rest = rest[:size], rest[size:]
            size -= len(part)
            yield part

    for size in sizes:
        yield take(size)
