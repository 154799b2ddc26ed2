"""Normalizer, pre-tokenizer and model as one: text to ids, with positions only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
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

    def spans(self, text: str, first: bool) -> Iterable[tuple[int | Sequence[int], str]]:
        """The words, each with the index at which it begins, -1 for one that begins with an added character; or with
        the indices of its characters."""


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


class WordPipeline:
    """Word by word; natural text repeats its words, so most of the work is looking them up."""

    def __init__(self, normalizer: Normalizer, pre_tokenizer: PreTokenizer, model: Model) -> None:
        self.normalizer, self.pre_tokenizer, self.model = normalizer, pre_tokenizer, model
        self._ids = Cache(model.ids, longest=LONGEST_WORD)
        self._cut = Cache(model.cut, longest=LONGEST_WORD)
        self.trim = getattr(pre_tokenizer, "trim", None)

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        if not normalized:
            text = self.normalizer.normalize(text)
        words = self.pre_tokenizer.split(text, start == 0)
        return list(chain.from_iterable(map(self._ids.__getitem__, words)))

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            text, places = self.normalizer.align(text)
            origins = range(start, start + len(text)) if isinstance(places, range) else [i + start for i in places]
        ids: list[int] = []
        offsets: list[Span] = []
        words: list[int] = []
        shift = origins.start if isinstance(origins, range) else None  # None: no simple sum
        known, trim = self._cut, self.trim
        for number, (begin, word) in enumerate(self.pre_tokenizer.spans(text, start == 0)):
            pieces, spans = within = known[word]
            ids += pieces
            words += [number] * len(pieces)
            if not isinstance(begin, int):
                spans = [(origins[begin[a]], origins[begin[b - 1]] + 1) for a, b in spans]
            elif begin < 0 or shift is None:
                spans = [
                    (origins[max(a + begin, 0)], origins[max(b + begin - 1, 0)] + 1) for a, b in spans
                ]
            elif begin + shift:
                move = begin + shift
                spans = [(a + move, b + move) for a, b in spans]
            offsets += spans if trim is None else trim.word(word, within[1], spans)
        return Details(ids, offsets, words)


class TextPipeline:
    """For a model that takes a text as a whole and finds the words itself."""

    def __init__(self, normalizer: Normalizer, model: Model) -> None:
        self.normalizer, self.model = normalizer, model

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        return self.model.ids(text if normalized else self.normalizer.normalize(text))

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None:
            text, places = self.normalizer.align(text)
            origins = range(start, start + len(text)) if isinstance(places, range) else [i + start for i in places]
        ids, spans, words = self.model.details(text)
        return Details(ids, [_place(origins, a, b, start) for a, b in spans], words)


def _place(origins: Sequence[int], first: int, last: int, start: int) -> Span:
    """Where the characters [first, last) come from; none of them: where the text before them ends."""
    if first < last:
        return origins[first], origins[last - 1] + 1
    at = origins[first - 1] + 1 if first else start
    return at, at
