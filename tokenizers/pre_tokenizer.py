"""Where normalized text is cut into words."""

from __future__ import annotations

from collections.abc import Sequence

from .split_patterns import SplitPattern
from .unicode_tables import PUNCTUATION, WHITE_SPACE


class WhitespacePunctuation:
    """Words end at white space; each punctuation mark is a word of its own."""

    def separates(self, character: str) -> bool:
        """Whether this character lies between words and belongs to none."""
        return character in WHITE_SPACE

    def isolates(self, character: str) -> bool:
        """Whether this character is a word by itself."""
        return character in PUNCTUATION


class PatternWords:
    """Words are what a regular expression matches; `\\p{L}`, `\\p{N}` and `\\s` are those of the reference."""

    def __init__(self, *, pattern: str = r"\S+") -> None:
        self._pattern = SplitPattern(pattern)

    def split(self, text: str, first: bool) -> list[str]:
        return self._pattern.findall(text)

    def spans(self, text: str, first: bool) -> tuple[Sequence[str], Sequence[int]]:
        found = list(self._pattern.finditer(text))
        return [match.group() for match in found], [match.start() for match in found]
