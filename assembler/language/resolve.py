"""Interpolation: what `${hidden_size}` and `${calc:…}` stand for, and the chain of values behind a value.

The root of every name is the hparams. OmegaConf looks names up; `templates` lets nothing else reach it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ...errors import Diagnostic, Note, Place, SpecError, did_you_mean
from .calc import CalcError, evaluate
from .compose import Composition, Origin
from .documents import MAX_DEPTH, Path, nodes, shown
from .templates import Piece, Reference, TemplateError, has_interpolation, pieces, references

MAX_SIZE = 1_000_000  # values that interpolation may make in all; of texts, 64 characters count as one
_PLACEHOLDER = re.compile(r"\b_(\d+)_\b")


class Hparams(dict[str, Any]):
    """Resolved hparams by name. `raw` has them as written, `origins` tells where they are from."""

    def __init__(self, raw: Mapping[str, Any], origins: Mapping[str, Origin]) -> None:
        super().__init__()
        self.raw = dict(raw)
        self.origins = dict(origins)


def resolve_hparams(
    composition: Composition, values: Mapping[str, Any] | None = None, place: Place | None = None
) -> Hparams:
    """The hparams with every interpolation carried out.

    `values`, read from a checkpoint's config at `place`, stand in for the spec's before interpolation; they are data
    and may not interpolate. SpecError with all that is wrong.
    """
    raw = composition.tree.get("hparams") or {}
    if not isinstance(raw, dict):
        raise SpecError(Diagnostic("`hparams` is a mapping of names to values", composition.place(("hparams",))))
    hparams = Hparams(raw, {name: composition.origins[("hparams", name)] for name in raw})
    problems: list[Diagnostic] = []
    for name, value in (values or {}).items():
        if name not in raw:
            problems.append(Diagnostic(f"unknown hparam `{name}`", place, did_you_mean(name, raw)))
            continue
        for path, item in nodes(value):
            if len(path) > MAX_DEPTH or has_interpolation(item):
                what = "hold `${`: a config is data" if has_interpolation(item) else f"nest {MAX_DEPTH} levels deep"
                problems.append(Diagnostic(f"`{name}` may not {what}", place))
                break
        hparams.raw[name] = value
        hparams.origins[name] = Origin(
            place or Place("argument"), value, len(composition.layers), replaced=hparams.origins[name]
        )
    if problems:
        raise SpecError(*problems)
    _Resolver(hparams, composition).fill(hparams)
    return hparams


def resolve(node: Any, hparams: Mapping[str, Any], composition: Composition | None = None, path: Path = ()) -> Any:
    """`node` with every interpolation carried out; `${name}` alone keeps its type.

    `path` is where the node stands in the composition, for errors. SpecError with all that is wrong.
    """
    resolver = _Resolver(hparams, composition)
    result = resolver.value(node, path)
    if resolver.problems:
        raise SpecError(*resolver.problems)
    return result


def chain(composition: Composition, path: Path, hparams: Hparams | None = None) -> tuple[Note, ...]:
    """The values behind the value at `path`: the hparams it is computed from, or else the value itself.

    Each note says what the value is and where it is from, with what it replaces. Without `hparams` as written.
    """
    origin = composition.origins.get(path)
    if origin is None:
        return ()
    written = composition.tree.get("hparams")
    raw = hparams.raw if hparams is not None else written if isinstance(written, dict) else {}
    own_hparam = len(path) == 2 and path[0] == "hparams"
    waiting = [str(path[1])] if own_hparam else references(origin.value)[::-1]
    notes: dict[str, Note] = {}
    while waiting:
        name = waiting.pop()
        if name in raw and name not in notes:
            value, origin = raw[name], composition.origins["hparams", name]
            if hparams is not None:
                value, origin = hparams.get(name, value), hparams.origins[name]
            notes[name] = Note(f"{name} = {shown(value)}", str(origin))
            waiting += references(raw[name])[::-1]
    if not notes and not isinstance(origin.value, dict | list):
        return (Note(f"{path[-1]} = {shown(origin.value)}", str(origin)),)
    return tuple(notes.values())


class _Problem(Exception):
    """An interpolation that has no value; `text` is the part at fault."""

    def __init__(self, message: str, text: str, label: str = "", help: str | None = None) -> None:
        super().__init__(message)
        self.text, self.label, self.help = text, label, help


class _Resolver:
    """Carries out interpolations over one set of hparams, and gathers what is wrong with them."""

    def __init__(self, hparams: Mapping[str, Any], composition: Composition | None) -> None:
        self.hparams = hparams
        self.composition = composition
        self.names = hparams.raw if isinstance(hparams, Hparams) else hparams
        self.problems: list[Diagnostic] = []
        self.failed: set[str] = set()
        self.size = 0
        self.known: dict[str, Any] = {}  # by the text of the reference

    def fill(self, hparams: Hparams) -> None:
        """Resolve the hparams themselves, each after those it refers to."""
        needs = {name: references(value) for name, value in hparams.raw.items()}
        try:
            order = list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            raise SpecError(self.circle(error.args[1][::-1])) from error
        values: dict[str, Any] = {}
        for name in order:
            if name not in hparams.raw:  # reported where it is referred to
                continue
            before = len(self.problems)
            if self.failed.isdisjoint(needs[name]):
                values[name] = hparams[name] = self.value(hparams.raw[name], ("hparams", name))
            if name not in values or len(self.problems) > before:
                self.failed.add(name)
        if self.problems:
            raise SpecError(*self.problems)
        hparams.clear()
        hparams.update((name, values[name]) for name in hparams.raw)

    def circle(self, names: list[str]) -> Diagnostic:
        assert self.composition is not None
        notes = tuple(chain(self.composition, ("hparams", name))[0] for name in names[:-1])
        message = f"hparams refer to each other in a circle: {' -> '.join(names)}"
        return Diagnostic(message, self.composition.place(("hparams", names[0])), notes=notes)

    def value(self, node: Any, path: Path) -> Any:
        """The node with its interpolations carried out; what has no value becomes None and a problem."""
        if isinstance(node, dict):
            return {key: self.value(item, (*path, key)) for key, item in node.items()}
        if isinstance(node, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(node)]
        if not has_interpolation(node):
            return node
        try:
            return self.text(node)
        except (_Problem, TemplateError) as problem:
            self.report(problem, path)
            return None

    def text(self, text: str) -> Any:
        parts = list(pieces(text))
        if len(parts) == 1:
            return self.piece(parts[0])
        words = []
        for part in parts:
            value = part if isinstance(part, str) else self.piece(part)
            if isinstance(value, dict | list):
                raise _Problem(f"{shown(value)} cannot stand within a text", part.text)
            words.append(shown(value) if value is None or isinstance(value, bool) else str(value))
        result = "".join(words)
        if has_interpolation(result):  # made by its pieces, to be carried out by whoever refers to it
            raise _Problem("the text that results may not hold `${`", text)
        return result

    def piece(self, piece: Piece) -> Any:
        if isinstance(piece, Reference):
            value = self.lookup(piece)
        else:
            names = {f"_{index}_": self.lookup(reference) for index, reference in enumerate(piece.references)}
            written = [reference.text for reference in piece.references]
            try:
                value = evaluate(piece.expression, names)
            except CalcError as error:
                message = _PLACEHOLDER.sub(lambda match: _at(written, match), str(error))
                raise _Problem(message, piece.text, help=error.help) from error
        self.size += sum(1 + (len(item) // 64 if isinstance(item, str) else 0) for _, item in nodes(value))
        if self.size > MAX_SIZE:
            raise _Problem("interpolation makes more than a spec can hold", piece.text)
        return value

    def lookup(self, reference: Reference) -> Any:
        """What stands under a reference; for keys and items of an hparam, as OmegaConf finds it."""
        name = reference.name
        if name not in self.names:
            raise _Problem(f"unknown hparam `{name}`", reference.text, did_you_mean(name, self.names))
        if reference.text not in self.known:
            value = self.hparams[name]
            if any(has_interpolation(item) for _, item in nodes(value)):  # OmegaConf would carry it out
                raise _Problem(f"the value of `{name}` may not hold `${{`", reference.text)
            self.known[reference.text] = _select(name, value, reference) if reference.access else value
        return copy.deepcopy(self.known[reference.text])

    def report(self, problem: _Problem | TemplateError, path: Path) -> None:
        place, notes = None, ()
        if self.composition is not None:
            place = self.composition.place(path)
            notes = chain(self.composition, path, self.hparams if isinstance(self.hparams, Hparams) else None)
        if path[:1] == ("hparams",):
            notes = notes[1:]  # the hparam itself, which the error is about
        place = place and _narrowed(place, problem.text)
        self.problems.append(Diagnostic(str(problem), place, getattr(problem, "label", ""), notes, problem.help))


def _select(name: str, value: Any, reference: Reference) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        found = OmegaConf.create({"": reference.text, name: value})[""]
    except OmegaConfBaseException as error:
        raise _Problem(f"`{reference.text}`: {str(error).splitlines()[0]}", reference.text) from error
    return OmegaConf.to_container(found) if OmegaConf.is_config(found) else found


def _at(written: list[str], match: re.Match[str]) -> str:
    index = int(match[1])
    return written[index] if index < len(written) else match[0]


def _narrowed(place: Place, text: str) -> Place:
    """The part of the place where `text` stands, if it is there to see."""
    if place.line is None or place.column is None:
        return place
    start = place.text.find(text, place.column - 1)
    return place if start < 0 else replace(place, column=start + 1, width=len(text))
