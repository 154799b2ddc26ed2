"""Pre-tokenizers that `tokenizer.json` files name, as steps that cut pieces of text into smaller ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, groupby
from typing import Protocol

from .cache import Cache
from .split_patterns import SplitPattern

Piece = tuple[str, Sequence[int]]  # a text, and where each of its characters stands in the whole
Match = tuple[int, int, bool]  # a stretch, and whether it is a delimiter
_LONGEST = 64  # characters of a piece that is remembered; longer ones seldom come back


class Step(Protocol):
    everywhere: bool  # whether it does the same with a piece wherever it stands

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]: ...

    def words(self, text: str) -> list[str]:
        """Of a piece, without their places. Only asked of a step that does the same `everywhere`."""


class WordChain:
    """Words are what the last step leaves. `trim`: what offsets leave out, as the byte-level way has it."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)
        self._everywhere = bool(steps) and all(step.everywhere for step in steps)
        self._later = Cache(self._of_piece, longest=_LONGEST)

    def split(self, text: str, first: bool) -> list[str]:
        if not self._everywhere:
            return [word for word, _ in self._pieces(text, first)]
        pieces = self.steps[0].words(text) if text else []
        if len(self.steps) == 1:
            return pieces
        return list(chain.from_iterable(map(self._later.__getitem__, pieces)))

    def spans(self, text: str, first: bool) -> tuple[Sequence[str], Sequence[int | Sequence[int]]]:
        pieces = self._pieces(text, first)
        words = [word for word, _ in pieces]
        if all(isinstance(places, range) for _, places in pieces):
            return words, [places.start for _, places in pieces]
        return words, [places for _, places in pieces]

    def _of_piece(self, piece: str) -> Sequence[str]:
        """The words of what the first step leaves."""
        words = [piece]
        for step in self.steps[1:]:
            words = [word for each in words for word in step.words(each)]
        return words

    def _pieces(self, text: str, first: bool) -> list[Piece]:
        pieces: list[Piece] = [(text, range(len(text)))] if text else []
        for step in self.steps:
            pieces = step(pieces, first)
        return pieces


class Cut:
    """Cuts at what a pattern matches (`invert`: at what it does not). What becomes of the delimiters is `behavior`:
    removed, isolated, merged_with_previous, merged_with_next, contiguous."""

    everywhere = True

    def __init__(self, pattern: SplitPattern, behavior: str, invert: bool = False) -> None:
        self._pattern, self._invert = pattern, invert
        self._behave = BEHAVIORS[behavior]

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        return [
            (text[start:end], places[start:end])
            for text, places in pieces
            for start, end in self._behave(self._matches(text)) if start < end
        ]

    def words(self, text: str) -> list[str]:
        if self._behave is _removed and self._invert:
            return list(filter(None, self._pattern.findall(text)))
        return [text[start:end] for start, end in self._behave(self._matches(text)) if start < end]

    def _matches(self, text: str) -> list[Match]:
        found: list[Match] = []
        done = 0
        for match in self._pattern.finditer(text):
            start, end = match.span()
            if done < start:
                found.append((done, start, self._invert))
            if start < end:
                found.append((start, end, not self._invert))
            done = end
        if done < len(text):
            found.append((done, len(text), self._invert))
        return found


def _removed(matches: list[Match]) -> list[tuple[int, int]]:
    return [(start, end) for start, end, delimits in matches if not delimits]


def _isolated(matches: list[Match]) -> list[tuple[int, int]]:
    return [(start, end) for start, end, _ in matches]


def _contiguous(matches: list[Match]) -> list[tuple[int, int]]:
    groups = ([*group] for _, group in groupby(matches, key=lambda match: match[2]))
    return [(group[0][0], group[-1][1]) for group in groups]


def _with_previous(matches: list[Match]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    before = False
    for start, end, delimits in matches:
        if delimits and not before and result:
            result[-1] = result[-1][0], end
        else:
            result.append((start, end))
        before = delimits
    return result


def _with_next(matches: list[Match]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    after = False
    for start, end, delimits in reversed(matches):
        if delimits and not after and result:
            result[-1] = start, result[-1][1]
        else:
            result.append((start, end))
        after = delimits
    return result[::-1]


BEHAVIORS: dict[str, Callable[[list[Match]], list[tuple[int, int]]]] = {
    "removed": _removed, "isolated": _isolated, "contiguous": _contiguous, "mergedwithprevious": _with_previous,
    "mergedwithnext": _with_next,
}


class Blanks:
    """Blanks become `replacement`, which is also put in front: `scheme` always, first (only at the start of a text) or
    never. `split`: each one begins a word."""

    def __init__(self, replacement: str, scheme: str, split: bool) -> None:
        if len(replacement) != 1:
            raise ValueError(f"the replacement of blanks is {replacement!r}, not one character")
        self._replacement, self._scheme = replacement, scheme
        self._split = split
        self.everywhere = scheme != "first"

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        result: list[Piece] = []
        for text, places in pieces:
            text = text.replace(" ", self._replacement)
            starts = first and places[0] == 0
            if text[0] != self._replacement and (self._scheme == "always" or (self._scheme == "first" and starts)):
                text, places = self._replacement + text, [places[0], *places]
            result.append((text, places))
        return [part for piece in result for part in self._cut(*piece)] if self._split else result

    def words(self, text: str) -> list[str]:
        text = text.replace(" ", self._replacement)
        if text[0] != self._replacement and self._scheme == "always":
            text = self._replacement + text
        return self._at_blanks(text) if self._split else [text]

    def _cut(self, text: str, places: Sequence[int]) -> list[Piece]:
        words = self._at_blanks(text)
        ends = list(accumulate(map(len, words)))
        return [(word, places[end - len(word):end]) for word, end in zip(words, ends, strict=True)]

    def _at_blanks(self, text: str) -> list[str]:
        before, *parts = text.split(self._replacement)
        words = [self._replacement + part for part in parts]
        return [before, *words] if before else words


class Prefix:
    """A blank in front of a piece that has none."""

    everywhere = True

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        return [
            (text, places) if text[0] == " " else (" " + text, [places[0], *places]) for text, places in pieces
        ]

    def words(self, text: str) -> list[str]:
        return [text if text[0] == " " else " " + text]
