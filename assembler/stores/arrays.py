"""NumPy's arrays as inert descriptions: what a pickle or an `.npy` header says of them, without NumPy."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .base import Refused, quoted, representable
from .dtypes import ITEMSIZE
from .mapped import MappedFile, row_major, tensor_of

if TYPE_CHECKING:
    from torch import Tensor

DTYPES: dict[str, str] = {
    "f8": "float64", "f4": "float32", "f2": "float16", "i8": "int64", "i4": "int32", "i2": "int16", "i1": "int8",
    "u8": "uint64", "u4": "uint32", "u2": "uint16", "u1": "uint8", "b1": "bool", "c8": "complex64", "c16": "complex128",
}
NAMES = {dtype: ("|" if ITEMSIZE[dtype] == 1 else "<") + name for name, dtype in DTYPES.items()}
_NUMBERS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I",
            "u2": "H", "u1": "B", "b1": "?"}  # fmt: skip


def dtype_named(name: str) -> str:
    """The type NumPy calls `<f4`. Raises `Refused` if torch has none, or the bytes are in the other order."""
    order, kind = (name[0], name[1:]) if name[:1] in "<>=|" else ("", name)
    if kind not in DTYPES:
        raise Refused(f"it holds an array of NumPy's type {quoted(name)}, which torch has none for")
    if order == ">" and ITEMSIZE[DTYPES[kind]] > 1:
        raise Refused("it holds a big-endian array", "load it with NumPy and save `array.astype('<f4')`")
    return DTYPES[kind]


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """A run of bytes left in the file."""

    start: int
    size: int

    def __len__(self) -> int:
        return self.size


Content = StoredBytes | bytes | str  # a text is how old protocols spell bytes: one character each


@dataclass(slots=True, eq=False)
class StoredDtype:
    """`numpy.dtype(name)`, of which the pickle tells the byte order afterwards."""

    name: str

    def build(self, state: object) -> None:
        version, order, *structure = state if isinstance(state, tuple) and len(state) in (8, 9) else (None, "")
        if version not in (3, 4) or not isinstance(order, str) or order not in ("<", ">", "=", "|"):
            raise TypeError("the description of a NumPy type")
        if any(part is not None for part in structure[:3]):
            raise Refused("it holds a structured NumPy array", "save its columns one by one")
        self.name = order.replace("=", "<") + self.name.lstrip("<>=|")


@dataclass(slots=True, eq=False)
class StoredArray:
    """An array. `dtype` as NumPy spells it (`<f4`); column-major if `fortran`."""

    dtype: str = "<f4"
    shape: tuple[int, ...] = (0,)
    fortran: bool = False
    content: Content = b""

    def build(self, state: object) -> None:
        """Take what `ndarray.__reduce__` says. Raises `Refused`, or `TypeError` if that is nonsense."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise TypeError("the description of an array")
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, StoredDtype) or not isinstance(shape, tuple) or len(shape) > 64:
            raise TypeError("an array without proper type or shape")
        if any(type(size) is not int or not 0 <= size < 2**63 for size in shape):
            raise TypeError("an array without a proper shape")
        if not representable(shape):
            raise Refused(f"an array claims an impossible shape: {list(shape)}")
        if isinstance(content, list):
            raise Refused("it holds a NumPy array of Python objects", "save numbers only")
        if not isinstance(content, Content):
            raise TypeError("an array without its bytes")
        held = DTYPES.get(dtype.name.lstrip("<>=|"))
        needed = math.prod(shape) * ITEMSIZE[held] if held is not None else len(content)
        if len(content) != needed:
            raise Refused(f"an array of shape {list(shape)} should have {needed} bytes and has {len(content)}")
        self.dtype, self.shape, self.fortran, self.content = dtype.name, shape, bool(fortran), content

    def read(self, file: MappedFile) -> Tensor:
        """The array as a tensor; `file` is the one its pickle lies in. Raises `Refused`."""
        dtype = dtype_named(self.dtype)
        stride = row_major(self.shape[::-1])[::-1] if self.fortran else row_major(self.shape)
        if isinstance(self.content, StoredBytes):
            return file.tensor(self.content.start, dtype, self.shape, stride)
        return tensor_of(bytearray(_bytes(self.content)), dtype, self.shape, stride)


def scalar(dtype: object, content: object) -> object:
    """A NumPy number as Python's; other values (texts, dates) as an array without dimensions."""
    if not isinstance(dtype, StoredDtype) or not isinstance(content, bytes | str):
        raise TypeError("a NumPy value without type or bytes")
    kind = dtype.name.lstrip("<>=|")
    if kind in DTYPES and len(content) != ITEMSIZE[DTYPES[kind]]:
        raise TypeError("a NumPy number of the wrong size")
    if kind not in _NUMBERS:
        return StoredArray(dtype.name, (), False, content)
    return struct.unpack((">" if dtype.name[0] == ">" else "<") + _NUMBERS[kind], _bytes(content))[0]


def _bytes(content: bytes | str) -> bytes:
    try:
        return content.encode("latin-1") if isinstance(content, str) else content
    except UnicodeEncodeError:
        raise Refused("the bytes of an array are spelled as a text that is none") from None
