"""Models of the sentencepiece library made in memory, so that its engine cuts words for vocabularies of other kinds.

The library reads a protocol buffer: pieces with a text (field 1) and a score (2, a float) or a type (3), then settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

BPE, CHARACTERS = b"\x02", b"\x04"  # types of models
SCORE = b"\x15"  # the beginning of a field of four bytes
UNKNOWN, CONTROL, FOUND_FIRST = b"\x18\x02", b"\x18\x03", b"\x18\x04"  # types of pieces
#: A `normalizer_spec` that changes nothing.
_UNCHANGED = b"\x1a\x10\x0a\x08identity\x18\x00\x20\x00\x28\x00"

Piece = tuple[bytes, bytes]  # its text, and its score or type


def processor(kind: bytes, texts: Sequence[bytes], rest: Iterable[bytes], width: int, odd: Mapping[int, Piece]) -> Any:
    """The library's processor for pieces that have their place in `texts` as their id. `rest`: what stands behind the
    text of each, all of `width` bytes. `odd`: other pieces that take the place of these."""
    import sentencepiece

    sizes = list(map(len, texts))
    heads = {size: _head(size, width) for size in set(sizes)}
    parts = list(chain.from_iterable(zip(map(heads.__getitem__, sizes), texts, rest, strict=False)))
    for place, (text, more) in odd.items():
        parts[3 * place:3 * place + 3] = _head(len(text), len(more)), text, more
    made = sentencepiece.SentencePieceProcessor()
    made.LoadFromSerializedProto(b"".join([*parts, b"\x12\x02\x18", kind, _UNCHANGED]))
    return made


def _head(size: int, more: int) -> bytes:
    """What stands before a text of `size` bytes that `more` follow."""
    field = b"\x0a" + _varint(size)
    return b"\x0a" + _varint(len(field) + size + more) + field


def _varint(number: int) -> bytes:
    # The stores of the assembler write such, too. Nothing here may import them, and six lines are no module.
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
