"""Scores of starts and ends to answers: spans of characters of a context."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Span(NamedTuple):
    """Tokens from `start` to `end`, both in it."""

    start: int
    end: int
    score: float


class Scored(NamedTuple):
    """What a window of a context gives: its best spans, and how likely it is that the answer is none of them."""

    spans: list[Span]
    none: float


@dataclass(slots=True)
class Window:
    """Where in a row the context is. `words`: the number of each token's word in it, None outside; `none`: the position
    that stands for no answer, if there is one."""

    offsets: list[tuple[int, int]]
    words: list[int | None]
    context: list[bool]
    none: int | None

    def characters(self, span: Span, align_to_words: bool) -> tuple[int, int]:
        """The span's characters; with `align_to_words` of all the words that it touches."""
        first, last = span.start, span.end
        if align_to_words:
            while self._same_word(first, first - 1):
                first -= 1
            while self._same_word(last, last + 1):
                last += 1
        return self.offsets[first][0], self.offsets[last][1]

    def _same_word(self, one: int, other: int) -> bool:
        inside = 0 <= other < len(self.context) and self.context[other]
        return inside and self.words[one] is not None and self.words[one] == self.words[other]


def best_spans(start: Tensor, end: Tensor, window: Window, count: int, longest: int) -> Scored:
    """The `count` likeliest spans of at most `longest` tokens. *Shape:* logits [L], [L].

    Probabilities are of the context's positions, and of the one for no answer, which itself begins no answer.
    """
    allowed = torch.tensor(window.context)
    seen = allowed.clone()
    if window.none is not None:
        seen[window.none] = True
    starts, ends = (scores.masked_fill(~seen, -10000.0).softmax(dim=-1) for scores in (start, end))
    none = 0.0 if window.none is None else float(starts[window.none] * ends[window.none])
    pairs = (starts[:, None] * ends).triu().tril(longest - 1)
    pairs = pairs.masked_fill(~(allowed[:, None] & allowed), -1.0).flatten()
    reachable = torch.ones(len(start), len(start), dtype=torch.bool).triu().tril(longest - 1).flatten()
    pairs = pairs.masked_fill(~reachable, -1.0)
    values, places = pairs.topk(min(count, len(pairs)))
    spans = [
        Span(place // len(start), place % len(start), value)
        for value, place in zip(values.tolist(), places.tolist(), strict=True) if value >= 0
    ]  # fmt: skip
    return Scored(spans, none)


def beam_spans(starts: Tensor, start_index: Tensor, ends: Tensor, end_index: Tensor, longest: int) -> list[Span]:
    """Spans of a head that searches: starts [S], and ends [E · S] for each of them, both with probabilities."""
    count = len(start_index)
    found = []
    for place, (probability, end) in enumerate(zip(ends.tolist(), end_index.tolist(), strict=True)):
        start = int(start_index[place % count])
        if start <= end < start + longest:
            found.append(Span(start, end, float(starts[place % count]) * probability))
    return sorted(found, key=lambda span: -span.score)


class Answers:
    """Answers of all windows of a context. Those that read the same count as one, with the sum of their scores."""

    def __init__(self, context: str, align_to_words: bool) -> None:
        self._context, self._align = context, align_to_words
        self._found: dict[str, dict[str, object]] = {}

    def add(self, window: Window, spans: Iterable[Span]) -> None:
        for span in spans:
            start, end = window.characters(span, self._align)
            text = self._context[start:end]
            known = self._found.setdefault(text.lower(), {"score": 0.0, "start": start, "end": end, "answer": text})
            known["score"] += span.score

    def best(self, count: int, none: float | None) -> list[dict[str, object]]:
        """The `count` best; `none` is the score of there being no answer, None if that is no choice. Of a context
        without tokens it is the only one, with a score of 0."""
        found = list(self._found.values())
        if none is not None or not found:
            found.append({"score": none or 0.0, "start": 0, "end": 0, "answer": ""})
        return sorted(found, key=lambda answer: -answer["score"])[:count]
