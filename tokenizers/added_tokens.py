"""Tokens beside the model's vocabulary, found in the text before anything else is done to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import regex

from ..errors import TokenizerError
from .split_patterns import WORD_CHARACTER
from .unicode_tables import WHITE_SPACE

_WORD_CHARACTER = regex.compile(WORD_CHARACTER)


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is matched as a whole.

    * `single_word`: only where no word character touches it,
    * `lstrip`, `rstrip`: takes the white space on its left, right with it,
    * `normalized`: looked for in the normalized text, itself normalized (None: unless `special`),
    * `special`: left out by `decode(…, skip_special_tokens=True)`.
    """

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool | None = None
    special: bool = False

    def __post_init__(self) -> None:
        if self.normalized is None:
            object.__setattr__(self, "normalized", not self.special)

    def __str__(self) -> str:
        return self.content

    @classmethod
    def of(cls, value: Any, special: bool = False) -> AddedToken:
        """From a string, from a mapping as JSON files hold it, or from any object with the same attributes."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(value, special=special)
        names = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
        if isinstance(value, Mapping):
            fields = {name: value[name] for name in names if name in value}
        else:
            fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
        flags = [flag for name, flag in fields.items() if name != "content"]
        if not isinstance(fields.get("content"), str) or not all(isinstance(flag, bool) for flag in flags):
            raise TokenizerError(
                f"not a token: {value!r}"[:200], help="a token is a string or an AddedToken with true/false flags"
            )
        return cls(**{"special": special, **fields})

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class AddedVocabulary:
    """Added tokens by id, and the search for them. `python`: as the reference's Python tokenizers search."""

    def __init__(self, normalize: Callable[[str], str], python: bool = False) -> None:
        self._normalize, self._python = normalize, python
        self.version = 0  # how often it has changed
        self.by_id: dict[int, AddedToken] = {}
        self.ids: dict[str, int] = {}
        self._patterns: dict[bool, tuple[re.Pattern[str], dict[str, int]] | None] = {False: None, True: None}
        self._splitter: re.Pattern[str] | None = None  # for raw text, if it needs no regard to what is around tokens

    def add(self, tokens: Iterable[tuple[int, AddedToken]]) -> None:
        self.version += 1
        for number, token in tokens:
            self.by_id[number] = token
            self.ids[token.content] = number
        for normalized in (False, True):
            found = {
                self._normalize(token.content) if normalized else token.content: number
                for number, token in self.by_id.items() if (token.normalized and not self._python) is normalized
            }
            found.pop("", None)
            # Longest first: the alternative that comes first wins.
            choice = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
            self._patterns[normalized] = (re.compile(choice), found) if found else None
            if not normalized:
                alone = not any(
                    token.single_word or token.lstrip or token.rstrip for token in map(self.by_id.get, found.values())
                )
                self._splitter = re.compile(f"({choice})") if found and alone else None

    def lowered(self, text: str) -> str:
        """In lower case, character by character, but for the special and the normalized tokens in it."""
        kept = [token.content for token in self.by_id.values() if token.special or token.normalized]
        choice = "|".join(map(re.escape, sorted(filter(None, kept), key=len, reverse=True)))
        if not choice:
            return lower_one_by_one(text)
        parts = re.split(f"({choice})", text)
        parts[::2] = map(lower_one_by_one, parts[::2])
        return "".join(parts)

    def occur(self, text: str) -> bool:
        """Whether raw text may hold one."""
        pattern = self._patterns[False]
        return pattern is not None and pattern[0].search(text) is not None

    def searches(self, normalized: bool) -> bool:
        """Whether there is anything to look for in raw or in normalized text."""
        return self._patterns[normalized] is not None

    def split(self, text: str, normalized: bool) -> list[tuple[int, int, int | None]]:
        """`text` as consecutive (start, end, id of an added token, or None for plain text)."""
        spans: list[tuple[int, int, int | None]] = []
        done = 0
        pattern = self._patterns[normalized]
        if pattern is not None:
            expression, numbers = pattern
            for match in expression.finditer(text):
                start, end = match.span()
                number = numbers[match.group()]
                token = self.by_id[number]
                if token.single_word and self._touched(text, start, end):
                    continue
                if token.lstrip:
                    while start > done and self._is_space(text[start - 1]):
                        start -= 1
                    start = max(start, done)  # a token that begins with white space may reach into the one before
                if token.rstrip:
                    while end < len(text) and self._is_space(text[end]):
                        end += 1
                if done < start:
                    spans.append((done, start, None))
                spans.append((start, end, number))
                done = end
        if done < len(text):
            spans.append((done, len(text), None))
        return spans

    def apart(self, text: str) -> tuple[list[str], list[int]]:
        """The plain stretches of raw text, which may be empty, and the ids of the added tokens between them."""
        if self._splitter is not None:
            parts = self._splitter.split(text)
            return parts[::2], list(map(self._patterns[False][1].__getitem__, parts[1::2]))
        texts = [""]
        numbers: list[int] = []
        for start, end, number in self.split(text, normalized=False):
            if number is None:
                texts[-1] = text[start:end]
            else:
                texts.append("")
                numbers.append(number)
        return texts, numbers

    def _touched(self, text: str, start: int, end: int) -> bool:
        around = text[start - 1:start] + text[end:end + 1]
        return bool(around.strip(" ")) if self._python else any(map(_is_word, around))

    def _is_space(self, character: str) -> bool:
        return character.isspace() if self._python else character in WHITE_SPACE


def lower_one_by_one(text: str) -> str:
    """In lower case, without regard to neighbours (a capital sigma at the end of a word)."""
    return text.lower() if "Σ" not in text else "σ".join(part.lower() for part in text.split("Σ"))


def _is_word(character: str) -> bool:
    return _WORD_CHARACTER.match(character) is not None
