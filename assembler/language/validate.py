"""Checking a spec without building it, and without torch: all faults at once, each where it was written.

Values behind interpolations are checked as what they come out as. `num_hidden_layers: twelve` is found where
`repeat: ${num_hidden_layers}` needs a whole number, and is reported where `twelve` stands.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import Diagnostic, Note, Place, SpecError
from .compose import Composition, Overrides, compose
from .documents import Path, shown
from .faults import Fault, Schema, dotted, faults
from .layers import SPECS
from .plugins import load_plugins
from .resolve import Hparams, chain, resolve, resolve_hparams
from .templates import references
from .unknown import unknown_names

if TYPE_CHECKING:
    from .spec import Spec

_PLAIN = re.compile(r"\$\{\s*([A-Za-z_]\w*)\s*\}")


def load_schema() -> Schema:
    """The committed schema: that of the blocks modelwright comes with."""
    return json.loads((SPECS / "schema.json").read_text(encoding="utf-8"))


def current_schema() -> Schema:
    """The schema of the blocks there are: the committed one, unless others have been registered besides."""
    schema = load_schema()
    registry = sys.modules.get(f"{__package__.partition('.')[0]}.blocks.registry")
    if registry is None or all(f"block {name}" in schema["definitions"] for name, _ in registry.blocks()):
        return schema
    from .schema import build_schema

    return build_schema()


def check_file(path: str | os.PathLike[str], overrides: Overrides | None = None) -> list[Diagnostic]:
    """What is wrong with a spec file (or a spec of that name) under these overrides; empty if nothing is.

    UsageError if an override is not NAME=VALUE.
    """
    try:
        return check(compose(path, overrides))
    except SpecError as error:
        return list(error.diagnostics)


def check(spec: Spec | Composition, hparams: Hparams | None = None) -> list[Diagnostic]:
    """What is wrong with a spec, in the order of files and lines; empty if nothing is.

    `hparams` are its hparams, resolved, where they are not just its own.
    """
    composition = spec if isinstance(spec, Composition) else spec.composition
    problems = _check(composition, hparams)
    if problems and load_plugins():  # looked for only now: what is right without them need not wait for them
        problems = _check(composition, hparams)
    return problems


def checked_hparams(spec: Spec, values: Mapping[str, Any] | None = None, *, source: str = "") -> Hparams:
    """A spec's hparams, with `values` read from the config `source`, if all blocks go with them. SpecError if not."""
    hparams = spec.hparams(values, Place(source) if source else None)
    if problems := check(spec, hparams):
        raise SpecError(*problems)
    return hparams


def _check(composition: Composition, hparams: Hparams | None) -> list[Diagnostic]:
    schema = current_schema()
    try:
        hparams = resolve_hparams(composition) if hparams is None else hparams
    except SpecError as error:
        said = {problem.place for problem in error.diagnostics}
        static = [_located(fault, composition, None) for fault in faults(composition.tree, schema)]
        return _unique([*error.diagnostics, *(problem for problem in static if problem.place not in said)])
    tree, failed = _interpolated(composition, hparams)
    unresolved = {path for path, _ in failed}
    found = [fault for fault in faults(tree, schema) if fault.path not in unresolved]
    sources = [_hparam(fault.path, composition, hparams)[0] if fault.of_value else "" for fault in found]
    bad = set(sources) - {""}  # what is computed from these is bad as a consequence, which is nothing to report

    def computed(path: Path) -> bool:
        return not bad.isdisjoint(_behind(path, composition, hparams))

    problems = [problem for path, problem in failed if not computed(path)]
    problems += [
        _located(fault, composition, hparams)
        for fault, source in zip(found, sources, strict=True)
        if source or not any(computed(path) for path in fault.chain)
    ]
    return _unique([*problems, *unknown_names(composition)])


def _unique(problems: list[Diagnostic]) -> list[Diagnostic]:
    """In the order of files and lines; one of those that say the same of the same place."""
    unique = {(problem.place, problem.message): problem for problem in reversed(problems)}
    return sorted(reversed(unique.values()), key=_position)


def _position(diagnostic: Diagnostic) -> tuple[str, int, int]:
    place = diagnostic.place
    return ("", 0, 0) if place is None else (place.source, place.line or 0, place.column or 0)


def _interpolated(
    composition: Composition, hparams: Hparams
) -> tuple[Mapping[str, Any], list[tuple[Path, Diagnostic]]]:
    """The tree with its interpolations carried out, and what is wrong with those that stay as written."""
    rest = {name: section for name, section in composition.tree.items() if name != "hparams"}
    failed: list[tuple[Path, Diagnostic]] = []

    def one_by_one(node: Any, path: Path) -> Any:
        if isinstance(node, dict):
            return {key: one_by_one(item, (*path, key)) for key, item in node.items()}
        try:
            return resolve(node, hparams, composition, path)
        except SpecError as error:
            failed.extend((path, problem) for problem in error.diagnostics)
            return node

    try:
        rest = resolve(rest, hparams, composition)
    except SpecError:
        rest = one_by_one(rest, ())
    return rest | {"hparams": dict(hparams)}, failed


def _located(fault: Fault, composition: Composition, hparams: Hparams | None) -> Diagnostic:
    """The fault at its place in a file, with the values behind it."""
    name, below = _hparam(fault.path, composition, hparams) if fault.of_value else ("", ())
    if name and hparams is not None:
        origin = hparams.origins[name]
        own = origin is composition.origins["hparams", name]
        place = composition.place(("hparams", name, *below)) if own else origin.place
        use = fault.path[: len(fault.path) - len(below)]
        notes = [Note(f"{dotted(use)} = {composition.origins[use].value}", composition.place(use))]
        if origin.replaced is not None:
            notes.insert(0, Note(f"{name} = {shown(origin.value)}", str(origin)))
        return Diagnostic(fault.sentence((name, *below)), place, fault.label, tuple(notes), fault.help)
    place = composition.key_place(fault.path) if fault.on_key else composition.place(fault.path)
    notes = [note for path in fault.chain for note in chain(composition, path, hparams)]
    return Diagnostic(fault.sentence(fault.path), place, fault.label, tuple(dict.fromkeys(notes)), fault.help)


def _hparam(path: Path, composition: Composition, hparams: Hparams | None) -> tuple[str, Path]:
    """The hparam that is the value at `path`, unchanged, and the path within it; an empty name if none is."""
    end = len(path)
    while end and path[:end] not in composition.origins:
        end -= 1
    name, value = "", composition.origins[path[:end]].value
    while isinstance(value, str) and (plain := _PLAIN.fullmatch(value)) and hparams is not None:
        name = plain[1]
        value = hparams.raw[name]
    return name, path[end:]


def _behind(path: Path, composition: Composition, hparams: Hparams) -> set[str]:
    """The hparams that the value at `path` is computed from, and those that these are."""
    origin = composition.origins.get(path)
    waiting = [] if origin is None else references(origin.value)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(hparams.raw.get(name))
    return found
