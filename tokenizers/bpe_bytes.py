"""The pieces of words over bytes: the quickest way to what merging would make."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence, Sequence
from itertools import accumulate, chain, repeat
from operator import sub

from .bpe_chunks import merged_by_chunks
from .bpe_derivation import Derivation
from .bpe_library import STRANGER, LibraryMerges
from .bpe_merges import Merges
from .bpe_walk import Walk
from .byte_alphabet import from_alphabet, to_alphabet
from .cache import Cache
from .cuts import Cut

LONG = 1 << 10  # characters: from here walking needs less memory than the library

_LATER = bytes(range(0x80, 0xC0))  # bytes that do not begin a character


class BytePieces:
    """For `merges` whose first 256 codes are those of the bytes. `ids`: by code the id of a piece."""

    def __init__(self, merges: Merges, ids: Sequence[int]) -> None:
        self._merges, self._ids = merges, ids
        self._walk: Walk | None = None
        self._library: LibraryMerges | None = None
        if merges.symbols is not None:
            derivation = Derivation(merges)
            self._walk = Walk(merges, derivation)
            self._library = LibraryMerges(merges, derivation) if LibraryMerges.possible(merges) else None
        self._begun, self._inside = Cache(self._characters), Cache(self._begins_inside)

    def ids(self, word: str) -> tuple[int, ...]:
        """The ids of the pieces of a word. A lone surrogate counts as a question mark."""
        return tuple(map(self._ids.__getitem__, self._codes(word)))

    def cut(self, word: str) -> Cut:
        """Them, and where they stand; a piece of a part of a character has all of it."""
        codes = self._codes(word)
        return tuple(map(self._ids.__getitem__, codes)), tuple(self._bounds(codes, repeat(0))), (len(codes),)

    def ids_of_each(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of each word, much faster than one by one."""
        codes = self._row(words)
        ids = list(map(self._ids.__getitem__, codes))
        return [tuple(ids[start:end]) for start, end in _stretches(codes, len(words))]

    def cut_each(self, words: Sequence[str]) -> list[Cut]:
        """The cuts of each word, much faster than one by one."""
        codes = self._row(words)
        ids = list(map(self._ids.__getitem__, codes))
        stretches = _stretches(codes, len(words))
        begins = accumulate(map(len, words), initial=0)
        bounds = list(self._bounds(
            codes, chain.from_iterable(map(repeat, begins, [end + 1 - start for start, end in stretches]))
        ))
        return [(tuple(ids[a:b]), tuple(bounds[2 * a:2 * b]), (b - a,)) for a, b in stretches]

    def _codes(self, word: str) -> MutableSequence[int]:
        if self._library is not None and len(word) < LONG:
            return self._library.of([word])
        data = word.encode("utf-8", "replace")
        codes = None if self._walk is None else self._walk.pieces(to_alphabet(data))
        return merged_by_chunks(self._merges, data)[0] if codes is None else codes

    def _row(self, words: Sequence[str]) -> Sequence[int]:
        """The codes of all words, with a STRANGER between them."""
        if self._library is not None and max(map(len, words), default=0) < LONG:
            return self._library.of(words)
        return list(chain.from_iterable(chain((STRANGER,), codes) for codes in map(self._codes, words)))[1:]

    def _bounds(self, codes: Sequence[int], begins: Iterable[int]) -> Iterable[int]:
        """The start and the end of each piece in characters, counted from where its word `begins` in the row."""
        sizes = list(map(self._begun.__getitem__, codes))
        ends = list(map(sub, accumulate(sizes), begins))
        starts = map(sub, map(sub, ends, sizes), map(self._inside.__getitem__, codes))
        return chain.from_iterable(zip(starts, ends, strict=True))

    def _characters(self, code: int) -> int:
        """How many characters begin in a piece."""
        return 0 if code == STRANGER else len(from_alphabet(self._merges.texts[code]).translate(None, _LATER))

    def _begins_inside(self, code: int) -> int:
        """Whether a piece begins inside of a character."""
        return int(from_alphabet(self._merges.texts[code])[0] in _LATER)


def _stretches(codes: Sequence[int], count: int) -> list[tuple[int, int]]:
    """The `count` stretches between strangers."""
    found: list[tuple[int, int]] = []
    start = 0
    for _ in range(count - 1):
        end = codes.index(STRANGER, start)
        found.append((start, end))
        start = end + 1
    return [*found, (start, len(codes))]
