"""CRC-32C, the checksum of TensorFlow's files, of gigabytes in a second: long division with wide digits.

A message is a polynomial over GF(2), its checksum the remainder by P of degree 32. If x^75 = R modulo P then, squaring
being linear, x^(75·U) = R(x^U) for each U that is a power of two. So with rows of U bits for digits, a row is moved 75
rows down by XORing it to as many rows as R has terms: whole rows at a time, and neither tables nor bits are looked at.
What is left when 75 rows are is divided again in rows of half the width, and the last bytes one by one.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

POLYNOMIAL = 0x82F63B78  # bit-reversed, as all of the arithmetic here: the first bit of a byte is its lowest
ROWS = 75  # R has the fewest terms there: eleven
WIDTH = 2**12  # bytes of the widest row: what is XORed at once stays in the cache, and with one thread
PIECE = 32 * ROWS  # rows folded together
ONES = bytes.fromhex("54641f64")  # after which a register of zeros is one of ones, with which a checksum begins
NARROW = 8  # bytes of the narrowest
SHORT = ROWS * NARROW  # bytes


def _table() -> tuple[int, ...]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (POLYNOMIAL if value & 1 else 0) for value in table]
    return tuple(table)


def _terms() -> list[int]:
    """The exponents of x^ROWS modulo P."""
    value = 1 << 31  # x^0
    for _ in range(ROWS):
        value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
    return [exponent for exponent in range(32) if value >> (31 - exponent) & 1]


TABLE = _table()
TERMS = _terms()
STEP = ROWS - max(TERMS)  # rows that can be moved at once: none of them onto another


def crc32c(data: memoryview | bytearray, *, bytewise: int = SHORT) -> int:
    """The CRC-32C of some bytes. Up to `bytewise` of them it is worked out without torch, some megabytes a second."""
    size = len(data)
    if size <= max(bytewise, SHORT):
        return _bytewise(data, 0xFFFFFFFF) ^ 0xFFFFFFFF
    import torch

    width = NARROW
    while width < WIDTH and 2 * width * ROWS < size:
        width *= 2
    kept, piece = ROWS * width, min(-(-size // width), PIECE) * width
    buffer = bytearray(kept + piece)  # what is left of the pieces before, and a piece
    rows = torch.frombuffer(buffer, dtype=torch.int64)
    start, some = 0, (size - 1) % piece + 1  # zeros in front do not change a remainder: the first piece is the odd one
    while start < size:
        buffer[:kept] = buffer[-kept:]
        buffer[-some:] = data[start : start + some]
        if start == 0:
            buffer[-some - 4 : -some] = ONES
        remainder = _fold(rows.view(-1, width // 8))
        start, some = start + some, piece
    while width > NARROW:
        width //= 2
        remainder = _fold(remainder.view(-1, width // 8))
    return _bytewise(struct.pack(f"={ROWS}q", *remainder.view(-1).tolist()), 0) ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """As the files store it, so that a checksum of data with checksums in it is still one."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _fold(rows: Tensor) -> Tensor:
    """The last ROWS of the rows, with the ones before divided away; works in place."""
    done, extra = 0, len(rows) - ROWS
    while done < extra:
        count = min(STEP, extra - done)
        moved = rows[done : done + count]
        for exponent in TERMS:
            below = done + ROWS - exponent
            rows[below : below + count].bitwise_xor_(moved)
        done += count
    return rows[extra:]


def _bytewise(data: bytes | bytearray | memoryview, register: int) -> int:
    for byte in data:
        register = register >> 8 ^ TABLE[(register ^ byte) & 0xFF]
    return register
