"""Pre-tokenizers that `tokenizer.json` files name, as steps that cut pieces of text into smaller ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from .split_patterns import SplitPattern

Piece = tuple[str, Sequence[int]]  # a text, and where each of its characters stands in the whole
Match = tuple[int, int, bool]  # a stretch, and whether it is a delimiter
Step = Callable[[list[Piece], bool], list[Piece]]


class WordChain:
    """Words are what the last step leaves. `trim`: what offsets leave out, as the byte-level way has it."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)

    def split(self, text: str, first: bool) -> list[str]:
        return [word for word, _ in self._pieces(text, first)]

    def spans(self, text: str, first: bool) -> tuple[Sequence[str], Sequence[int | Sequence[int]]]:
        pieces = self._pieces(text, first)
        words = [word for word, _ in pieces]
        if all(isinstance(places, range) for _, places in pieces):
            return words, [places.start for _, places in pieces]
        return words, [places for _, places in pieces]

    def _pieces(self, text: str, first: bool) -> list[Piece]:
        pieces: list[Piece] = [(text, range(len(text)))] if text else []
        for step in self.steps:
            pieces = step(pieces, first)
        return pieces


class Cut:
    """Cuts at what a pattern matches (`invert`: at what it does not). What becomes of the delimiters is `behavior`:
    removed, isolated, merged_with_previous, merged_with_next, contiguous."""

    def __init__(self, pattern: SplitPattern, behavior: str, invert: bool = False) -> None:
        self._pattern, self._invert = pattern, invert
        self._behave = BEHAVIORS[behavior]

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        return [
            (text[start:end], places[start:end])
            for text, places in pieces
            for start, end in self._behave(self._matches(text)) if start < end
        ]

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
        self._replacement, self._scheme = replacement, scheme
        self._cut = Cut(SplitPattern(f"[{replacement}]"), "mergedwithnext") if split else None

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        result: list[Piece] = []
        for text, places in pieces:
            text = text.replace(" ", self._replacement)
            starts = first and places[0] == 0
            if text[0] != self._replacement and (self._scheme == "always" or (self._scheme == "first" and starts)):
                text, places = self._replacement + text, [places[0], *places]
            result.append((text, places))
        return self._cut(result, first) if self._cut else result


class Prefix:
    """A blank in front of a piece that has none."""

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        return [
            (text, places) if text[0] == " " else (" " + text, [places[0], *places]) for text, places in pieces
        ]
