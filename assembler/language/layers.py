"""Spec files by name or path, and the chain of files that a spec extends."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as File

from ...errors import Diagnostic, Note, SpecError, did_you_mean
from .documents import Document, display, load_document, shown

SPECS = File(__file__).resolve().parents[2] / "specs"
SECTIONS = (
    "spec", "extends", "about", "hparams", "configs", "model", "heads", "tokenizer", "generation", "tasks",
    "weights", "pretrained",
)
_NAME = re.compile(r"\w[\w-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a chain of `extends`. The document's tree is a mapping."""

    file: File
    document: Document

    @property
    def source(self) -> str:
        return self.document.source


def list_specs() -> list[str]:
    """Names of the specs that come with the package."""
    return sorted(file.stem for file in SPECS.glob("*.yaml") if not file.stem.startswith("_"))


def find_spec(name_or_path: str | os.PathLike[str], *, extending: Layer | None = None) -> File:
    """The file of a spec: a name in `specs/`, or a path, tried relative to the spec that extends it first."""
    text = os.fspath(name_or_path)
    place = extending and extending.document.places.get(("extends",))
    if "://" in text or not text.strip() or "\0" in text:
        raise SpecError(Diagnostic(f"`{shown(text)}` is neither the name of a spec nor a path", place))
    candidates = [SPECS / f"{text}.yaml"] if _NAME.fullmatch(text) else []
    candidates += [extending.file.parent / text] if extending else []
    for file in (*candidates, File(text)):
        try:
            if file.is_file():
                return file
        except OSError:  # longer than a name can be
            continue
    if text.endswith((".yaml", ".yml")):
        raise SpecError(Diagnostic(f"there is no file `{text}`", place))
    raise SpecError(
        Diagnostic(f"unknown spec `{shown(text)}`", place, did_you_mean(text, list_specs()),
                   help="give a name that `modelwright list` shows, or the path of a YAML file")
    )


def load_layers(file: File) -> list[Layer]:
    """The spec in `file` and the chain it extends, root first."""
    layers: list[Layer] = []
    seen: set[File] = set()
    while True:
        layer = Layer(file, _document(file))
        if not isinstance(layer.document.tree, dict):
            place = layer.document.places[()]
            raise SpecError(Diagnostic(f"a spec is a mapping of the sections {', '.join(SECTIONS)}", place))
        seen.add(file.resolve())
        layers.insert(0, layer)
        parent = layer.document.tree.get("extends")
        if parent is None:
            return layers
        if not isinstance(parent, str):
            place = layer.document.places[("extends",)]
            raise SpecError(Diagnostic(f"`extends` takes one name or path, got {shown(parent)}", place))
        file = find_spec(parent, extending=layer)
        if file.resolve() in seen:
            raise SpecError(_circle(layers[::-1], file))


def _document(file: File) -> Document:
    """What is in a file. Those of the package are parsed once a process: several specs extend one."""
    if file.parent != SPECS:
        return load_document(file)
    facts = file.stat()
    return _parsed(file, display(file), facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=64)
def _parsed(file: File, source: str, changed: int, size: int) -> Document:
    return load_document(file)


def _circle(layers: list[Layer], file: File) -> Diagnostic:
    chain = " -> ".join([*(layer.source for layer in layers), display(file)])
    links = [(layer.document.tree["extends"], layer.document.places[("extends",)]) for layer in layers]
    notes = tuple(Note(f"extends: {parent}", place) for parent, place in links)
    return Diagnostic(f"`extends` goes round in a circle: {chain}", links[-1][1], notes=notes)
