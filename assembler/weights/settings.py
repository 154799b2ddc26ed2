"""The format of a checkpoint, and what it says of its hparams: in a config beside the tensors or among them, and by
their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import Diagnostic, Note, WeightsError
from ..language.spec import Spec
from ..stores import KINDS, PartedStore
from .checkpoint import Checkpoint
from .config import read_config
from .gin import read_gin
from .guess import guess
from .names import SPEC, parts, read_json
from .patterns import stored_names
from .shapes import read_shapes
from .stored import Stored

FEW = 256  # layers, which are built soon even if a file has none of them


def find_format(spec: Spec, checkpoint: Checkpoint | None) -> str:
    """The spec's format that the checkpoint is in: of those that come in this kind of file the one whose names it has,
    else the first. For a state dict or a config, the first of all that fits. Empty for what lies beside its spec, under
    our own names."""
    if checkpoint is not None and checkpoint.config is None and Path(checkpoint.spec or "").name == SPEC:
        return ""
    formats = spec.sections["weights"]
    if checkpoint is None or checkpoint.store is None:
        return next(iter(formats), "")
    kind = checkpoint.store.name
    known = kind in KINDS
    fitting = [name for name, section in formats.items() if not known or kind in (section.get("store") or KINDS)]
    if checkpoint.format in fitting:
        return checkpoint.format
    if formats and not fitting:
        raise WeightsError(f"{spec.name} has no format that comes in {kind} files")
    if len(fitting) > 1:
        fitting = [one.format for one in guess(checkpoint.store.tensors, [spec]) if one.format in fitting] or fitting
        having = [name for name in fitting if _has_config(checkpoint, spec.sections["configs"].get(name) or {})]
        fitting = having or fitting
    return fitting[0] if fitting else ""


def read_settings(
    spec: Spec, checkpoint: Checkpoint, format: str, *, allow_unknown: bool = False, allow_untold: bool = False
) -> dict[str, Any]:
    """The hparams that a checkpoint tells, less those that the spec or the caller states explicitly, or its format of
    every checkpoint.

    Shapes beat the config. WeightsError if the config does not fit, or an hparam is told by nobody (which
    `allow_untold` lets pass).
    """
    explicit = spec.composition.explicit
    rules = spec.sections["configs"].get(format) or {}
    config, name = find_config(checkpoint, rules)
    values = {}
    if config is not None:
        checkpoint.config, checkpoint.config_name = config, name
        values = read_config(config, rules, name=name, spec=spec.name, allow_unknown=allow_unknown)
    if checkpoint.store is not None:
        section = spec.sections["weights"][format]
        shapes = Stored(checkpoint.store.tensors, section).bare_shapes()
        values |= read_shapes(section.get("shapes") or {}, shapes, values, name=checkpoint.name)
        _check_layers(values, checkpoint)
        values |= checkpoint.hparams
        if not allow_untold:
            _check_told(spec, format, values, checkpoint.name)
    if "num_labels" in explicit and "id2label" not in explicit:
        values.pop("id2label", None)  # the names of other labels
    return {name: value for name, value in values.items() if name not in {*explicit, *always(spec, format)}}


def always(spec: Spec, format: str) -> dict[str, Any]:
    """What a format says of every checkpoint, less what the spec or the caller states explicitly."""
    said = (spec.sections["configs"].get(format) or {}).get("always") or {}
    return {name: value for name, value in said.items() if name not in spec.composition.explicit}


def join_parts(store: PartedStore, section: Mapping[str, Any], *, name: str) -> None:
    """Put the tensors of several files together as a format says. WeightsError if they do not go together so."""
    shapes = {stored: info.shape for stored, info in store.tensors.items()}
    dims = read_shapes(section.get("join") or {}, shapes, {}, name=name)
    rules = {re.compile(stored_names(pattern)): dim for pattern, dim in dims.items()}
    store.join({stored: next((rules[rule] for rule in rules if rule.fullmatch(stored)), None) for stored in shapes})


def _has_config(checkpoint: Checkpoint, rules: Mapping[str, Any]) -> bool:
    """Whether the config that a format calls its own is there; it may have none. No file is read."""
    if not (rules.get("file") or rules.get("inside")):
        return True
    return _opened_config(checkpoint, rules)[0] is not None or _config_file(checkpoint, rules) is not None


def find_config(checkpoint: Checkpoint, rules: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The config that a format calls its own, and its name: the caller's, one among the tensors, or a file."""
    config, name = _opened_config(checkpoint, rules)
    if config is not None or (path := _config_file(checkpoint, rules)) is None:
        return config, name
    return (read_gin if path.suffix == ".gin" else read_json)(path), str(path)


def _opened_config(checkpoint: Checkpoint, rules: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The config if it is the caller's, among the tensors, or the file that was opened with them."""
    names = [Path(name).name for name in _texts(rules.get("file"))]
    if checkpoint.config_given or not (names or rules.get("inside")):
        return checkpoint.config, checkpoint.config_name
    for place in _texts(rules.get("inside")):
        if (found := _inside(checkpoint, place)) is not None:
            return found, f"`{place}` in {checkpoint.name}"
    if checkpoint.config is not None and Path(checkpoint.config_name).name in names:
        return checkpoint.config, checkpoint.config_name
    return None, ""


def _config_file(checkpoint: Checkpoint, rules: Mapping[str, Any]) -> Path | None:
    """Another file that the format calls its config."""
    if checkpoint.config_given:
        return None
    names = _texts(rules.get("file"))
    return next((path for name in names for path in _beside(checkpoint, name) if path.is_file()), None)


def _inside(checkpoint: Checkpoint, place: str) -> dict[str, Any] | None:
    """A mapping among what lies beside the tensors in their file."""
    value: object = checkpoint.store.extras if checkpoint.store is not None else None
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else None


def _beside(checkpoint: Checkpoint, name: str) -> Iterator[Path]:
    """Where a file of that name may be in the release."""
    weights = checkpoint.store.paths[:1] if checkpoint.store is not None else []
    folders = dict.fromkeys([checkpoint.folder, *(path.parent for path in weights)])
    return (part / name for folder in folders if folder is not None for part in parts(folder))


def _texts(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _check_layers(values: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """WeightsError if a file speaks of layers by the thousand that it cannot hold: to build them takes minutes."""
    count = len(checkpoint.store.tensors)
    for hparam, value in values.items():
        if hparam.endswith("_layers") and isinstance(value, int) and value > max(count, FEW):
            message = f"{checkpoint.config_name or checkpoint.name} says {hparam} = {value}"[:200]
            raise WeightsError(f"{message}; {checkpoint.name} has {count} tensors")


def find_untold(spec: Spec, format: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The hparams that neither the format nor anybody else tells, and what they mean; `values` are told."""
    rules = spec.sections["configs"].get(format) or {}
    return {
        hparam: meaning
        for hparam, meaning in (rules.get("untold") or {}).items()
        if hparam not in values and hparam not in spec.composition.explicit
    }


def _check_told(spec: Spec, format: str, values: Mapping[str, Any], name: str) -> None:
    """WeightsError with the hparams that neither the format nor anybody else tells."""
    untold = find_untold(spec, format, values)
    if not untold:
        return
    notes = [Note(f"{hparam}: {meaning}") for hparam, meaning in untold.items()]
    for release, formats in spec.sections["pretrained"].items():
        place = formats.get(format)
        hparams = (place.get("hparams") or {}) if isinstance(place, Mapping) else {}
        known = ", ".join(f"{hparam}={hparams[hparam]}" for hparam in untold if hparam in hparams)
        if known:
            notes.append(Note(f"{release} has {known}"))
    options = " ".join(f"--set {hparam}=…" for hparam in untold)
    count = f"{len(untold)} hparams" if len(untold) > 1 else "an hparam"
    message = f"{name} does not say {count}, as no {format} release does"
    raise WeightsError(Diagnostic(message, notes=tuple(notes), help=f"give {options}"))
