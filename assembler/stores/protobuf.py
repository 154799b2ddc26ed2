"""The wire format of protocol buffers, as much of it as checkpoints need: one message at a time, nothing nested is read
before it is asked for, so no message can make a reader recurse."""

from __future__ import annotations

from collections.abc import Iterable

from .base import Refused

Bytes = bytes | memoryview
Fields = dict[int, list[int | Bytes]]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def read_varint(data: Bytes, position: int) -> tuple[int, int]:
    """An unsigned number of at most 64 bits, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise Refused("truncated: a number is cut off in it")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    if byte >= 0x80 or value >= 2**64:
        raise Refused("damaged: a number in it is longer than 64 bits")
    return value, position


def write_varint(value: int) -> bytes:
    value %= 2**64  # negative numbers are written as their two's complement
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def read_message(data: Bytes) -> Fields:
    """Every field's values by its number: numbers unsigned, nested messages and texts as slices of `data`.

    Raises `Refused`.
    """
    fields: Fields = {}
    position = 0
    while position < len(data):
        tag, position = read_varint(data, position)
        kind = tag & 7
        if kind == VARINT:
            value, position = read_varint(data, position)
            fields.setdefault(tag >> 3, []).append(value)
            continue
        if kind == BYTES:
            size, position = read_varint(data, position)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise Refused(f"damaged: a record in it has a field of the unknown wire type {kind}")
        if size > len(data) - position:
            raise Refused(f"damaged: a field in it claims {size} bytes, its record has {len(data) - position}")
        content = data[position : position + size]
        position += size
        fields.setdefault(tag >> 3, []).append(content if kind == BYTES else int.from_bytes(content, "little"))
    return fields


def number(fields: Fields, key: int) -> int:
    """The field's value, 0 if it is absent; of several the last counts."""
    value = fields.get(key, [0])[-1]
    if not isinstance(value, int):
        raise Refused(f"damaged: field {key} of a record should be a number")
    return value


def signed(fields: Fields, key: int) -> int:
    value = number(fields, key)
    return value - 2**64 if value >= 2**63 else value


def nested(fields: Fields, key: int) -> list[Bytes]:
    values = fields.get(key, [])
    if any(isinstance(value, int) for value in values):
        raise Refused(f"damaged: field {key} of a record should be a record itself")
    return values


def write_message(fields: Iterable[tuple[int, int | bytes]]) -> bytes:
    """Numbers as varints (zero is left out, as always), bytes as they are."""
    out = bytearray()
    for key, value in fields:
        if isinstance(value, bytes):
            out += write_varint(key << 3 | BYTES) + write_varint(len(value)) + value
        elif value:
            out += write_varint(key << 3 | VARINT) + write_varint(value)
    return bytes(out)
