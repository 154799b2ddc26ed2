"""Normalizers that `tokenizer.json` files name, each with the place every character comes from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import accumulate, groupby

import regex

from .added_tokens import lower_one_by_one
from .byte_alphabet import to_alphabet
from .pipeline import Normalizer
from .split_patterns import SplitPattern
from .unicode_tables import SPACES, lower

# A character with the marks that may change places or merge with it; Hangul vowels and finals count as such.
_CLUSTER = regex.compile(r"[^\p{M}\u1160-\u11ff]?[\p{M}\u1160-\u11ff]*")

Aligned = tuple[str, Sequence[int]]


class Chain:
    """One normalizer after the other."""

    def __init__(self, parts: Sequence[Normalizer]) -> None:
        self.parts = list(parts)

    def normalize(self, text: str) -> str:
        for part in self.parts:
            text = part.normalize(text)
        return text

    def align(self, text: str) -> Aligned:
        origins: Sequence[int] = range(len(text))
        for part in self.parts:
            text, places = part.align(text)
            if places != range(len(origins)):
                origins = [origins[place] for place in places]
        return text, origins


class _ByCharacter:
    """A normalizer that knows what each character becomes."""

    def replacement(self, character: str) -> str:
        raise NotImplementedError

    def normalize(self, text: str) -> str:
        return "".join(map(self.replacement, text))

    def align(self, text: str) -> Aligned:
        parts = list(map(self.replacement, text))
        return "".join(parts), [index for index, part in enumerate(parts) for _ in part]


class UnicodeForm:
    """NFC, NFD, NFKC or NFKD."""

    def __init__(self, form: str) -> None:
        self.form = form

    def normalize(self, text: str) -> str:
        return unicodedata.normalize(self.form, text)

    def align(self, text: str) -> Aligned:
        normalized = self.normalize(text)
        if normalized == text:
            return text, range(len(text))
        origins: list[int] = []
        parts: list[str] = []
        for match in _CLUSTER.finditer(text):
            part = self.normalize(match.group())
            places = self._places(match.group())
            if not self.form.endswith("D"):  # what has merged is where its first part was
                sizes = [len(unicodedata.normalize("NFD", character)) for character in part]
                ends = list(accumulate(sizes))
                places = [_of_merged(places, end - size, end) for size, end in zip(sizes, ends, strict=True)]
            parts.append(part)
            origins += [match.start() + place for place, _ in places]
        if "".join(parts) != normalized or len(origins) != len(normalized):  # something merged across clusters
            origins = [min(i, len(text) - 1) for i in range(len(normalized))]
        return normalized, origins

    def _places(self, cluster: str) -> list[tuple[int, bool]]:
        """Where each character of the decomposed cluster comes from, and whether it begins a decomposition. As in the
        reference, what moves takes the place of what it replaces: the n-th beginning belongs to the n-th character."""
        form = self.form.replace("C", "D")
        marks = [
            (unicodedata.combining(part), number == 0)
            for character in cluster for number, part in enumerate(unicodedata.normalize(form, character))
        ]
        sorted_marks: list[bool] = []
        for starter, run in groupby(marks, key=lambda mark: mark[0] == 0):
            sorted_marks += [begins for _, begins in (run if starter else sorted(run, key=lambda mark: mark[0]))]
        places = [max(place - 1, 0) for place in accumulate(sorted_marks)]
        return list(zip(places, sorted_marks, strict=True))


def _of_merged(places: list[tuple[int, bool]], start: int, end: int) -> tuple[int, bool]:
    """The place of what [start, end) have merged into: that of the first that begins a decomposition."""
    return next((place for place in places[start:end] if place[1]), places[start])


class Lowercase(_ByCharacter):
    def normalize(self, text: str) -> str:
        return lower_one_by_one(text) if text.isascii() else super().normalize(text)

    def replacement(self, character: str) -> str:
        return lower(character)


class StripAccents(_ByCharacter):
    def replacement(self, character: str) -> str:
        return "" if unicodedata.category(character)[0] == "M" else character


class SpacesAndControls(_ByCharacter):
    """Controls go, white space of any kind becomes a blank ("Nmt" in the files)."""

    _GONE = re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]")
    _BLANK = re.compile("[\t\n\x0c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]")

    def replacement(self, character: str) -> str:
        return self._BLANK.sub(" ", self._GONE.sub("", character))


class Bytes(_ByCharacter):
    """Each byte becomes one of 256 printable characters."""

    def replacement(self, character: str) -> str:
        return to_alphabet(character)


class Strip:
    def __init__(self, left: bool, right: bool) -> None:
        self.left, self.right = left, right

    def normalize(self, text: str) -> str:
        text = text.lstrip(SPACES) if self.left else text
        return text.rstrip(SPACES) if self.right else text

    def align(self, text: str) -> Aligned:
        start = len(text) - len(text.lstrip(SPACES)) if self.left else 0
        normalized = self.normalize(text)
        return normalized, range(start, start + len(normalized))


class Prepend:
    """`prefix` before what is not empty."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def normalize(self, text: str) -> str:
        return self.prefix + text if text else text

    def align(self, text: str) -> Aligned:
        return self.normalize(text), [0] * len(self.prefix) * bool(text) + [*range(len(text))]


class Replace:
    """What a text or a pattern matches becomes `content`, which comes from the last character of the match."""

    def __init__(self, pattern: str | SplitPattern, content: str) -> None:
        self._text = pattern if isinstance(pattern, str) else None
        self._pattern = SplitPattern(re.escape(pattern)) if isinstance(pattern, str) else pattern
        self.content = content

    def normalize(self, text: str) -> str:
        if self._text is not None:
            return text.replace(self._text, self.content) if self._text else text
        return self.align(text)[0]

    def align(self, text: str) -> Aligned:
        parts: list[str] = []
        origins: list[int] = []
        done = 0
        for match in self._pattern.finditer(text):
            start, end = match.span()
            if start == end:
                continue
            parts += [text[done:start], self.content]
            origins += [*range(done, start), *[end - 1] * len(self.content)]
            done = end
        if not parts:
            return text, range(len(text))
        return "".join([*parts, text[done:]]), [*origins, *range(done, len(text))]
