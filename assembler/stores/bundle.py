"""What the index of a TensorFlow checkpoint says (its second format, the "tensor bundle"), and how it is written.

The value of the empty key is a header; every other key is a variable's name, its value says where the bytes are. A
partitioned variable has no bytes of its own but a list of slices; each has an entry under a key made of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .base import Refused, quoted, representable
from .dtypes import ITEMSIZE
from .protobuf import Bytes, Fields, nested, number, read_message, signed, write_message, write_varint
from .slices import DIMS, Part, Variable, read_slices, slice_key, tiles
from .sstable import AGAIN, read_table, table

LIMIT = 2**26  # bytes of an index; the largest released ones have a few hundred thousand
ENTRIES = 2**18
ENTRY = 2**18  # bytes of one entry, slices included
VERSION = 1  # of the format

DTYPES: dict[int, str] = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64", 9: "int64", 10: "bool",
    14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64", 24: "float8_e5m2",
    25: "float8_e4m3fn", 26: "float8_e4m3fnuz", 28: "float8_e5m2fnuz",
}  # fmt: skip
CODES = {dtype: code for code, dtype in DTYPES.items()}
NO_NUMBERS = (7, 20, 21)  # strings, handles, objects


@dataclass(frozen=True, slots=True)
class Entry:
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int  # bytes
    checksum: int  # masked


def read_index(data: memoryview) -> tuple[int, dict[str, Variable[Entry]], list[str]]:
    """The number of shards, the variables, and the names of what is no array of numbers. Raises `Refused`."""
    records = dict(read_table(data, limit=LIMIT, entries=ENTRIES))
    shards = _header(records.pop(b"", None))
    too_long = [key for key, value in records.items() if len(value) > ENTRY]
    if too_long:
        raise Refused(f"the entry of {_shown(too_long[0])} in its index has over {ENTRY} bytes")
    messages = {key: read_message(value) for key, value in records.items()}
    names = {key: _name(key) for key in records if not key.startswith(b"\0")}
    ignored = [name for key, name in names.items() if number(messages[key], 1) in NO_NUMBERS]
    used: set[bytes] = set()
    variables = {}
    for key, name in names.items():
        fields = messages[key]
        if number(fields, 1) in NO_NUMBERS:
            continue
        slices = read_slices(nested(fields, 7), name)
        if slices:
            dtype, shape = read_type(fields, name)
            keys = [slice_key(key, extents) for extents in slices]
            absent = [extents for extents, at in zip(slices, keys, strict=True) if at not in messages]
            if absent:
                raise Refused(f"{len(absent)} of the {len(slices)} slices of {quoted(name)} are missing", AGAIN)
            used.update(keys)
            variables[name] = tiles(name, dtype, shape, slices, [_entry(messages[at], name, shards) for at in keys])
        else:
            entry = _entry(fields, name, shards)
            variables[name] = Variable(entry.dtype, entry.shape, (Part((0,) * len(entry.shape), entry),))
    ignored += [_shown(key) for key in records if key.startswith(b"\0") and key not in used]
    return shards, variables, ignored


def _header(value: Bytes | None) -> int:
    if value is None:
        raise Refused("damaged: its index has no header", AGAIN)
    fields = read_message(value)
    if number(fields, 2):
        raise Refused("it was saved on a big-endian machine", "load and save it again with TensorFlow on this machine")
    version = read_message(b"".join(nested(fields, 3)))
    if number(version, 2) > VERSION:
        raise Refused(f"it is of version {number(version, 2)} of the format; {VERSION} is the newest known")
    return number(fields, 1)


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def _name(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise Refused(f"damaged: the name {quoted(_shown(key))} in its index is not text", AGAIN) from None


def read_type(fields: Fields, name: str, key: int = 1) -> tuple[str, tuple[int, ...]]:
    """The type of a tensor, which is field `key`, and its shape, field 2. `Refused` if torch could not hold it."""
    code = number(fields, key)
    if code not in DTYPES:
        raise Refused(f"tensor {quoted(name)} is stored as TensorFlow's type {code}, which torch has no type for")
    shape = read_message(b"".join(nested(fields, 2)))
    dims = nested(shape, 2)
    if number(shape, 3) or len(dims) > DIMS:
        raise Refused(f"tensor {quoted(name)} claims {'no shape' if number(shape, 3) else f'{len(dims)} dimensions'}")
    sizes = tuple(signed(read_message(dim), 1) for dim in dims)
    if min(sizes, default=0) < 0 or not representable((*sizes, ITEMSIZE[DTYPES[code]])):
        raise Refused(f"tensor {quoted(name)} claims an impossible shape: {list(sizes)}")
    return DTYPES[code], sizes


def _entry(fields: Fields, name: str, shards: int) -> Entry:
    dtype, shape = read_type(fields, name)
    needed = math.prod(shape) * ITEMSIZE[dtype]
    shard, offset, size = (signed(fields, key) for key in (3, 4, 5))
    if not 0 <= shard < shards:
        raise Refused(f"tensor {quoted(name)} should lie in data file {shard}; there are {shards}", AGAIN)
    if offset < 0 or size != needed:
        wants = f"as {dtype} {list(shape)} it needs {needed}"
        raise Refused(f"tensor {quoted(name)} claims {size} bytes from byte {offset}; {wants}", AGAIN)
    return Entry(dtype, shape, shard, offset, size, number(fields, 6))


def index(entries: Mapping[str, Entry]) -> bytes:
    """The index of a bundle with one data file."""
    header = write_message([(1, 1), (3, write_message([(1, VERSION)]))])
    rows = {name.encode(): _message(entry) for name, entry in entries.items()}
    return table([(b"", header), *sorted(rows.items())])


def _message(entry: Entry) -> bytes:
    dims = b"".join(write_message([(2, write_message([(1, size)]))]) for size in entry.shape)
    fields: list[tuple[int, Any]] = [(1, CODES[entry.dtype]), (2, dims), (4, entry.offset), (5, entry.size)]
    return write_message(fields) + write_varint(6 << 3 | 5) + entry.checksum.to_bytes(4, "little")
