"""Names in one section of a spec that are meant to be found in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import Diagnostic, did_you_mean
from .compose import Composition, Origin, used_hparams
from .documents import Path
from .layers import SECTIONS


def unknown_names(composition: Composition) -> Iterator[Diagnostic]:
    """What each section calls by a name that the section meant does not have."""
    sections = {name: value for name, value in composition.tree.items() if isinstance(value, dict)}
    configs, weights, pretrained = (sections.get(name, {}) for name in ("configs", "weights", "pretrained"))
    meant: list[tuple[str, Path, Iterable[str]]] = []
    for name in set(sections.get("hparams", {})) & set(SECTIONS):
        yield Diagnostic(f"`{name}` cannot be an hparam: it is a section", composition.key_place(("hparams", name)))
    for format, config in configs.items():
        config = config if isinstance(config, dict) else {}
        for key in ("read", "always", "untold"):
            named = config[key] if isinstance(config.get(key), dict) else {}
            meant += [("hparam", ("configs", format, key, name), sections.get("hparams", {})) for name in named]
    required = sections.get("generation", {}).get("requires")
    for name in required if isinstance(required, dict) else {}:
        meant.append(("hparam", ("generation", "requires", name), sections.get("hparams", {})))
    for section, known in (("configs", configs), ("weights", weights)):
        for format, entry in known.items():
            if isinstance(entry, dict) and isinstance(like := entry.get("like"), str) and like not in known:
                message = f"unknown format `{like}` in `{section}.{format}.like`"
                yield Diagnostic(message, composition.place((section, format, "like")), did_you_mean(like, known))
    for name, formats in pretrained.items():
        for format, release in (formats if isinstance(formats, dict) else {}).items():
            # where the authors' own release is may be said though no mapping reads it
            at = release.get("at") if isinstance(release, dict) else release
            if "://" not in str(at):
                meant.append(("format", ("pretrained", name, format), (*weights, "about")))
            stated = release.get("hparams") if isinstance(release, dict) else None
            stated = stated if isinstance(stated, dict) else {}
            path = ("pretrained", name, format, "hparams")
            meant += [("hparam", (*path, hparam), sections.get("hparams", {})) for hparam in stated]
    files = {name for entry in _sets(sections.get("tokenizer", {})) for name in entry.values() if isinstance(name, str)}
    for format, section in weights.items():
        if isinstance(section, dict) and isinstance(name := section.get("vocabulary"), str) and name not in files:
            place = composition.place(("weights", format, "vocabulary"))
            yield Diagnostic(f"no set of `tokenizer.files` has a file `{name}`", place, did_you_mean(name, files))
    for kind, path, known in meant:
        if path[-1] not in known:
            message = f"unknown {kind} `{path[-1]}` in `{'.'.join(map(str, path[:-1]))}`"
            yield Diagnostic(message, composition.key_place(path), did_you_mean(str(path[-1]), known))
    yield from _unused_hparams(composition, sections)


def _sets(tokenizer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    files = tokenizer.get("files")
    return [entry for entry in (files if isinstance(files, list) else [files]) if isinstance(entry, dict)]


def _unused_hparams(composition: Composition, sections: Mapping[str, Mapping[str, Any]]) -> Iterator[Diagnostic]:
    """Hparams that a file adds to what it extends, and that nothing refers to: most likely misspelt."""
    hparams = sections.get("hparams", {})
    added = [name for name in hparams if _is_added(composition.origins["hparams", name])]
    if not added:
        return
    used = used_hparams(composition.tree)
    for name in added:
        if name not in used and name.isidentifier():
            label = did_you_mean(name, (other for other in hparams if other in used))
            message = f"unknown key `{name}` in `hparams`"
            help = None if label else f"nothing refers to it; `${{{name}}}` in a node would"
            yield Diagnostic(message, composition.key_place(("hparams", name)), label, help=help)


def _is_added(origin: Origin) -> bool:
    while origin.replaced is not None:
        origin = origin.replaced
    return origin.layer > 0
