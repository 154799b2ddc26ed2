"""TensorFlow's first checkpoint format: one sorted table with the values in it, in messages, cut into slices.

The value of the empty key lists the variables and their slices; each slice has an entry under the same kind of key as
in a bundle. Floats lie there as they are; integers and half floats are varints, and are decoded when they are read.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ...errors import Diagnostic
from .base import Refused, TensorInfo, missing_tensor, open_file, problem, quoted, what_it_is_instead
from .bundle import ENTRIES, LIMIT, NO_NUMBERS, read_type
from .dtypes import ITEMSIZE
from .mapped import tensor_of
from .protobuf import Bytes, nested, number, read_message
from .slices import Variable, read_slices, slice_key, tiles
from .sstable import AGAIN, FOOTER, read_table

if TYPE_CHECKING:
    from torch import Tensor

# The field of a tensor message that holds the values of a type.
FIXED = {"float32": 5, "float64": 6, "complex64": 9, "complex128": 12}
VARINTS = {
    "int8": 7, "int16": 7, "int32": 7, "uint8": 7, "uint16": 7, "int64": 10, "bool": 11, "float16": 13, "bfloat16": 13,
    "uint32": 16, "uint64": 17,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Values:
    dtype: str
    shape: tuple[int, ...]
    content: Bytes

    def tensor(self) -> Tensor:
        if self.dtype in FIXED or 0 in self.shape:
            return tensor_of(self.content, self.dtype, self.shape)
        from .varints import decode

        return decode(self.content, self.dtype, self.shape)


class TensorflowFile:
    """One file of the first format. All of it is checked against its checksums when it is opened."""

    name = "tensorflow"
    metadata: Mapping[str, str] = {}
    extras: Mapping[str, object] = {}

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        with open_file(path) as file:
            head = file.read(512)
            try:
                if instead := what_it_is_instead(head):
                    raise Refused(*instead)
                if len(head) < FOOTER:
                    raise Refused("truncated: it is too short for a checkpoint", AGAIN)
                view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
                self._variables, self.ignored = _read(view)
            except Refused as error:
                raise problem(path, str(error), error.help) from None
        self.tensors = {name: TensorInfo(found.shape, found.dtype, path) for name, found in self._variables.items()}

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if name not in self._variables:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        try:
            return self._variables[name].read(Values.tensor)
        except Refused as error:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: {error}", error.help) from None

    def check_sums(self) -> list[Diagnostic]:
        return []

    def close(self) -> None:
        self._variables = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _read(data: memoryview) -> tuple[dict[str, Variable[Values]], tuple[str, ...]]:
    records = dict(read_table(data, limit=LIMIT, entries=ENTRIES))
    header = records.pop(b"", b"")
    if len(header) > LIMIT:
        raise Refused("the list of its variables is too large")
    contents = nested(read_message(header), 1)
    if not contents:
        raise Refused("it lists no variables: this is the index of no TensorFlow checkpoint", AGAIN)
    variables: dict[str, Variable[Values]] = {}
    ignored = []
    for entry in map(read_message, nested(read_message(contents[0]), 1)):
        key = bytes(b"".join(nested(entry, 1)))
        name = key.decode("utf-8", "backslashreplace")
        if number(entry, 3) in NO_NUMBERS:
            ignored.append(name)
            continue
        if name in variables:
            raise Refused(f"damaged: it lists the variable {quoted(name)} twice", AGAIN)
        dtype, shape = read_type(entry, name, key=3)
        slices = read_slices(nested(entry, 4), name)
        parts = []
        for extents in slices:
            record = records.get(slice_key(key, extents))
            if record is None:
                raise Refused(f"a slice of {quoted(name)} is missing", AGAIN)
            sizes = (size if b < 0 else b for (_, b), size in zip(extents, shape, strict=False))
            parts.append(_values(record, name, dtype, tuple(sizes)))
        variables[name] = tiles(name, dtype, shape, slices, parts)
    return variables, tuple(ignored)


def _values(record: memoryview, name: str, dtype: str, shape: tuple[int, ...]) -> Values:
    """The slice whose entry this is, if it can be as large as it should; varints are counted when they are read."""
    message: Bytes = record
    for key in (2, 3):
        inner = nested(read_message(message), key)
        if len(inner) != 1:
            raise Refused(f"damaged: a slice of {quoted(name)} holds {len(inner)} tensors", AGAIN)
        message = inner[0]
    contents = nested(read_message(message), FIXED.get(dtype) or VARINTS.get(dtype, 0))
    content = contents[0] if contents else b""
    count = math.prod(shape)
    fits = len(content) == count * ITEMSIZE[dtype] if dtype in FIXED else count <= len(content) <= 10 * count
    if len(contents) > 1 or not fits:
        raise Refused(f"a slice of {quoted(name)} has {len(content)} bytes, which are not its {count} values", AGAIN)
    return Values(dtype, shape, content)
