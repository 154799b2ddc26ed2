"""Snappy's block format, inflated. The result is never longer than its first bytes say, nor than the caller allows."""

from __future__ import annotations

from .base import Refused
from .protobuf import read_varint

DAMAGED = "damaged: its compressed data contradicts itself"


def inflate(data: bytes | memoryview, limit: int) -> bytearray:
    """Raises `Refused` for data that is damaged or would have more than `limit` bytes."""
    size, position = read_varint(data, 0)
    if size > limit:
        raise Refused(f"a compressed block in it claims to have {size} bytes inflated; {limit} are allowed")
    out = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:  # bytes as they are; lengths over 60 follow in one to four bytes
            if length > 60:
                extra = length - 60
                length = int.from_bytes(data[position : position + extra], "little") + 1
                position += extra
            if length > min(len(data) - position, size - len(out)):
                raise Refused(DAMAGED)
            out += data[position : position + length]
            position += length
            continue
        if kind == 1:  # a copy of what came before, near, far or very far
            length, extra = (tag >> 2 & 7) + 4, 1
        else:
            extra = 2 if kind == 2 else 4
        offset = int.from_bytes(data[position : position + extra], "little")
        if kind == 1:
            offset |= tag >> 5 << 8
        position += extra
        if position > len(data) or not 0 < offset <= len(out) or length > size - len(out):
            raise Refused(DAMAGED)
        start = len(out) - offset
        pattern = out[start : start + length]  # shorter than the length if the copy runs into itself
        out += (pattern * (length // len(pattern) + 1))[:length]
    if len(out) != size:
        raise Refused(DAMAGED)
    return out
