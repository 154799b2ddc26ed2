"""The pieces of words over bytes: the quickest way to what merging would make."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from itertools import accumulate, chain, compress, count, repeat
from operator import eq, sub

from .bpe_chunks import merged_by_chunks
from .bpe_derivation import Derivation
from .bpe_library import SEPARATOR, LibraryMerges
from .bpe_merges import Merges
from .bpe_walk import Walk
from .byte_alphabet import begins_inside, characters_begun, to_alphabet
from .cache import Cache
from .cuts import PieceRow

LONG = 1 << 10  # characters: from here walking needs less memory than the library


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

    def row(self, words: Sequence[str]) -> PieceRow:
        """The pieces of many words, much faster than one by one. One of a part of a character has all of it."""
        if self._library is not None and max(map(len, words), default=0) < LONG:
            marked = self._library.of(words)
            # Where the words end among the marks, less the marks before.
            ends = [0, *map(sub, compress(count(), map(eq, marked, repeat(SEPARATOR))), count())]
            codes = list(filter(SEPARATOR.__ne__, marked))
        else:
            each = list(map(self._codes, words))
            ends, codes = list(accumulate(map(len, each), initial=0)), list(chain.from_iterable(each))
        ids = list(map(self._ids.__getitem__, codes))
        return PieceRow(ids, ends, map(self._begun.__getitem__, codes), map(self._inside.__getitem__, codes))

    def _codes(self, word: str) -> MutableSequence[int]:
        if self._library is not None and len(word) < LONG:
            return self._library.of([word])[:-1]
        data = word.encode("utf-8", "replace")
        codes = None if self._walk is None else self._walk.pieces(to_alphabet(data))
        return merged_by_chunks(self._merges, data)[0] if codes is None else codes

    def _characters(self, code: int) -> int:
        return characters_begun(self._merges.texts[code])

    def _begins_inside(self, code: int) -> int:
        return int(begins_inside(self._merges.texts[code]))
