"""Pre-tokenizers that `tokenizer.json` files name, as steps that cut pieces of text into smaller ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, groupby
from typing import Protocol

from .cache import LONGEST, Cache
from .split_patterns import SplitPattern
from .words import Trimmer

#: A text, where its first own character stands in the whole, and how many characters before that were added.
Piece = tuple[str, int, int]
Match = tuple[int, int, bool]  # a stretch, and whether it is a delimiter


class Step(Protocol):
    everywhere: bool  # whether it does the same with a piece wherever it stands
    drops_blanks: bool  # whether blanks belong to no word

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]: ...

    def words(self, text: str) -> list[str]:
        """Of a piece, without their places. Only asked of a step that does the same `everywhere`."""


class WordChain:
    """Words are what the last step leaves. `trim`: what offsets leave out, as the byte-level way has it."""

    def __init__(self, steps: Sequence[Step], trim: Trimmer | None = None) -> None:
        self.steps, self.trim = list(steps), trim
        self._everywhere = bool(steps) and all(step.everywhere for step in steps)
        #: Whether what stands between blanks gives the same words wherever it stands.
        self.between_blanks = self._everywhere and self.steps[0].drops_blanks
        self._later = Cache(self._of_piece, longest=LONGEST)

    def split(self, text: str, first: bool) -> list[str]:
        if not self._everywhere:
            return [word for word, _, _ in self.pieces(text, first)]
        pieces = self.steps[0].words(text) if text else []
        if len(self.steps) == 1:
            return pieces
        return list(chain.from_iterable(map(self._later.__getitem__, pieces)))

    def words(self, text: str) -> list[str]:
        """Of a stretch between blanks, and nothing is remembered."""
        return self._of_piece(text, 0) if text else []

    def spans(self, text: str, first: bool) -> tuple[Sequence[str], Sequence[int | Sequence[int]]]:
        pieces = self.pieces(text, first)
        words = [word for word, _, _ in pieces]
        if any(added for _, _, added in pieces):
            return words, [[begin] * added + [*range(begin, begin + len(word))] for word, begin, added in pieces]
        return words, [begin for _, begin, _ in pieces]

    def _of_piece(self, piece: str, done: int = 1) -> list[str]:
        """The words of what the first `done` steps leave."""
        words = [piece]
        for step in self.steps[done:]:
            words = list(chain.from_iterable(map(step.words, words))) if len(words) != 1 else step.words(words[0])
        return words

    def pieces(self, text: str, first: bool) -> list[Piece]:
        """The words and where they stand."""
        pieces: list[Piece] = [(text, 0, 0)] if text else []
        for step in self.steps:
            pieces = step(pieces, first)
        return pieces


class Split:
    """Cuts at what a pattern matches (`invert`: at what it does not). What becomes of the delimiters is `behavior`:
    removed, isolated, merged_with_previous, merged_with_next, contiguous."""

    everywhere = True

    def __init__(
        self, pattern: SplitPattern, behavior: str, invert: bool = False, drops_blanks: bool = False
    ) -> None:
        self._pattern, self._invert, self.drops_blanks = pattern, invert, drops_blanks
        self._behave = BEHAVIORS[behavior]
        self._keeps_matches = invert and self._behave is _removed

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        return [
            (text[start:end], begin + start, 0) if not added
            else (text[start:end], begin + max(start - added, 0), max(added - start, 0))
            for text, begin, added in pieces
            for start, end in self._stretches(text) if start < end
        ]

    def words(self, text: str) -> list[str]:
        if self._keeps_matches:
            return list(filter(None, self._pattern.findall(text)))
        return [text[start:end] for start, end in self._stretches(text) if start < end]

    def _stretches(self, text: str) -> list[tuple[int, int]]:
        if self._keeps_matches:
            return [match.span() for match in self._pattern.finditer(text)]
        return self._behave(self._matches(text))

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

    drops_blanks = False

    def __init__(self, replacement: str, scheme: str, split: bool) -> None:
        if len(replacement) != 1:
            raise ValueError(f"the replacement of blanks is {replacement!r}, not one character")
        self._replacement, self._scheme = replacement, scheme
        self._split = split
        self.everywhere = scheme != "first"

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        result: list[Piece] = []
        for text, begin, added in pieces:
            text = text.replace(" ", self._replacement)
            starts = first and begin == 0
            if text[0] != self._replacement and (self._scheme == "always" or (self._scheme == "first" and starts)):
                text, added = self._replacement + text, added + 1
            result.append((text, begin, added))
        return [part for piece in result for part in self._cut(*piece)] if self._split else result

    def words(self, text: str) -> list[str]:
        text = text.replace(" ", self._replacement)
        if text[0] != self._replacement and self._scheme == "always":
            text = self._replacement + text
        return self._at_blanks(text) if self._split else [text]

    def _cut(self, text: str, begin: int, added: int) -> list[Piece]:
        words = self._at_blanks(text)
        if len(words) == 1:
            return [(text, begin, added)]
        starts = accumulate(map(len, words), initial=0)
        return [
            (word, begin + max(start - added, 0), max(added - start, 0))
            for word, start in zip(words, starts, strict=False)
        ]

    def _at_blanks(self, text: str) -> list[str]:
        before, *parts = text.split(self._replacement)
        words = [self._replacement + part for part in parts]
        return [before, *words] if before else words


class Prefix:
    """A blank in front of a piece that has none."""

    everywhere = True
    drops_blanks = False

    def __call__(self, pieces: list[Piece], first: bool) -> list[Piece]:
        return [piece if piece[0][0] == " " else (" " + piece[0], piece[1], piece[2] + 1) for piece in pieces]

    def words(self, text: str) -> list[str]:
        return [text if text[0] == " " else " " + text]
