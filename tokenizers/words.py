"""What words are cut into. Natural text repeats its words, so most of the work is looking them up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Protocol

from .cache import LONGEST, BatchCache, Cache
from .cuts import Cut, Span, bounds_of, cut_of, with_bounds


class Model(Protocol):
    def ids(self, word: str) -> tuple[int, ...]: ...

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """The ids and the (start, end) of each piece in the word."""

    # Some also have `row(words: Sequence[str]) -> PieceRow`, which cuts many words, much faster than one by one.


class Trimmer(Protocol):
    """What offsets leave out at the ends of pieces."""

    def word(self, word: str, bounds: tuple[int, ...]) -> tuple[int, ...]:
        """The starts and ends of the pieces of a word, trimmed."""

    def first(self, word: str, within: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
        """The spans in the text of the pieces of a word that may be its first, trimmed."""


class Words:
    """`ids` and `cuts` by word. New words are cut together where the model can."""

    def __init__(self, model: Model, trim: Trimmer | None = None) -> None:
        self._model, self._trim = model, trim
        self.ids: Cache
        self.cuts: Cache
        if getattr(model, "row", None) is None:
            self.ids, self.cuts = Cache(model.ids, longest=LONGEST), Cache(self._cut, longest=LONGEST)
        else:
            self.ids = BatchCache(self._ids_together, longest=LONGEST)
            self.cuts = BatchCache(self._cut_together, longest=LONGEST)

    def _cut(self, word: str) -> Cut:
        ids, spans = self._model.cut(word)
        bounds = tuple(chain.from_iterable(spans))
        return cut_of(ids, bounds if self._trim is None else self._trim.word(word, bounds), (len(ids),))

    def _ids_together(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        return self._model.row(words).ids_of(repeat(1, len(words)))

    def _cut_together(self, words: Sequence[str]) -> list[Cut]:
        cuts = self._model.row(words).cuts_of([1] * len(words))
        if self._trim is None:
            return cuts
        trim = self._trim.word
        return [with_bounds(cut, trim(word, tuple(bounds_of(cut)))) for word, cut in zip(words, cuts, strict=True)]
