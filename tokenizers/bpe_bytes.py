"""The pieces of a word over bytes: the quickest of several ways to what merging would make."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from itertools import accumulate, chain, compress, count, pairwise
from operator import itemgetter, sub

from .bpe_chunks import merged_by_chunks
from .bpe_merges import Merges
from .bpe_walk import Walk
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
        # Of each piece: how many characters begin in it, and whether it begins inside of one.
        self._begun = [
            len(text if text.isascii() else text.encode("latin-1", "replace").translate(None, _LATER))
            for text in walk.texts
        ]
        self._inside = ["\x80" <= text < "\xc0" for text in walk.texts]
        self._stretches = Cache(self._of_stretch)

    def of(self, word: str) -> MutableSequence[int]:
        """The codes of the pieces of a word. A lone surrogate counts as a question mark."""
        text = word if word.isascii() else _latin(word)
        walk = self._walk
        if walk is not None:
            code = walk.piece(text)
            if code is not None:
                return [code]
            if len(text) > 1.5 * len(word) and len(word) <= MANY:
                pieces = self._by_character(word)
                if pieces is not None:
                    return pieces
        return self._of_text(text)

    def spans(self, word: str, pieces: Sequence[int]) -> Sequence[Span]:
        """The (start, end) in characters of each of the pieces of a word; one of a part of a character has all of it.
        """
        if len(pieces) == 1:
            return ((0, len(word)),)
        ends = list(accumulate(map(self._begun.__getitem__, pieces)))
        starts = map(sub, [0, *ends[:-1]], map(self._inside.__getitem__, pieces))
        return tuple(zip(starts, ends, strict=True))

    def _of_text(self, text: str) -> MutableSequence[int]:
        if self._walk is not None and len(text) > FEW and (pieces := self._walk.pieces(text)) is not None:
            return pieces
        return merged_by_chunks(self._merges, text.encode("latin-1"))[0]

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
        return tuple(self._of_text(_latin(stretch)))


def _latin(text: str) -> str:
    """UTF-8 bytes, each as the character of Latin-1."""
    return text.encode("utf-8", "replace").decode("latin-1")
