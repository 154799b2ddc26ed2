"""The pieces of words over bytes: the quickest way to what merging would make."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from itertools import chain

from .bpe_chunks import merged_by_chunks
from .bpe_derivation import Derivation
from .bpe_library import STRANGER, LibraryMerges
from .bpe_merges import Merges
from .bpe_walk import Walk
from .byte_alphabet import from_alphabet, to_alphabet
from .cache import Cache
from .cuts import Cut, cuts_of, stretches

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

    def ids_of_each(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of each word, much faster than one by one."""
        codes = self._row(words)
        ids = list(map(self._ids.__getitem__, codes))
        return [tuple(ids[start:end]) for start, end in stretches(codes, STRANGER)]

    def cut_each(self, words: Sequence[str]) -> list[Cut]:
        """Them, and where they stand; a piece of a part of a character has all of it."""
        codes = self._row(words)
        ids = map(self._ids.__getitem__, codes)
        sizes, inside = map(self._begun.__getitem__, codes), map(self._inside.__getitem__, codes)
        return cuts_of(ids, sizes, inside, stretches(codes, STRANGER))

    def _codes(self, word: str) -> MutableSequence[int]:
        if self._library is not None and len(word) < LONG:
            return self._library.of([word])[:-1]
        data = word.encode("utf-8", "replace")
        codes = None if self._walk is None else self._walk.pieces(to_alphabet(data))
        return merged_by_chunks(self._merges, data)[0] if codes is None else codes

    def _row(self, words: Sequence[str]) -> Sequence[int]:
        """The codes of all words, with a STRANGER behind each."""
        if self._library is not None and max(map(len, words), default=0) < LONG:
            return self._library.of(words)
        return list(chain.from_iterable(chain(codes, (STRANGER,)) for codes in map(self._codes, words)))

    def _characters(self, code: int) -> int:
        """How many characters begin in a piece."""
        return 0 if code == STRANGER else len(from_alphabet(self._merges.texts[code]).translate(None, _LATER))

    def _begins_inside(self, code: int) -> int:
        """Whether a piece begins inside of a character."""
        return int(from_alphabet(self._merges.texts[code])[0] in _LATER)
