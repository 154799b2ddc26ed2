"""Normalizer, pre-tokenizer and model as one: text to ids, with positions only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from operator import add, itemgetter
from typing import NamedTuple, Protocol

from .cache import Cache

LONGEST_WORD = 64  # characters; longer ones seldom come back
Span = tuple[int, int]


class Details(NamedTuple):
    """Ids with where they came from: `offsets` are (start, end) in characters of the text, `words` count from 0."""

    ids: list[int]
    offsets: list[Span]
    words: list[int]


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


class Trimmer(Protocol):
    """What offsets leave out at the ends of pieces."""

    def word(self, word: str, within: Sequence[Span]) -> Sequence[Span]:
        """The spans of the pieces `within` a word, trimmed."""

    def first(self, word: str, within: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
        """The spans in the text of the pieces of a word that may be its first, trimmed."""


class Model(Protocol):
    def ids(self, word: str) -> tuple[int, ...]: ...

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """The ids and the (start, end) of each piece in the word."""


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


class Cuts:
    """What a model makes of words, remembered: ids, and where each piece starts and ends in its word."""

    def __init__(self, model: Model, trim: Trimmer | None = None) -> None:
        self._model, self._trim = model, trim
        self.ids = Cache(model.ids, longest=LONGEST_WORD)
        self._known = Cache(self._cut, longest=LONGEST_WORD)

    def _cut(self, word: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
        ids, spans = self._model.cut(word)
        if self._trim is not None:
            spans = self._trim.word(word, spans)
        return ids, tuple([start for start, _ in spans]), tuple([end for _, end in spans]), len(ids)

    def details(self, words: Sequence[str], begins: Iterable[int]) -> Details:
        """Of words that begin at `begins`. It takes no step in Python for a piece."""
        found = list(map(self._known.__getitem__, words))
        counts = list(map(itemgetter(3), found))
        bases = list(chain.from_iterable(map(repeat, begins, counts)))
        starts = map(add, bases, chain.from_iterable(map(itemgetter(1), found)))
        ends = map(add, bases, chain.from_iterable(map(itemgetter(2), found)))
        return Details(
            list(chain.from_iterable(map(itemgetter(0), found))), list(zip(starts, ends, strict=True)),
            list(chain.from_iterable(map(repeat, range(len(words)), counts))),
        )


class WordPipeline:
    """Word by word; natural text repeats its words, so most of the work is looking them up."""

    def __init__(self, normalizer: Normalizer, pre_tokenizer: PreTokenizer, model: Model) -> None:
        self.normalizer, self.pre_tokenizer, self.model = normalizer, pre_tokenizer, model
        self.trim = getattr(pre_tokenizer, "trim", None)
        self._plain = isinstance(normalizer, Unchanged)
        self._cuts = Cuts(model, self.trim)
        self._known = self._cuts.ids.__getitem__

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        if not normalized and not self._plain:
            text = self.normalizer.normalize(text)
        return list(chain.from_iterable(map(self._known, self.pre_tokenizer.split(text, start == 0))))

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            text, places = self.normalizer.align(text)
            origins = range(start, start + len(text)) if isinstance(places, range) else [i + start for i in places]
        words, begins = self.pre_tokenizer.spans(text, start == 0)
        if isinstance(origins, range) and (not begins or isinstance(begins[0], int)):
            shift = origins.start
            if begins and begins[0] < 0:  # the first word has a character that is not in the text
                head = self._head(words[0], begins[0], shift)
                tail = self._cuts.details(words[1:], [begin + shift for begin in begins[1:]])
                return Details(
                    head.ids + tail.ids, head.offsets + tail.offsets, head.words + [word + 1 for word in tail.words]
                )
            details = self._cuts.details(words, [begin + shift for begin in begins] if shift else begins)
            if start == 0 and self.trim is not None and details.offsets:
                first = self._head(words[0], 0, shift)
                details.offsets[:len(first.offsets)] = first.offsets
            return details
        return self._by_character(words, begins, origins)

    def _head(self, word: str, begin: int, shift: int) -> Details:
        """The first word: an added character belongs to the one behind it, and blanks at the very start may stay."""
        ids, within = self.model.cut(word)
        spans = [(max(a + begin, 0) + shift, max(b + begin - 1, 0) + 1 + shift) for a, b in within]
        if self.trim is not None:
            spans = self.trim.first(word, within, spans)
        return Details(list(ids), spans, [0] * len(ids))

    def _by_character(
        self, words: Sequence[str], begins: Sequence[int | Sequence[int]], origins: Sequence[int]
    ) -> Details:
        """Where characters have moved."""
        result = Details([], [], [])
        for number, (word, begin) in enumerate(zip(words, begins, strict=True)):
            ids, within = self.model.cut(word)
            places = begin if not isinstance(begin, int) else [max(begin + i, 0) for i in range(len(word))]
            spans = [(origins[places[a]], origins[places[b - 1]] + 1) for a, b in within]
            if self.trim is not None:
                spans = self.trim.first(word, within, spans)
            result.ids.extend(ids)
            result.offsets.extend(spans)
            result.words.extend([number] * len(ids))
        return result


class TextPipeline:
    """For a model that takes a text as a whole and finds the words itself."""

    def __init__(self, normalizer: Normalizer, model: Model) -> None:
        self.normalizer, self.model = normalizer, model

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        return self.model.ids(text if normalized else self.normalizer.normalize(text), start == 0)

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            text, places = self.normalizer.align(text)
            origins = range(start, start + len(text)) if isinstance(places, range) else [i + start for i in places]
        ids, spans, words = self.model.details(text, start == 0)
        return Details(ids, [_place(origins, a, b, start) for a, b in spans], words)


def _place(origins: Sequence[int], first: int, last: int, start: int) -> Span:
    """Where the characters [first, last) come from; none of them: where the text before them ends."""
    if first < last:
        return origins[first], origins[last - 1] + 1
    at = origins[first - 1] + 1 if first else start
    return at, at
