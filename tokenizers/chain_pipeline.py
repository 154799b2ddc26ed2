"""The pipeline for chains of pre-tokenizers, whose steps may put characters in front of words."""

from __future__ import annotations

from collections.abc import Sequence

from .cache import Cache
from .cuts import Cut, Details, gathered
from .pipeline import LONGEST_WORD, Model, Normalizer, WordPipeline
from .word_chain import WordChain


class ChainPipeline(WordPipeline):
    """Word by word. What each is cut into is looked up, wherever it stands and also where characters have moved.
    Offsets are not trimmed; an added character belongs to the one behind it."""

    def __init__(self, normalizer: Normalizer, pre_tokenizer: WordChain, model: Model) -> None:
        super().__init__(normalizer, pre_tokenizer, model)
        self._added_cuts = Cache(self._cut_added, longest=LONGEST_WORD)

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            text, places = self.normalizer.align(text)
            origins = range(start, start + len(text)) if isinstance(places, range) else [i + start for i in places]
        pieces = self.pre_tokenizer.pieces(text, start == 0)
        cuts = [
            self._word_cuts[word] if not added else self._added_cuts[word] if added == 1
            else self._cut_added(word, added)
            for word, _, added in pieces
        ]
        if isinstance(origins, range):
            return gathered(cuts, [begin + origins.start for _, begin, _ in pieces])
        details = gathered(cuts, [begin for _, begin, _ in pieces])
        details.offsets[:] = [(origins[first], origins[last - 1] + 1) for first, last in details.offsets]
        return details

    def _cut_added(self, word: str, added: int = 1) -> Cut:
        """Of a word whose first characters were added."""
        ids, spans, *numbers = self._word_cuts[word]
        return ids, tuple((max(a - added, 0), max(b - added, 1)) for a, b in spans), *numbers
