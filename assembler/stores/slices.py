"""Variables that TensorFlow saved in parts: each part says which slice of the whole it is, along every dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from .base import Refused, quoted
from .protobuf import Bytes, nested, read_message, signed
from .sstable import AGAIN

if TYPE_CHECKING:
    from torch import Tensor

DIMS = 64  # as many as torch works with
PARTS = 2**10  # of one variable

Slice = tuple[tuple[int, int], ...]  # start and length in each dimension; length -1 is all of it


class Stored(Protocol):
    """Where the values of a part are."""

    dtype: str
    shape: tuple[int, ...]


S = TypeVar("S", bound=Stored)


@dataclass(frozen=True, slots=True)
class Part(Generic[S]):
    start: tuple[int, ...]  # where it begins in the whole
    stored: S


@dataclass(frozen=True, slots=True)
class Variable(Generic[S]):
    dtype: str
    shape: tuple[int, ...]
    parts: tuple[Part[S], ...]  # one if it was saved whole

    def read(self, values: Callable[[S], Tensor]) -> Tensor:
        first = values(self.parts[0].stored)
        if len(self.parts) == 1:
            return first
        whole = first.new_empty(self.shape)
        for part in self.parts:
            place = tuple(slice(a, a + b) for a, b in zip(part.start, part.stored.shape, strict=True))
            whole[place] = values(part.stored)
        return whole


def read_slices(messages: Sequence[Bytes], name: str) -> list[Slice]:
    if len(messages) > PARTS:
        raise Refused(f"variable {quoted(name)} claims {len(messages)} slices")
    slices = []
    for message in messages:
        extents = nested(read_message(message), 1)
        if len(extents) > DIMS:
            raise Refused(f"a slice of {quoted(name)} claims {len(extents)} dimensions")
        found = [read_message(extent) for extent in extents]
        slices.append(tuple((signed(extent, 1), signed(extent, 2)) if 2 in extent else (0, -1) for extent in found))
    return slices


def tiles(name: str, dtype: str, shape: tuple[int, ...], slices: list[Slice], parts: list[S]) -> Variable[S]:
    """The variable that consists of these parts. `Refused` unless they lie side by side and leave nothing out."""
    boxes = []
    for extents, part in zip(slices, parts, strict=True):
        if len(extents) != len(shape):
            raise Refused(f"a slice of {quoted(name)} has {len(extents)} dimensions, the variable {len(shape)}", AGAIN)
        box = [(a, size if b < 0 else b) for (a, b), size in zip(extents, shape, strict=True)]
        inside = all(0 <= a <= a + b <= size for (a, b), size in zip(box, shape, strict=True))
        if not inside or part.shape != tuple(b for _, b in box) or part.dtype != dtype:
            raise Refused(f"a slice of {quoted(name)} {list(shape)} does not fit it: {box}", AGAIN)
        boxes.append(box)
    apart = all(
        any(a + b <= c or c + d <= a for (a, b), (c, d) in zip(one, other, strict=True))
        for at, one in enumerate(boxes) for other in boxes[:at]
    )
    if not apart or sum(math.prod(part.shape) for part in parts) != math.prod(shape):
        raise Refused(f"the slices of {quoted(name)} overlap or leave a part of it out", AGAIN)
    starts = (tuple(a for a, _ in box) for box in boxes)
    return Variable(dtype, shape, tuple(map(Part, starts, parts)))


def slice_key(name: bytes, extents: Slice) -> bytes:
    """The key of a slice: 0, the name, the number of dimensions, and each start and length, encoded so that the order
    of the bytes is that of the values."""
    escaped = name.replace(b"\0", b"\0\xff")  # the other byte to escape, 255, is in no UTF-8
    out = _ordered(0) + escaped + b"\0\1" + _ordered(len(extents))
    return out + b"".join(_ordered_signed(value) for extent in extents for value in extent)


def _ordered(value: int) -> bytes:
    """How many bytes follow, then those, the highest first."""
    content = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(content)]) + content


def _ordered_signed(value: int) -> bytes:
    """Two's complement in n bytes, its first n bits (all alike, so no more than signs) inverted."""
    size = (~value if value < 0 else value).bit_length() // 7 + 1
    signs = ((1 << size) - 1) << 7 * size
    return (value % (1 << 8 * size) ^ signs).to_bytes(size, "big")
