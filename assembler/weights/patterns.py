"""The notation of mapping rules: `encoder.layers.{i}.attention.(query,key,value).{weight,bias}`.

`{a,b}` stands for each word in turn, paired by position with the group of the same rank on the other side;
`{i}` is an index, `{i:03d}` a formatted one; `(a,b,c)` on the left means that one stored tensor makes several of ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_CHOICE = re.compile(r"\{([^{}:]*,[^{}]*)\}")
_GROUP = re.compile(r"\(([^()]*)\)")
_INDEX = re.compile(r"\{([a-z])(?::([^{}]*))?\}")


#: Names that one rule may stand for.
LIMIT = 10_000


class PatternError(ValueError):
    """The two sides of a rule do not go together."""


def expand(left: str, right: str) -> list[tuple[str, str]]:
    """Both sides with every `{a,b}` replaced. A right side without such groups serves every word of the left.

    PatternError if the choices do not pair, or make more than `LIMIT` names.
    """
    if math.prod(words.count(",") + 1 for words in _CHOICE.findall(left)) > LIMIT:
        raise PatternError(f"`{left[:40]}…` stands for more than {LIMIT} names")
    lefts, rights = _CHOICE.findall(left), _CHOICE.findall(right)
    if not lefts:
        if rights:
            raise PatternError(f"`{right}` offers a choice, `{left}` does not")
        return [(left, right)]
    words = lefts[0].split(",")
    if rights:
        if len(lefts) != len(rights):
            raise PatternError(f"`{left}` has {len(lefts)} choices, `{right}` has {len(rights)}")
        others = rights[0].split(",")
        if len(words) != len(others):
            raise PatternError(f"`{{{lefts[0]}}}` and `{{{rights[0]}}}` differ in length")
    else:
        others = [None] * len(words)
    pairs = []
    for word, other in zip(words, others, strict=True):
        new_right = right if other is None else _CHOICE.sub(other.strip(), right, count=1)
        pairs += expand(_CHOICE.sub(word.strip(), left, count=1), new_right)
    return pairs


@dataclass(frozen=True)
class Pattern:
    """A left side without choices. With `glob`, `*` stands for anything."""

    text: str
    glob: bool = False

    @cached_property
    def group(self) -> tuple[str, ...]:
        """The words of its `(a,b,c)`, none if there is no such group."""
        found = _GROUP.search(self.text)
        return tuple(word.strip() for word in found[1].split(",")) if found else ()

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        parts, end, seen = [], 0, set()
        for token in re.finditer(rf"{_GROUP.pattern}|{_INDEX.pattern}", self.text):
            parts.append(self._literal(self.text[end : token.start()]))
            if token[1] is not None:
                parts.append("(?P<group>" + "|".join(map(re.escape, self.group)) + ")")
            else:
                parts.append(rf"(?P={token[2]})" if token[2] in seen else rf"(?P<{token[2]}>\d+)")
                seen.add(token[2])
            end = token.end()
        return re.compile("".join([*parts, self._literal(self.text[end:])]))

    def _literal(self, text: str) -> str:
        return ".*".join(map(re.escape, text.split("*"))) if self.glob else re.escape(text)

    def match(self, name: str) -> dict[str, str] | None:
        """What the indices (and `group`) stand for in `name`."""
        found = self._regex.fullmatch(name)
        return found and found.groupdict()

    def members(self, values: dict[str, str]) -> list[str]:
        """All names of the group that `values` came from, in the order of the notation."""
        if not self.group:
            return [fill(self.text, values)]
        return [fill(_GROUP.sub(word, self.text, count=1), values) for word in self.group]


def fill(template: str, values: dict[str, str]) -> str:
    """The template with its indices replaced."""
    return _INDEX.sub(lambda m: format(int(values[m[1]]), m[2] or "d") if m[1] in values else m[0], template)


def all_that_hold(value: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """A table's entry is a text, a mapping with the text under `key` and perhaps a `when`, or a list of such: those
    whose `when` holds, as mappings."""
    alternatives = value if isinstance(value, list) else [value]
    mappings = ({key: one} if isinstance(one, str) else one for one in alternatives)
    return (one for one in mappings if one.get("when", True))


def first_that_holds(value: Any, key: str) -> Mapping[str, Any] | None:
    """The first of them, None if none does."""
    return next(all_that_hold(value, key), None)
