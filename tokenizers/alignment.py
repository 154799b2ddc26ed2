"""Where the characters of words come from that a chain of rules has made of a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from .cache import Cache

_WINDOW = 8  # characters that a rule may have dropped


def _plain(character: str) -> str:
    """What is common to a character and what rules make of it: no case, no accents, no width."""
    parts = unicodedata.normalize("NFKD", character).lower()
    return "".join(part for part in parts if not unicodedata.combining(part)) or character


_PLAIN = Cache(_plain)


def places_of(words: Iterable[str], text: str) -> Iterator[Sequence[int]]:
    """For each word the index in `text` of each of its characters. Characters that rules have added share the place of
    the one before them."""
    after = place = 0
    rest = ""  # of what the character at `place` has become
    for word in words:
        places: list[int] = []
        for character in word:
            wanted = _PLAIN[character]
            if rest.startswith(wanted):
                rest = rest[len(wanted):]
            else:
                found = _next(text, wanted, after)
                if found is not None:
                    place, after, rest = found, found + 1, _PLAIN[text[found]][len(wanted):]
            places.append(min(place, max(len(text) - 1, 0)))
        yield places


def _next(text: str, wanted: str, start: int) -> int | None:
    seen = 0
    for index in range(start, len(text)):
        if _PLAIN[text[index]].startswith(wanted):
            return index
        seen += not text[index].isspace()
        if seen > _WINDOW:
            break
    return None
