"""Merging many words at once, by the sentencepiece library.

The library knows pieces, not merges: it joins any two neighbours whose text is a piece, the piece that was learnt first
before all others. With nothing but sound pieces that is what the listed merges do. Suppose a pair that is not listed
were the first to be joined, and made the piece P. What lies between the ends of P had merged as if it were alone up to
there, and alone it comes to two pieces only once: those that are listed for P.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any

from .bpe_derivation import Derivation
from .bpe_merges import Merges
from .byte_alphabet import to_alphabet

STRANGER = 0xFF  # a byte that UTF-8 has not; it stands between words
_TOGETHER = 64  # words
_BETWEEN = bytes([STRANGER])
_SCORE = b"\x15"  # the field of a float
_UNKNOWN, _CONTROL = b"\x18\x02", b"\x18\x03"  # types of pieces
#: `trainer_spec {model_type: BPE}`, and a `normalizer_spec` that changes nothing.
_SETTINGS = b"\x12\x02\x18\x02\x1a\x10\x0a\x08identity\x18\x00\x20\x00\x28\x00"


class LibraryMerges:
    """For orderly merges of bytes, where `possible`."""

    def __init__(self, merges: Merges, derivation: Derivation) -> None:
        import sentencepiece

        self._given = merges, derivation
        self._processor: Any = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(_model(merges, derivation))

    def __reduce__(self) -> tuple[Any, ...]:
        return LibraryMerges, self._given

    @staticmethod
    def possible(merges: Merges) -> bool:
        """Whether nothing merges with what stands between words."""
        return STRANGER not in merges.lefts and STRANGER not in merges.rights

    def of(self, words: Sequence[str]) -> list[int]:
        """The codes of the pieces of all words in one row, with a STRANGER between words."""
        codes: list[int] = []
        for start in range(0, len(words), _TOGETHER):
            together = [word.encode("utf-8", "replace") for word in words[start:start + _TOGETHER]]
            codes += self._processor.encode(to_alphabet(_BETWEEN.join(together)))
            codes.append(STRANGER)
        return codes[:-1]


def _model(merges: Merges, derivation: Derivation) -> bytes:
    """A model file of the library whose ids are the codes."""
    texts = "\n".join(merges.texts).encode().split(b"\n")
    sizes = list(map(len, texts))
    heads = {size: _head(size, len(_SCORE) + 4) for size in set(sizes)}
    scores = struct.pack(f"<{len(texts)}f", *range(0, -len(texts), -1))
    fields = zip(
        map(heads.__getitem__, sizes), texts, repeat(_SCORE), map(itemgetter(0), struct.iter_unpack("4s", scores)),
        strict=False,
    )
    parts = list(chain.from_iterable(fields))
    for code in derivation.unsound:  # never made of text
        parts[4 * code:4 * code + 4] = _typed(texts[code], _CONTROL), b"", b"", b""
    parts[4 * STRANGER:4 * STRANGER + 4] = _typed(b"\n", _UNKNOWN), b"", b"", b""
    return b"".join(parts) + _SETTINGS


def _typed(text: bytes, kind: bytes) -> bytes:
    return _head(len(text), len(kind)) + text + kind


def _head(size: int, more: int) -> bytes:
    """What stands before the text of a piece, behind which there are so many bytes `more`."""
    field = b"\x0a" + _varint(size)
    return b"\x0a" + _varint(len(field) + size + more) + field


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
