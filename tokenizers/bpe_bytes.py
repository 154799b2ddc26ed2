"""The pieces of a word over bytes: the quickest of several ways to what merging would make."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from itertools import accumulate, chain, compress, count, pairwise
from operator import itemgetter, sub

from .bpe_chunks import merged_by_chunks
from .bpe_merges import Merges
from .bpe_walk import Walk
from .byte_alphabet import from_alphabet, to_alphabet
from .cache import Cache
from .cuts import Span

FEW = 24  # bytes: up to here merging is faster than walking
MANY = 64  # characters: from here walking needs less memory

_LATER = bytes(range(0x80, 0xC0))  # bytes that do not begin a character
_FIRST, _LAST = itemgetter(0), itemgetter(-1)


class BytePieces:
    """For `merges` whose first 256 codes are those of the bytes."""

    def __init__(self, merges: Merges) -> None:
        self._merges = merges
        walk = Walk(merges)
        self._walk = walk if walk.possible else None
        self._begun, self._inside = Cache(self._characters), Cache(self._begins_inside)
        self._stretches = Cache(self._of_stretch)

    def of(self, word: str) -> MutableSequence[int]:
        """The codes of the pieces of a word. A lone surrogate counts as a question mark."""
        data = word.encode("utf-8", "replace")
        text = to_alphabet(data)
        walk = self._walk
        if walk is not None:
            code = walk.piece(text)
            if code is not None:
                return [code]
            if len(data) > 1.5 * len(word) and len(word) <= MANY:
                pieces = self._by_character(word)
                if pieces is not None:
                    return pieces
        return self._merged(data, text)

    def spans(self, word: str, pieces: Sequence[int]) -> Sequence[Span]:
        """The (start, end) in characters of each of the pieces of a word; one of a part of a character has all of it.
        """
        if len(pieces) == 1:
            return ((0, len(word)),)
        ends = list(accumulate(map(self._begun.__getitem__, pieces)))
        starts = map(sub, [0, *ends[:-1]], map(self._inside.__getitem__, pieces))
        return tuple(zip(starts, ends, strict=True))

    def _merged(self, data: bytes, text: str) -> MutableSequence[int]:
        if self._walk is not None and len(data) > FEW and (pieces := self._walk.pieces(text)) is not None:
            return pieces
        return merged_by_chunks(self._merges, data)[0]

    def _by_character(self, word: str) -> list[int] | None:
        """Characters of several bytes seldom merge, and so the pieces of a word are mostly those of its characters.
        Where two pieces may not stand side by side, their characters are merged as one stretch. None if that brings
        such pieces together again."""
        may_stand = self._walk.side_by_side.__getitem__
        found = list(map(self._stretches.__getitem__, word))
        pieces = list(chain.from_iterable(found))
        if all(map(may_stand, pairwise(pieces))):
            return pieces
        seams = map(may_stand, zip(map(_LAST, found), map(_FIRST, found[1:]), strict=False))
        cuts = [0, *compress(count(1), seams), len(word)]
        pieces = list(chain.from_iterable([self._stretches[word[start:end]] for start, end in pairwise(cuts)]))
        return pieces if all(map(may_stand, pairwise(pieces))) else None

    def _of_stretch(self, stretch: str) -> tuple[int, ...]:
        data = stretch.encode("utf-8", "replace")
        return tuple(self._merged(data, to_alphabet(data)))

    def _characters(self, piece: int) -> int:
        """How many characters begin in it."""
        return len(from_alphabet(self._merges.texts[piece]).translate(None, _LATER))

    def _begins_inside(self, piece: int) -> int:
        """Whether it begins inside of a character."""
        return int(from_alphabet(self._merges.texts[piece])[0] in _LATER)
