"""Integers of one to ten bytes each, seven bits in a byte, as tensors of TensorFlow's first format hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Refused
from .dtypes import torch_dtype
from .protobuf import Bytes
from .sstable import AGAIN

CHUNK = 2**20  # bytes decoded together


def decode(content: Bytes, dtype: str, shape: Sequence[int]) -> Tensor:
    """The tensor of this shape whose elements are all that `content` holds. `Refused` if they are more or less."""
    out = torch.empty(math.prod(shape), dtype=torch_dtype(dtype))
    bits = out.view(torch.int16) if out.dtype.is_floating_point else out  # halves are stored as their bits
    data = torch.frombuffer(content, dtype=torch.uint8)
    start = done = 0
    while start < len(data):
        piece = data[start : start + CHUNK]
        ends = (piece < 0x80).nonzero().view(-1)
        begins = torch.cat([ends.new_zeros(1), ends[:-1] + 1])[: len(ends)]
        longest = int((ends - begins).max()) + 1 if len(ends) else 11
        if longest > 10 or done + len(ends) > len(bits):
            raise Refused("damaged: its numbers are too long or too many", AGAIN)
        values = torch.zeros_like(ends)
        for at in range(longest):
            digits = piece[(begins + at).clamp(max=len(piece) - 1)].long() & 0x7F
            values |= torch.where(begins + at <= ends, digits, 0) << 7 * at
        bits[done : done + len(ends)] = values
        start, done = start + int(ends[-1]) + 1, done + len(ends)
    if done < len(bits):
        raise Refused("damaged: it has fewer numbers than its shape says", AGAIN)
    return out.view(tuple(shape))
