"""Normalizer, pre-tokenizer and model as one: text to ids, with positions only when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from typing import Protocol

from .cuts import Details, Span, gathered, placed
from .words import Model, Trimmer, Words

_TOGETHER = 16  # texts whose new words are cut together


class Normalizer(Protocol):
    def normalize(self, text: str) -> str: ...

    def align(self, text: str) -> tuple[str, Sequence[int]]:
        """The normalized text and, for each of its characters, the index of the one it came from."""


class PreTokenizer(Protocol):
    def split(self, text: str, first: bool) -> list[str]:
        """The words of a text; `first`: nothing stands before it."""

    def spans(self, text: str, first: bool) -> tuple[Sequence[str], Sequence[int | Sequence[int]]]:
        """The words, and the index at which each begins, -1 for one that begins with an added character; or the
        indices of its characters."""


class Pipeline(Protocol):
    """Text to ids. The text begins at `start` of a whole, and offsets are those in the whole. One that has been
    normalized already comes with the index in the whole of each of its characters, `origins`."""

    normalizer: Normalizer

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]: ...

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details: ...


class Unchanged:
    """The normalizer that leaves text as it is."""

    def normalize(self, text: str) -> str:
        return text

    def align(self, text: str) -> tuple[str, Sequence[int]]:
        return text, range(len(text))


def aligned(normalizer: Normalizer, text: str, start: int) -> tuple[str, Sequence[int]]:
    """A text that begins at `start` of a whole, normalized, and the index in the whole of each of its characters: a
    range where none has moved, which is the quicker way through all that follows."""
    text, places = normalizer.align(text)
    if isinstance(places, range):
        return text, range(places.start + start, places.stop + start)
    return text, [place + start for place in places]


class WordPipeline:
    """Word by word."""

    def __init__(self, normalizer: Normalizer, pre_tokenizer: PreTokenizer, model: Model) -> None:
        self.normalizer, self.pre_tokenizer, self.model = normalizer, pre_tokenizer, model
        self.trim: Trimmer | None = getattr(pre_tokenizer, "trim", None)
        self._plain = isinstance(normalizer, Unchanged)
        self._words = Words(model, self.trim)

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        if not normalized and not self._plain:
            text = self.normalizer.normalize(text)
        return list(chain.from_iterable(self._words.ids.of(self.pre_tokenizer.split(text, start == 0))))

    def many_ids(self, texts: Sequence[str], first: bool) -> list[list[int]]:
        """Of each text; `first`: nothing stands before it."""
        if not self._plain:
            texts = list(map(self.normalizer.normalize, texts))
        found: list[list[int]] = []
        for start in range(0, len(texts), _TOGETHER):
            words = [self.pre_tokenizer.split(text, first) for text in texts[start:start + _TOGETHER]]
            ids = iter(self._words.ids.of(list(chain.from_iterable(words))))
            found += [list(chain.from_iterable(islice(ids, size))) for size in map(len, words)]
        return found

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            text, origins = aligned(self.normalizer, text, start)
        words, begins = self.pre_tokenizer.spans(text, start == 0)
        if not isinstance(origins, range) or (begins and not isinstance(begins[0], int)):
            return self._by_character(words, begins, origins)
        shift = origins.start
        begins = [begin + shift for begin in begins] if shift else begins
        result = gathered(self._words.cuts.of(words), begins)
        if words and (begins[0] < shift or (start == 0 and self.trim is not None and words[0][0] == " ")):
            first = self._first(words[0], begins[0] - shift, shift)
            result.offsets[:len(first)] = first
        return result

    def _first(self, word: str, begin: int, shift: int) -> list[Span]:
        """The spans of the first word: an added character belongs to the one behind it, and blanks at the very start
        may stay."""
        within = self.model.cut(word)[1]
        spans = [(max(a + begin, 0) + shift, max(b + begin - 1, 0) + 1 + shift) for a, b in within]
        return spans if self.trim is None else self.trim.first(word, within, spans)

    def _by_character(
        self, words: Sequence[str], begins: Sequence[int | Sequence[int]], origins: Sequence[int]
    ) -> Details:
        """Where characters have moved."""
        ids: list[int] = []
        offsets: list[Span] = []
        sizes: list[int] = []
        for word, begin in zip(words, begins, strict=True):
            found, within = self.model.cut(word)
            places = begin if not isinstance(begin, int) else [max(begin + i, 0) for i in range(len(word))]
            spans = [(origins[places[a]], origins[places[b - 1]] + 1) for a, b in within]
            if self.trim is not None:
                spans = self.trim.first(word, within, spans)
            ids += found
            offsets += spans
            sizes.append(len(found))
        return Details(ids, offsets, sizes)


class TextPipeline:
    """For a model that takes a text as a whole and finds the words itself."""

    def __init__(self, normalizer: Normalizer, model: Model) -> None:
        self.normalizer, self.model = normalizer, model

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        return self.model.ids(text if normalized else self.normalizer.normalize(text), start == 0)

    def many_ids(self, texts: Sequence[str], first: bool) -> list[list[int]]:
        """Of each text; `first`: nothing stands before it."""
        if not isinstance(self.normalizer, Unchanged):
            texts = list(map(self.normalizer.normalize, texts))
        return self.model.many_ids(texts, first)

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            text, origins = aligned(self.normalizer, text, start)
        ids, spans, words = self.model.details(text, start == 0)
        found = Details(ids, spans, list(Counter(words).values()))
        return found if origins == range(len(text)) else placed(found, origins, start)
