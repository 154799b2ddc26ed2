"""The byte-level way: words keep the blank before them, and any text can be said in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain

from .cuts import Span
from .split_patterns import BYTE_LEVEL, SplitPattern
from .unicode_tables import SPACES


class ByteLevelWords:
    """Words, numbers, and runs of other characters, each with one blank before it, and English contractions.

    * `add_prefix_space`: the first word gets a blank if it has none,
    * `trim_offsets`: offsets leave blanks out; the ids are the same,
    * `pattern`: another regular expression; what it does not match is a word too.
    """

    def __init__(
        self, *, add_prefix_space: bool = False, trim_offsets: bool = False, pattern: str = BYTE_LEVEL
    ) -> None:
        self.add_prefix_space = add_prefix_space
        self.trim = BlankTrimmer(add_prefix_space) if trim_offsets else None
        self._pattern = SplitPattern(pattern)
        self._leaves_gaps = pattern != BYTE_LEVEL

    def split(self, text: str, first: bool) -> list[str]:
        return self._words(self._prefixed(text))

    def spans(self, text: str, first: bool) -> tuple[Sequence[str], Sequence[int]]:
        whole = self._prefixed(text)
        words = self._words(whole)
        return words, list(accumulate(map(len, words[:-1]), initial=len(text) - len(whole))) if words else []

    def _words(self, text: str) -> list[str]:
        words = self._pattern.findall(text)
        if self._leaves_gaps and sum(map(len, words)) < len(text):
            return self._with_gaps(text)
        return words

    def _with_gaps(self, text: str) -> list[str]:
        found: list[str] = []
        done = 0
        for match in self._pattern.finditer(text):
            found += [text[done:match.start()], match.group()]
            done = match.end()
        return list(filter(None, [*found, text[done:]]))

    def _prefixed(self, text: str) -> str:
        return " " + text if self.add_prefix_space and text and text[0] != " " else text


class BlankTrimmer:
    """Offsets without the blanks that pieces begin and end with. As in the reference, one blank at the very start of
    the text stays where prefixes are added, whether it was added or not."""

    def __init__(self, add_prefix_space: bool) -> None:
        self._prefixes = add_prefix_space

    def word(self, word: str, bounds: tuple[int, ...]) -> tuple[int, ...]:
        """The starts and ends of the pieces of a word."""
        last = word.rfind(" ")
        if last <= 0:
            return bounds if last < 0 else (1, *bounds[1:])
        spans = zip(bounds[::2], bounds[1::2], strict=True)
        return tuple(chain.from_iterable(self._trimmed(word[a:b], (a, b), " ", True) for a, b in spans))

    def first(self, word: str, within: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
        """The spans in the text of the pieces of a word that may be its first."""
        return [
            self._trimmed(word[start:end], span, " ", span[0] > 0 or not self._prefixes)
            for (start, end), span in zip(within, spans, strict=True)
        ]

    def piece(self, piece: str, span: Span) -> Span:
        """The span of a token that was found in the text."""
        return self._trimmed(piece, span, SPACES, span[0] > 0 or not self._prefixes)

    def _trimmed(self, piece: str, span: Span, blanks: str, always: bool) -> Span:
        start, end = span
        leading, trailing = len(piece) - len(piece.lstrip(blanks)), len(piece) - len(piece.rstrip(blanks))
        if leading and (always or leading > 1):
            start = min(start + leading, end)
        return start, max(end - trailing, start) if end >= trailing else end
