"""The byte-level way: words keep the blank before them, and any text can be said in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .pipeline import Span
from .split_patterns import BYTE_LEVEL, SplitPattern
from .unicode_tables import WHITE_SPACE

_SPACES = "".join(chr(point) for point in range(0x3001) if chr(point) in WHITE_SPACE)


class ByteLevelWords:
    """Words, numbers, and runs of other characters, each with one blank before it, and English contractions.

    * `add_prefix_space`: the first word gets a blank if it has none,
    * `trim_offsets`: offsets leave white space out; the ids are the same,
    * `pattern`: another regular expression; what it does not match is a word too.
    """

    def __init__(
        self, *, add_prefix_space: bool = False, trim_offsets: bool = False, pattern: str = BYTE_LEVEL
    ) -> None:
        self.add_prefix_space, self.trim_offsets = add_prefix_space, trim_offsets
        self._pattern = SplitPattern(pattern)
        self.trimmed = self._trimmed if trim_offsets else None

    def split(self, text: str, first: bool) -> list[str]:
        return self._pattern.findall(self._prefixed(text))

    def spans(self, text: str, first: bool) -> Iterable[tuple[int, str]]:
        whole = self._prefixed(text)
        added = len(whole) - len(text)
        return [(match.start() - added, match.group()) for match in self._pattern.finditer(whole)]

    def _prefixed(self, text: str) -> str:
        return " " + text if self.add_prefix_space and text and text[0] != " " else text

    def _trimmed(self, word: str, within: Sequence[Span], spans: Sequence[Span]) -> Sequence[Span]:
        """`spans` in the text of the pieces `within` a word, less the blanks each piece begins and ends with."""
        if " " not in word:
            return spans
        return [
            self.trim(word[first:last], span, " ") for (first, last), span in zip(within, spans, strict=True)
        ]

    def trim(self, piece: str, span: Span, spaces: str = _SPACES) -> Span:
        """As in the reference, one blank at the very start of the text stays where prefixes are added, whether it was
        added or not."""
        start, end = span
        leading, trailing = len(piece) - len(piece.lstrip(spaces)), len(piece) - len(piece.rstrip(spaces))
        if leading and not (self.add_prefix_space and leading == 1 and start == 0):
            start = min(start + leading, end)
        return start, max(end - trailing, start) if end >= trailing else end
