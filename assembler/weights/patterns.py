"""The notation of mapping rules: `encoder.layers.{i}.attention.(query,key,value).{weight,bias}`.

`{a,b}` stands for each word in turn, paired by position with the group of the same rank on the other side;
`{i}` is an index, on the right also computed and formatted: `{4*i+2:03d}`. `{_i}` is `_1`, `_2`, … and nothing at all
for 0. `(a,b,c)` on the left means that one stored tensor makes several of ours.
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
_INDEX = re.compile(r"\{([a-z])\}")
_COMPUTED = re.compile(
    r"\{(?P<gap>_?)(?:(?P<factor>\d+)\*)?(?P<name>[a-z])(?:\+(?P<offset>\d+))?(?::(?P<format>[^{}]*))?\}"
)


#: Names that one rule may stand for.
LIMIT = 10_000
#: How names begin that are of a head.
HEADS = "heads."


class PatternError(ValueError):
    """The two sides of a rule do not go together."""


def owner_of(name: str) -> str:
    """The part a parameter or rule is about: `encoder`, or `heads.masked_lm`."""
    pieces = name.split(".")
    return ".".join(pieces[: 2 if name.startswith(HEADS) else 1])


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
    """A left side without choices."""

    text: str

    @cached_property
    def group(self) -> tuple[str, ...]:
        """The words of its `(a,b,c)`, none if there is no such group."""
        found = _GROUP.search(self.text)
        return tuple(word.strip() for word in found[1].split(",")) if found else ()

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        parts, end, seen = [], 0, set()
        for token in re.finditer(rf"{_GROUP.pattern}|{_INDEX.pattern}", self.text):
            parts.append(re.escape(self.text[end : token.start()]))
            if token[1] is not None:
                parts.append("(?P<group>" + "|".join(map(re.escape, self.group)) + ")")
            else:
                parts.append(rf"(?P={token[2]})" if token[2] in seen else rf"(?P<{token[2]}>\d+)")
                seen.add(token[2])
            end = token.end()
        return re.compile("".join([*parts, re.escape(self.text[end:])]))

    def match(self, name: str) -> dict[str, str] | None:
        """What the indices (and `group`) stand for in `name`."""
        found = self._regex.fullmatch(name)
        return found and found.groupdict()

    def members(self, values: dict[str, str]) -> list[str]:
        """All names of the group that `values` came from, in the order of the notation."""
        if not self.group:
            return [fill(self.text, values)]
        return [fill(_GROUP.sub(word, self.text, count=1), values) for word in self.group]


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its indices replaced, those that `values` has. PatternError if one cannot be formatted so."""

    def number(found: re.Match[str]) -> str:
        if found["name"] not in values:
            return found[0]
        index = int(found["factor"] or 1) * int(values[found["name"]]) + int(found["offset"] or 0)
        try:
            text = format(index, found["format"] or "d")
        except ValueError:
            raise PatternError(f"`{found[0]}` in `{template}`: `{found['format']}` formats no number") from None
        return text if not found["gap"] else f"_{text}" if index else ""

    return _COMPUTED.sub(number, template)


def stored_names(template: str) -> str:
    """A regular expression for the stored names that a template can make. `*` stands for anything, and so does an
    hparam of a spec that is not interpolated."""
    pieces, end = [], 0
    for found in re.finditer(rf"\*|\$\{{[^}}]*\}}|{_COMPUTED.pattern}", template):
        pieces.append(re.escape(template[end : found.start()]))
        pieces.append(".*" if found["name"] is None else r"(?:_\d+)?" if found["gap"] else r"\d+")
        end = found.end()
    return "".join([*pieces, re.escape(template[end:])])


def all_names(template: str) -> list[str] | None:
    """The stored names that a template can make if all indices are 0 and gaps are there or not; None if it says `*`,
    depends on hparams, or has many gaps."""
    if "*" in _COMPUTED.sub("", template) or "${" in template:
        return None
    found = list(_COMPUTED.finditer(template))
    names = [""]
    end = 0
    for token in found:
        ends = ("", "_0") if token["gap"] else ("0",)
        names = [name + template[end : token.start()] + each for name in names for each in ends]
        end = token.end()
        if len(names) > 64:
            return None
    return [name + template[end:] for name in names]


def indices(template: str) -> set[str]:
    """The letters of a template's indices."""
    return {found["name"] for found in _COMPUTED.finditer(template)}


def all_that_hold(value: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """A table's entry is a text, a mapping with the text under `key` and perhaps a `when`, or a list of such: those
    whose `when` holds, as mappings."""
    alternatives = value if isinstance(value, list) else [value]
    mappings = ({key: one} if isinstance(one, str) else one for one in alternatives)
    return (one for one in mappings if one.get("when", True))


def first_that_holds(value: Any, key: str) -> Mapping[str, Any] | None:
    """The first of them, None if none does."""
    return next(all_that_hold(value, key), None)
