"""Which spec a checkpoint may be for, when no config tells: its names and shapes held against the specs' mappings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..language.spec import Spec, list_specs, load_spec
from ..stores import TensorInfo
from .mapping import HEADS, owner_of
from .ops import OpError, Pipeline
from .patterns import PatternError, expand, stored_names

ENOUGH = 0.5  # of the tensors must be explained


@dataclass(frozen=True, slots=True)
class Guess:
    spec: str
    format: str
    explained: int  # kinds of stored tensors
    used: float  # share of the mapping's rules


@dataclass(frozen=True, slots=True)
class _Line:
    """One rule with one way to end its name."""

    rule: str
    name: re.Pattern[str]
    pipeline: Pipeline


def guess(tensors: Mapping[str, TensorInfo], specs: Iterable[str | Spec] | None = None) -> list[Guess]:
    """The specs (of `specs`, or all) whose mappings explain these tensors best, the likeliest first; several if nothing
    tells them apart."""
    kinds = {(re.sub(r"\d+", "0", name), len(info.shape)): (name, info.shape) for name, info in tensors.items()}
    found = []
    for spec in map(load_spec, list_specs() if specs is None else specs):
        parts = {*spec.sections["model"], *(f"{HEADS}{head}" for head in spec.sections["heads"])}
        for format, section in spec.sections["weights"].items():
            known = _known(section)
            lines = list(_lines(section, parts))
            hits: dict[str, set[str]] = {}
            for stored, shape in kinds.values():
                hits[stored] = {line.rule for line in lines if _fits(line, stored, shape)}
            explained = [stored for stored, rules in hits.items() if rules or known.fullmatch(stored)]
            used = len(set().union(*hits.values())) / max(len({line.rule for line in lines}), 1)
            if len(explained) >= ENOUGH * len(hits) and used:
                found.append(Guess(spec.name, format, len(explained), used))
    if not found:
        return []
    best = max(guess.explained for guess in found)
    likely = sorted((guess for guess in found if guess.explained == best), key=lambda guess: -guess.used)
    return [guess for guess in likely if guess.used > likely[0].used * 0.8]


def _lines(section: Mapping[str, Any], parts: Collection[str]) -> Iterator[_Line]:
    ends = {".weight": (), ".bias": (), "": ()}
    for leaves in (section.get("leaves") or {}).values():
        for text in leaves.values():
            end, *ops = (piece.strip() for piece in text.split("|"))
            ends[end] = tuple(ops)
    prefixes = _either(section.get("prefix") or [""])
    spellings = section.get("accept") or {}
    for left, value in (section.get("rules") or {}).items():
        for choice in value if isinstance(value, list) else [value]:
            try:
                pairs = expand(left, choice if isinstance(choice, str) else choice["from"])
                rights = [right for name, right in pairs if owner_of(name) in parts]
            except PatternError:
                continue
            for right in rights:
                name, *ops = (piece.strip() for piece in right.split("|"))
                for end, leaf_ops in ends.items():
                    whole = stored_names(name + end)
                    for old, new in spellings.items():
                        if (name + end).endswith(new):
                            whole += "|" + stored_names((name + end).removesuffix(new) + old)
                    try:
                        yield _Line(name, re.compile(f"{prefixes}(?:{whole})"), Pipeline.parse([*leaf_ops, *ops]))
                    except OpError:
                        continue


def _known(section: Mapping[str, Any]) -> re.Pattern[str]:
    """Names that the mapping speaks of without reading them."""
    names = [*(section.get("ignore") or ()), *(section.get("duplicates") or ())]
    return re.compile(_either(section.get("prefix") or [""]) + "(?:" + "|".join(map(stored_names, names)) + ")")


def _fits(line: _Line, name: str, shape: tuple[int, ...]) -> bool:
    if line.name.fullmatch(name) is None:
        return False
    try:
        line.pipeline.shape(shape)
    except OpError:
        return False
    return True


def _either(texts: list[str]) -> str:
    return "(?:" + "|".join(map(re.escape, [*texts, ""])) + ")"
