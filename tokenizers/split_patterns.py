"""Regular expressions that cut text into words, with the Unicode tables of the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator

import regex

from ..errors import TokenizerError
from .unicode_tables import LETTER, NUMBER, WHITE_SPACE

# The same words as the pattern of the first byte-level tokenizers.
BYTE_LEVEL = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# What Rust's `\w` is; `\w` in a pattern is Oniguruma's.
WORD_CHARACTER = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]"

_LAST_OF_FIRST_PLANE = 0xFFFF
_WORD = r"\p{Alphabetic}\p{M}\p{N}\p{Pc}"
_REPEATED_GROUP = re.compile(r"(?<!\\)\)(?:[*+]|\{\d*,\})")
_SECONDS = 5.0  # and as many more as there are hundreds of thousands of characters
_TOKEN = re.compile(r"\\p\{[LN]\}|\\.|\[\^?|\]", re.DOTALL)


class SplitPattern:
    """A compiled pattern whose `\\p{L}`, `\\p{N}` and `\\s` mean what they mean to the reference.

    Python's `re` is the fastest engine at hand, but slow on classes that reach beyond the first plane of Unicode. So
    there are two expressions, and most texts need only the one for the first plane.

    A pattern that repeats a group without end may have more ways to try than there is time for. Such ones run in the
    engine that can be stopped, and TokenizerError says so when it is.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            self._bounded = _REPEATED_GROUP.search(source) is not None
            self._near, self._far = (
                _compiled(source, limit, self._bounded) for limit in (_LAST_OF_FIRST_PLANE, 0x10FFFF)
            )
        except (re.error, regex.error, RecursionError, OverflowError, MemoryError) as problem:
            raise TokenizerError(f"the pattern {source!r} cannot be used: {problem}"[:300]) from None

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return SplitPattern, (self.source,)

    def findall(self, text: str) -> list[str]:
        pattern = self._for(text)
        if self._bounded:
            return [match.group() for match in self.finditer(text)]
        return [match.group() for match in pattern.finditer(text)] if pattern.groups else pattern.findall(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        return self._stopped(text) if self._bounded else self._for(text).finditer(text)

    def sub(self, content: str, text: str) -> str:
        """`text` with `content` for what matches."""
        parts: list[str] = []
        done = 0
        for match in self.finditer(text):
            parts += [text[done:match.start()], content]
            done = match.end()
        return "".join([*parts, text[done:]])

    def _stopped(self, text: str) -> Iterator[re.Match[str]]:
        try:
            yield from self._for(text).finditer(text, timeout=_SECONDS + len(text) / 1e5)
        except TimeoutError:
            raise TokenizerError(f"the pattern {self.source!r} takes too long on this text"[:300]) from None

    def _for(self, text: str) -> re.Pattern[str]:
        return self._near if text.isascii() or _in_first_plane(text) else self._far


def _in_first_plane(text: str) -> bool:
    return len(text.encode("utf-16-le", "surrogatepass")) == 2 * len(text)


def _compiled(source: str, limit: int, bounded: bool) -> re.Pattern[str]:
    """The pattern with its classes spelt out; what `re` does not know goes to `regex`."""
    inside = False
    parts: list[str] = []
    done = 0
    for match in _TOKEN.finditer(source):
        parts.append(source[done:match.start()])
        word, done = match.group(), match.end()
        if word in ("[", "[^"):
            inside = True
        elif word == "]":
            inside = False
        elif word == r"\S":
            if inside:
                return regex.compile(source)
            word = f"[^{WHITE_SPACE.pattern()}]"
        elif word == r"\w":
            word = _WORD if inside else f"[{_WORD}]"
        elif word in (r"\p{L}", r"\p{N}", r"\s"):
            table = {r"\p{L}": LETTER, r"\p{N}": NUMBER, r"\s": WHITE_SPACE}[word]
            word = table.pattern(limit) if inside else f"[{table.pattern(limit)}]"
        parts.append(word)
    text = "".join(parts) + source[done:]
    try:
        return regex.compile(text) if bounded else re.compile(text)
    except re.error:
        return regex.compile(text)
