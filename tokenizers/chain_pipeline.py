"""The pipeline for chains of pre-tokenizers, whose steps may put characters in front of words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from .cache import LONGEST, Cache
from .cuts import (
    Cut,
    Details,
    behind_blank,
    bounds_of,
    gathered,
    gathered_behind_blanks,
    moved,
    placed,
    with_bounds,
)
from .pipeline import Normalizer, WordPipeline, aligned
from .word_chain import Piece, WordChain
from .words import Model


class ChainPipeline(WordPipeline):
    """Word by word. What each is cut into is looked up, wherever it stands and also where characters have moved.
    Offsets are not trimmed; an added character belongs to the one behind it.

    Where both the normalizer and the chain do the same with what stands between two blanks, wherever that is, whole
    such stretches are looked up.
    """

    def __init__(self, normalizer: Normalizer, pre_tokenizer: WordChain, model: Model) -> None:
        super().__init__(normalizer, pre_tokenizer, model)
        self._added_cuts = Cache(self._cut_added, longest=LONGEST)
        self._by_stretches = pre_tokenizer.between_blanks and hasattr(normalizer, "between_blanks")
        self._stretch_ids = Cache(self._ids_between_blanks, longest=LONGEST)
        self._stretch_cuts = Cache(self._cut_between_blanks, longest=LONGEST)

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        if self._by_stretches and not normalized:
            found = list(map(self._stretch_ids.__getitem__, text.split(" ")))
            if None not in found:
                return list(chain.from_iterable(found))
        return super().ids(text, start, normalized)

    def many_ids(self, texts: Sequence[str], first: bool) -> list[list[int]]:
        if self._by_stretches:  # which need not be cut into words first
            return [self.ids(text, int(not first)) for text in texts]
        return super().many_ids(texts, first)

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            if self._by_stretches:
                cuts = list(map(self._stretch_cuts.__getitem__, text.split(" ")))
                if None not in cuts:
                    return gathered_behind_blanks(cuts, start)
            text, origins = aligned(self.normalizer, text, start)
        pieces = self.pre_tokenizer.pieces(text, start == 0)
        cuts = self._words.cuts.of([word for word, _, _ in pieces])
        if any(added for _, _, added in pieces):
            cuts = [
                cut if not added else self._added_cuts[word] if added == 1 else _behind(cut, added)
                for cut, (word, _, added) in zip(cuts, pieces, strict=True)
            ]
        return _placed(cuts, pieces, origins)

    def _cut_added(self, word: str) -> Cut:
        return _behind(self._words.cuts[word], 1)

    def _ids_between_blanks(self, stretch: str) -> tuple[int, ...] | None:
        """None: it depends on what stands around it."""
        text = self.normalizer.between_blanks(stretch)
        if text is None:
            return None
        words = self.pre_tokenizer.words(text)
        if len(words) == 1:
            return self.model.ids(words[0])
        return tuple(chain.from_iterable(self._words.ids.of(words)))

    def _cut_between_blanks(self, stretch: str) -> Cut | None:
        text = self.normalizer.between_blanks(stretch)
        if text is None:
            return None
        words = self.pre_tokenizer.words(text)
        pieces: Sequence[Piece] = [(word, 0, len(word) - len(text)) for word in words]
        if len(words) != 1 or not words[0].endswith(text):
            pieces = self.pre_tokenizer.pieces(text, True)
        ids: list[int] = []
        bounds: list[int] = []
        sizes: list[int] = []
        for word, begin, added in pieces:
            found, spans = self.model.cut(word)
            ids += found
            sizes.append(len(found))
            within = _without(chain.from_iterable(spans), added)
            bounds += [bound + begin for bound in within] if begin else within
        origins = self.normalizer.moved(stretch)
        return behind_blank(ids, bounds if origins is None else moved(bounds, origins), sizes, len(stretch))


def _behind(cut: Cut, added: int) -> Cut:
    """Of a word whose first characters were added."""
    return with_bounds(cut, _without(bounds_of(cut), added)) if added else cut


def _without(bounds: Iterable[int], added: int) -> Iterable[int]:
    """The starts and the ends less what was added in front."""
    return [max(bound - added, at % 2) for at, bound in enumerate(bounds)] if added else bounds


def _placed(cuts: Sequence[Cut], pieces: Sequence[Piece], origins: Sequence[int]) -> Details:
    """Of pieces of a text whose characters come from `origins`."""
    if isinstance(origins, range):
        return gathered(cuts, [begin + origins.start for _, begin, _ in pieces])
    return placed(gathered(cuts, [begin for _, begin, _ in pieces]), origins)
