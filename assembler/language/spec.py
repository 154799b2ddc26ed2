"""A loaded spec: what the rest of the assembler asks, and the index of what comes with the package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as File
from typing import Any, NamedTuple

from ...errors import Place, SpecError
from . import layers
from .compose import Composition, Overrides, compose, override
from .documents import Path
from .layers import SECTIONS, list_specs
from .releases import Pretrained, places
from .resolve import Hparams, chain, resolve, resolve_hparams
from .spelling import respelt

__all__ = [
    "ConfigMatch", "Overrides", "Pretrained", "Spec", "config_files", "find_config_matches",
    "find_pretrained", "find_release", "list_specs", "load_spec", "pretrained_names",
]  # fmt: skip


class ConfigMatch(NamedTuple):
    """How the config files of a spec's format are known."""

    spec: str
    format: str
    match: Mapping[str, Any]
    classes: frozenset[str] = frozenset()  # only those whose `architectures` name one of them; empty: any


@dataclass(frozen=True)
class Spec:
    """A merged spec whose sections have been checked. Its blocks have not: see `checked_hparams`."""

    composition: Composition

    @property
    def name(self) -> str:
        return self.composition.name

    @property
    def sections(self) -> dict[str, Any]:
        """Every section as written; an absent one is empty. A format has what the one it is like has."""
        sections = {name: self.composition.tree.get(name) or {} for name in SECTIONS if name not in ("spec", "extends")}
        for section in ("configs", "weights"):
            formats = sections[section]
            sections[section] = {name: _with_like(name, formats) for name in formats}
        weights = sections["weights"]
        sections["weights"] = {name: respelt(one) if "spelling" in one else one for name, one in weights.items()}
        return sections

    @property
    def weights_formats(self) -> list[str]:
        """The formats that weights are read and written in, the preferred one first."""
        return list(self.sections["weights"])

    def hparams(self, values: Mapping[str, Any] | None = None, place: Place | None = None) -> Hparams:
        """The hparams, interpolated; `values` from a config at `place` stand in for the spec's own. SpecError."""
        return resolve_hparams(self.composition, values, place)

    def interpolated(self, hparams: Mapping[str, Any]) -> dict[str, Any]:
        """Every section with its interpolations carried out. SpecError."""
        sections = {name: section for name, section in self.sections.items() if name != "hparams"}
        return resolve(sections, hparams, self.composition) | {"hparams": dict(hparams)}

    def tokenizer_section(self) -> dict[str, Any] | None:
        """The `tokenizer:` section, interpolated; None if there is none."""
        section = self.sections["tokenizer"]
        return resolve(section, self.hparams(), self.composition, ("tokenizer",)) if section else None

    def with_overrides(self, overrides: Overrides) -> Spec:
        """This spec with values changed, as `override` takes them."""
        return _checked_sections(override(self.composition, overrides))

    def architecture(self) -> Spec:
        """The spec without what variants and overrides change: the last file of its chain that has `configs:`; for a
        spec written out as a whole, the one of the package whose configs it has."""
        files = [layer.file for layer in self.composition.layers if "configs" in layer.document.tree]
        if not files:
            return self
        base = load_spec(files[-1])
        whole = len(self.composition.layers) == 1 and files[-1].parent != layers.SPECS
        return whole and _published(base) or base

    def place(self, path: Path) -> Place | None:
        """Where the value at `path`, or the nearest thing around it, stands."""
        return self.composition.place(path)

    def locate(self, path: Path, hparams: Hparams | None = None) -> dict[str, Any]:
        """`place` and `notes` of a Diagnostic about the value at `path`: where it stands and what is behind it."""
        return {"place": self.place(path), "notes": chain(self.composition, path, hparams)}


def load_spec(name_or_path: str | os.PathLike[str] | Spec, overrides: Overrides | None = None) -> Spec:
    """The spec of that name or in that file, merged with what it extends and the overrides.

    SpecError with all that is wrong in its sections, UsageError if an override is none.
    """
    if isinstance(name_or_path, Spec):
        return name_or_path.with_overrides(overrides) if overrides else name_or_path
    composition = compose(name_or_path, overrides)
    if not overrides and all(layer.file.parent == layers.SPECS for layer in composition.layers):
        return Spec(composition)  # tested as it comes with the package; checking takes a third of what `inspect` does
    return _checked_sections(composition)


def find_pretrained(name: str) -> list[Pretrained]:
    """Where the checkpoint of that name is, in each format; empty if no spec knows it."""
    return list(_index(layers.SPECS)[0].get(name, ()))


def find_release(url: str) -> Pretrained | None:
    """The release at that address, if some spec knows it; a slash at the end makes no difference."""
    from ..hub.buckets import web_address

    wanted = web_address(url).rstrip("/")
    every = (place for found in _index(layers.SPECS)[0].values() for place in found if place.is_release)
    return next((place for place in every if web_address(place.target).rstrip("/") == wanted), None)


def pretrained_names() -> list[str]:
    """Names of all checkpoints that the specs of the package know."""
    return list(_index(layers.SPECS)[0])


def find_config_matches(config: Mapping[str, Any]) -> list[str]:
    """Names of the specs that say a config like this is theirs.

    A spec that extends another and says nothing of `match` but names `architectures` takes the configs that name them.
    """
    named = config.get("architectures")
    classes = {name for name in named if isinstance(name, str)} if isinstance(named, list) else set()
    found = [entry for entry in _index(layers.SPECS)[1] if _fits(entry.match, config)]
    special = [entry for entry in found if entry.classes & classes]
    return list(dict.fromkeys(entry.spec for entry in special or found if special or not entry.classes))


def config_files() -> dict[str, list[str]]:
    """Names of config files that specs call their own -> those specs. The one that all share is not among them."""
    return dict(_index(layers.SPECS)[2])


@lru_cache(maxsize=4)
def _index(folder: File) -> tuple[dict[str, list[Pretrained]], list[ConfigMatch], dict[str, list[str]]]:
    """What the specs in `folder` themselves say is theirs, without what they inherit."""
    names: dict[str, list[Pretrained]] = {}
    matches: list[ConfigMatch] = []
    files: dict[str, list[str]] = {}
    for spec in list_specs():
        tree = layers.load_layers(folder / f"{spec}.yaml")[-1].document.tree
        for name, targets in (tree.get("pretrained") or {}).items():
            names.setdefault(name, []).extend(places(spec, targets))
        own = {format: config for format, config in (tree.get("configs") or {}).items() if config is not None}
        for format, config in own.items():
            named = config.get("file") or []
            for file in [named] if isinstance(named, str) else named:
                files.setdefault(file, []).append(spec)
            if match := config.get("match"):
                matches.append(ConfigMatch(spec, format, match))
            elif named := config.get("architectures"):
                inherited = compose(spec).tree["configs"][format].get("match") or {}
                matches.append(ConfigMatch(spec, format, inherited, frozenset(filter(None, named.values()))))
    return names, matches, files


def _published(spec: Spec) -> Spec | None:
    """The spec of the package that `spec` is, or is a variant of, told by its name or by what configs it takes."""
    for rules in spec.sections["configs"].values():
        config = {**(rules.get("match") or {}), "architectures": list((rules.get("architectures") or {}).values())}
        known = find_config_matches(config)
        if spec.name in known or len(known) == 1:
            return load_spec(spec.name if spec.name in known else known[0])
    return None


def _fits(match: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    return all(key in config and config[key] == value for key, value in match.items())


def _with_like(name: str, configs: Mapping[str, Any]) -> dict[str, Any]:
    """A format completed by the ones it is like, the nearest first; what is read and rules are completed one by
    one."""
    merged: dict[str, Any] = {}
    seen: list[str] = []
    while name in configs and name not in seen:
        seen.append(name)
        own = {key: value for key, value in configs[name].items() if key != "like"}
        lists = {key: {**own.get(key, {}), **merged.get(key, {})} for key in ("read", "rules")}
        merged = own | merged | {key: value for key, value in lists.items() if value}
        name = configs[name].get("like")
    return merged


def _checked_sections(composition: Composition) -> Spec:
    from .sections import check_sections

    if problems := check_sections(composition):
        raise SpecError(*problems)
    return Spec(composition)
