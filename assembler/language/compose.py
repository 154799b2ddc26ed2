"""A spec, all it extends and every override, merged into one tree that remembers where each value is from."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import Diagnostic, Place, SpecError, UsageError, did_you_mean
from .documents import MAX_DEPTH, Path, at_override, nodes, one_line, parse_document, shown
from .layers import SECTIONS, Layer, find_spec, load_layers
from .templates import references

Overrides = Mapping[str, Any] | Sequence[str]

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value of the merged tree is from, and what stood there before."""

    place: Place
    value: Any
    layer: int  # index into Composition.layers; overrides come after them
    key: Place | None = None
    replaced: Origin | None = None

    def __str__(self) -> str:
        if self.replaced is None or isinstance(self.replaced.value, dict | list):
            return str(self.place)
        return f"{self.place} (replaces {shown(self.replaced.value)}, {self.replaced.place})"


@dataclass(slots=True)
class Composition:
    """The merged spec. Interpolations are still as written, `extends` is carried out and gone."""

    name: str
    layers: list[Layer]  # root first
    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)  # of every value, mapping, list and item
    explicit: set[str] = field(default_factory=set)  # hparams of this very variant, which beat a checkpoint's config

    def place(self, path: Path) -> Place | None:
        """Where the value stands, or else the nearest thing around it."""
        origin = self._nearest(path)
        return origin and origin.place

    def key_place(self, path: Path) -> Place | None:
        """Where the value's key stands, or else as `place`."""
        origin = self._nearest(path)
        return origin and (origin.key or origin.place)

    def _nearest(self, path: Path) -> Origin | None:
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path)


def compose(name_or_path: str | os.PathLike[str], overrides: Overrides | None = None) -> Composition:
    """Merge a spec, all it extends and the overrides. SpecError, UsageError."""
    layers = load_layers(find_spec(name_or_path))
    last = layers[-1]
    name = last.document.tree.get("spec")
    composition = Composition(name if isinstance(name, str) else last.file.stem, layers)
    for index, layer in enumerate(layers):
        document = layer.document
        merge = _Merge(composition, index, document.places[()], document.places, document.key_places)
        mine = {"spec": layer.file.stem} | {key: value for key, value in document.tree.items() if key != "extends"}
        composition.origins[()] = merge.origin((), mine)
        if composition.tree.pop("spec", None):  # the name of the spec that this one extends
            del composition.origins["spec",]
        merge.mapping(composition.tree, mine, ())
    with_configs = [index for index, layer in enumerate(layers) if "configs" in layer.document.tree]
    for layer in layers[with_configs[-1] + 1 if with_configs else 0 :]:
        composition.explicit |= set(_mapping(layer.document.tree.get("hparams")))
    _delete_hparams(composition)
    return override(composition, overrides) if overrides else composition


def override(composition: Composition, overrides: Overrides) -> Composition:
    """A copy of the composition with overrides applied, each merged like a file that extends what is there.

    Overrides are `NAME=VALUE` texts, with a YAML value, or a mapping. A name whose first component is a section is a
    path into the spec (`model.encoder.layer.residual`); any other is an hparam's.
    """
    if isinstance(overrides, str):
        raise UsageError(f"overrides are a list of NAME=VALUE or a mapping, got the text `{shown(overrides)}`")
    read, items = (_argument, overrides.items()) if isinstance(overrides, Mapping) else (_text, overrides)
    result = Composition(
        composition.name, composition.layers, copy.deepcopy(composition.tree), dict(composition.origins),
        set(composition.explicit),
    )
    problems: list[Diagnostic] = []
    for item in items:
        try:
            _apply(result, *read(item))
        except SpecError as error:
            problems += error.diagnostics
    if problems:
        raise SpecError(*problems)
    return result


def used_hparams(tree: Mapping[str, Any]) -> set[str]:
    """Names of the hparams that a spec refers to or reads from config files."""
    configs = _mapping(tree.get("configs")).values()
    return set(references(tree)).union(*(_mapping(_mapping(config).get("read")) for config in configs))


def _delete_hparams(composition: Composition) -> None:
    """Those that an extending file has set to null, and that nothing refers to any more."""
    hparams = _mapping(composition.tree.get("hparams"))
    nulled = [n for n, v in hparams.items() if v is None and composition.origins["hparams", n].replaced is not None]
    for name in set(nulled) - used_hparams(composition.tree) if nulled else ():
        del hparams[name], composition.origins["hparams", name]
        composition.explicit.discard(name)


@dataclass(slots=True)
class _Merge:
    """Merges one layer into a composition."""

    composition: Composition
    layer: int
    default: Place  # of what has no place of its own
    places: Mapping[Path, Place] = field(default_factory=dict)
    key_places: Mapping[Path, Place] = field(default_factory=dict)

    def mapping(self, base: dict[str, Any], new: Mapping[str, Any], path: Path) -> None:
        for key, value in new.items():
            self.entry(base, key, value, (*path, key))

    def entry(self, base: dict[str, Any], key: str, value: Any, path: Path) -> None:
        """Merge one value into the mapping `base`. Null takes its key away, but in `hparams` it is a value."""
        old = base.get(key, _ABSENT)
        if value is None and old is not _ABSENT and path[:-1] != ("hparams",):
            del base[key]
            self.forget(old, path)
        elif isinstance(old, dict) and isinstance(value, dict) and not _other_block(old, value):
            self.composition.origins[path] = self.origin(path, old)
            self.mapping(old, value, path)
        else:
            self.replace(base, key, value, path)

    def replace(self, base: dict[str, Any] | list[Any], key: Any, value: Any, path: Path) -> None:
        origins = self.composition.origins
        before = origins.get(path)
        if before is not None:
            self.forget(base[key], path)
        base[key] = copy.deepcopy(value)
        origins.update((below, self.origin(below, item)) for below, item in nodes(base[key], path))
        origins[path] = self.origin(path, base[key], before)

    def origin(self, path: Path, value: Any, replaced: Origin | None = None) -> Origin:
        return Origin(self.places.get(path, self.default), value, self.layer, self.key_places.get(path), replaced)

    def forget(self, old: Any, path: Path) -> None:
        for below, _ in nodes(old, path):
            self.composition.origins.pop(below, None)


def _argument(item: tuple[str, Any]) -> tuple[str, Any, Place]:
    name, value = item
    place = Place(one_line(f"{name}={shown(value)} (argument)"))
    return str(name), _plain(value, place), place


def _text(text: str) -> tuple[str, Any, Place]:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise UsageError(f"`{shown(text)}` is not NAME=VALUE", help="for instance --set num_hidden_layers=6")
    place = Place(one_line(f"--set {text}"))
    try:
        return name, parse_document(value, place.source).tree, place
    except SpecError as error:
        raise at_override(error, place) from error


def _apply(composition: Composition, name: str, value: Any, place: Place) -> None:
    """Merge one override."""
    rest = name.split(".")
    if rest[0] in ("spec", "extends"):
        raise SpecError(Diagnostic(f"`{rest[0]}` cannot be overridden", place, help="write a spec of your own"))
    if rest[0] not in SECTIONS:
        hparams = _mapping(composition.tree.get("hparams"))
        if rest[0] not in hparams:
            raise SpecError(Diagnostic(f"unknown hparam `{rest[0]}`", place, did_you_mean(rest[0], hparams)))
        rest.insert(0, "hparams")
    node: Any = composition.tree
    path: Path = ()
    while True:
        key, rest = _step(node, rest)
        child = _child(node, key)
        if not rest:
            break
        if not isinstance(child, dict | list):
            what = f"`{_dotted((*path, key))}` " + ("does not exist" if child is _ABSENT else f"is {shown(child)}")
            choices = node if child is _ABSENT and isinstance(node, dict) else ()
            raise SpecError(Diagnostic(f"{what}, so `{name}` cannot be set", place, did_you_mean(str(key), choices)))
        node, path = child, (*path, key)
    merge = _Merge(composition, len(composition.layers), place)
    if isinstance(node, dict):
        merge.entry(node, str(key), value, (*path, key))
    elif child is not _ABSENT:
        merge.replace(node, key, value, (*path, key))
    else:
        raise SpecError(Diagnostic(f"`{_dotted(path)}` has {len(node)} items and no `{key}`", place))
    head, *below = (*path, key)
    if head == "hparams":
        composition.explicit |= {below[0]} if below else set(_mapping(value))


def _step(node: dict[str, Any] | list[Any], rest: list[str]) -> tuple[str | int, list[str]]:
    """The next key and the components after it. A key may have dots itself: the shortest one that is there wins."""
    if isinstance(node, list):
        return (int(rest[0]) if rest[0].isdecimal() and len(rest[0]) < 10 else rest[0]), rest[1:]
    for end in range(1, len(rest) + 1):
        if (key := ".".join(rest[:end])) in node:
            return key, rest[end:]
    return rest[0], rest[1:]


def _child(node: dict[str, Any] | list[Any], key: str | int) -> Any:
    if isinstance(node, dict):
        return node.get(key, _ABSENT)
    return node[key] if isinstance(key, int) and key < len(node) else _ABSENT


def _plain(value: Any, place: Place, depth: int = 0) -> Any:
    """The value an argument gives, as a document would hold it."""
    if depth > MAX_DEPTH:
        raise SpecError(Diagnostic(f"nested more than {MAX_DEPTH} levels deep", place))
    if isinstance(value, Mapping):
        return {str(key): _plain(item, place, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, place, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise SpecError(Diagnostic(f"a {type(value).__name__} is nothing a spec can hold", place))


def _other_block(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether `new` is another thing than `old`, not a change to it: another block or type, or blocks by kind."""
    if "by_kind" in old or "by_kind" in new:
        return ("block" in old and "by_kind" in new) or ("by_kind" in old and "block" in new)
    return any(key in old and key in new and old[key] != new[key] for key in ("block", "type"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
