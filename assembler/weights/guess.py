"""Which spec a checkpoint may be for, when no config tells: its names and shapes held against the specs' mappings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

from ..language import layers
from ..language.compose import compose
from ..language.spec import Spec, list_specs
from ..stores import TensorInfo
from .ops import OpError, Pipeline
from .patterns import HEADS, PatternError, all_names, expand, owner_of, stored_names

ENOUGH = 0.5  # of the tensors must be explained
_DIGITS = re.compile(r"\d+")


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
    pipeline: Pipeline


@dataclass(slots=True)
class _Table:
    """The lines of one format by the stored names they are about, in which every number is 0."""

    format: str
    prefixes: list[str]
    rules: set[str] = field(default_factory=set)
    exact: dict[str, list[_Line]] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], _Line]] = field(default_factory=list)  # where names depend on hparams
    known: re.Pattern[str] = re.compile(r"(?!)")  # names that the mapping speaks of without reading them

    def add(self, name: str, line: _Line) -> None:
        self.rules.add(line.rule)
        names = all_names(name)
        if names is None:
            self.patterns.append((re.compile(_either(self.prefixes) + f"(?:{stored_names(name)})"), line))
        for prefix, each in product({*self.prefixes, ""}, names or ()):
            self.exact.setdefault(_bare(prefix + each), []).append(line)

    def explain(self, name: str, bare: str, shape: tuple[int, ...]) -> set[str]:
        """The rules that may be about a stored tensor."""
        lines = [*self.exact.get(bare, ()), *(line for pattern, line in self.patterns if pattern.fullmatch(name))]
        return {line.rule for line in lines if _fits(line.pipeline, shape)}


def guess(tensors: Mapping[str, TensorInfo], specs: Iterable[str | Spec] | None = None) -> list[Guess]:
    """The specs (of `specs`, or all) whose mappings explain these tensors best, the likeliest first; several if nothing
    tells them apart."""
    kinds = {(_bare(name), len(info.shape)): (name, info.shape) for name, info in tensors.items()}
    found = []
    for spec in list_specs() if specs is None else specs:
        for table in _tables(layers.SPECS, spec) if isinstance(spec, str) else _read(spec):
            hits = [(name, table.explain(name, bare, shape)) for (bare, _), (name, shape) in kinds.items()]
            explained = sum(1 for name, rules in hits if rules or table.known.fullmatch(name))
            used = len(set().union(*(rules for _, rules in hits))) / max(len(table.rules), 1)
            if explained >= ENOUGH * len(hits) and used:
                found.append(Guess(spec if isinstance(spec, str) else spec.name, table.format, explained, used))
    if not found:
        return []
    best = max(guess.explained for guess in found)
    likely = sorted((guess for guess in found if guess.explained == best), key=lambda guess: -guess.used)
    return [guess for guess in likely if guess.used > likely[0].used * 0.8]


@lru_cache(maxsize=64)
def _tables(folder: Any, spec: str) -> list[_Table]:
    """Those of a spec of the package (or of a path), read once a process."""
    return _read(Spec(compose(spec)))


def _read(spec: Spec) -> list[_Table]:
    sections = spec.sections
    parts = {*sections["model"], *(f"{HEADS}{head}" for head in sections["heads"])}
    return [_table(format, section, parts) for format, section in sections["weights"].items()]


def _table(format: str, section: Mapping[str, Any], parts: Collection[str]) -> _Table:
    table = _Table(format, section.get("prefix") or [""])
    spellings = section.get("accept") or {}
    for rule, name, pipeline in _lines(section, parts):
        line = _Line(rule, pipeline)
        table.add(name, line)
        for old, new in spellings.items():
            if name.endswith(new):
                table.add(name.removesuffix(new) + old, line)
    names = [*(section.get("ignore") or ()), *(section.get("duplicates") or ())]
    table.known = re.compile(_either(table.prefixes) + "(?:" + ("|".join(map(stored_names, names)) or "(?!)") + ")")
    return table


def _lines(section: Mapping[str, Any], parts: Collection[str]) -> Iterator[tuple[str, str, Pipeline]]:
    """Rules, what they name with each way to end it, and what becomes of the tensor."""
    ends = {".weight": (), ".bias": (), "": ()}
    for leaves in (section.get("leaves") or {}).values():
        for text in leaves.values():
            end, *ops = (piece.strip() for piece in text.split("|"))
            ends[end] = tuple(ops)
    for left, value in (section.get("rules") or {}).items():
        for choice in value if isinstance(value, list) else [value]:
            try:
                pairs = expand(left, choice if isinstance(choice, str) else choice["from"])
            except PatternError:
                continue
            for right in (right for name, right in pairs if owner_of(name) in parts):
                name, *ops = (piece.strip() for piece in right.split("|"))
                if not name:
                    continue
                for end, leaf_ops in ends.items():
                    try:
                        yield name, name + end, _pipeline((*leaf_ops, *ops))
                    except OpError:
                        continue


@lru_cache(maxsize=1024)
def _pipeline(ops: tuple[str, ...]) -> Pipeline:
    return Pipeline.parse(ops)


def _fits(pipeline: Pipeline, shape: tuple[int, ...]) -> bool:
    try:
        pipeline.shape(shape)
    except OpError:
        return False
    return True


def _bare(name: str) -> str:
    return _DIGITS.sub("0", name)


def _either(texts: list[str]) -> str:
    return "(?:" + "|".join(map(re.escape, [*texts, ""])) + ")"
