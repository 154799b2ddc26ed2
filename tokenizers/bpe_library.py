"""Merging many words at once, by the sentencepiece library.

The library knows pieces, not merges: it joins any two neighbours whose text is a piece, the piece that was learnt first
before all others. With nothing but sound pieces that is what the listed merges do. Suppose a pair that is not listed
were the first to be joined, and made the piece P. What lies between the ends of P had merged as if it were alone up to
there, and alone it comes to two pieces only once: those that are listed for P.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from .bpe_derivation import Derivation
from .bpe_merges import Merges
from .byte_alphabet import to_alphabet
from .library_model import BPE, CONTROL, SCORE, UNKNOWN, processor

SEPARATOR = 0xFF  # a byte that UTF-8 has not; it stands behind words, and is its own code
_TOGETHER = 64  # words
_BETWEEN = bytes([SEPARATOR])


class LibraryMerges:
    """For orderly merges of bytes, where `possible`."""

    def __init__(self, merges: Merges, derivation: Derivation) -> None:
        texts = "\n".join(merges.texts).encode().split(b"\n")
        odd = {code: (texts[code], CONTROL) for code in derivation.unsound}  # which are never made of text
        odd[SEPARATOR] = b"\n", UNKNOWN
        self._processor = processor(BPE, texts, _scores(len(texts)), len(SCORE) + 4, odd)

    @staticmethod
    def possible(merges: Merges) -> bool:
        """Whether nothing merges with what stands behind words."""
        return SEPARATOR not in merges.lefts and SEPARATOR not in merges.rights

    def of(self, words: Sequence[str]) -> list[int]:
        """The codes of the pieces of all words in one row, with a SEPARATOR behind each word."""
        codes: list[int] = []
        for start in range(0, len(words), _TOGETHER):
            together = [word.encode("utf-8", "replace") for word in words[start:start + _TOGETHER]]
            codes += self._processor.encode(to_alphabet(_BETWEEN.join(together)))
            codes.append(SEPARATOR)
        return codes


def _scores(size: int) -> Iterator[bytes]:
    """The lower the code the better."""
    packed = struct.pack(f"<{size}f", *range(0, -size, -1))
    return (SCORE + score for (score,) in struct.iter_unpack("4s", packed))
