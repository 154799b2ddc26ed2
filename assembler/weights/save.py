"""A model -> files in one of its spec's formats: the mapping read the other way."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import Diagnostic, DownloadError, SpecError, UsageError, did_you_mean
from ..language.compose import override
from ..language.render import render
from ..replacing import replacing
from ..stores import KINDS
from .config import write_config
from .gin import gin_text
from .mapping import find_sources, make_constant
from .names import CONFIG, GENERATION, OWN_FORMAT, SPEC
from .patterns import HEADS
from .report import fold

if TYPE_CHECKING:
    from ..model import Model


def save(model: Model, folder: Path, format: str) -> list[Path]:
    """Write the weights and what says how to build them; each file appears whole or not at all. Returns their paths.

    SpecError if the format cannot express the model, UsageError if the spec has no such format.
    """
    formats = (*model.spec.weights_formats, OWN_FORMAT)
    if format not in formats:
        raise UsageError(f"{model.spec.name} cannot be written as `{format}`", help=did_you_mean(format, formats))
    extras: dict[str, object] | None = None
    if format == OWN_FORMAT:
        tensors = ((name, parameter.detach()) for name, parameter in model.named_parameters())
        kind, file, texts = KINDS["safetensors"], "", {SPEC: _own_spec(model)} | _generation(model)
    else:
        sections = model.spec.interpolated(model.config.to_dict())
        section, rules = sections["weights"][format], sections["configs"].get(format) or {}
        kind, file = KINDS[next(iter(section.get("store") or KINDS))], section.get("file") or ""
        tensors = _stored(model, section, format)
        config = _config(model, {**rules, "shapes": section.get("shapes") or {}}, format)
        extras = _inside(config, rules)
        texts = {} if extras is not None else _config_file(config, rules)
        texts |= _generation(model) if CONFIG in texts else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = kind.write(folder / (file or kind.written or kind.file), tensors, extras)
        for name, text in texts.items():
            with replacing(folder / name) as target:
                target.write(text.encode())
    except OSError as error:
        raise DownloadError(f"cannot write to {folder}: {error.strerror}") from None
    return [*paths, *(folder / name for name in texts)]


def _inside(config: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, object] | None:
    """What goes into the file of the weights, for formats that keep their config there."""
    places = rules.get("inside")
    if not places:
        return None
    *outer, last = (places if isinstance(places, str) else places[0]).split(".")
    inside: dict[str, object] = {last: Namespace(**config) if rules.get("record") == "namespace" else dict(config)}
    for key in reversed(outer):
        inside = {key: inside}
    return inside


def _config_file(config: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, str]:
    """The text of the format's config by its name; nothing for formats that have none."""
    names = rules.get("file")
    if not names:
        return {}
    name = names if isinstance(names, str) else names[0]
    if name.endswith(".gin"):
        return {name: gin_text(config)}
    return {name: json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"}


def _generation(model: Model) -> dict[str, str]:
    """The text of the file that says how text is generated, by its name; nothing for models that write none."""
    options = model.generation_config.to_dict() if model.writes else {}
    return {GENERATION: json.dumps(options, indent=2, sort_keys=True) + "\n"} if options else {}


def homeless(model: Model, sections: Mapping[str, Any], format: str) -> list[str]:
    """The parameters that a format has no place for, tied ones once. `sections` is the interpolated spec."""
    if format == OWN_FORMAT:
        return []
    owners = {*model.part_names, *(f"{HEADS}{name}" for name in model.heads)}
    sources = find_sources(model, sections["weights"][format], format, fresh=owners)
    placed = {target for source in sources for target in source.targets}
    return [name for name, _ in model.named_parameters() if name not in placed]


def _own_spec(model: Model) -> str:
    """The whole spec in one file, with the model's own numbers."""
    hparams, written = model.config.to_dict(), model.spec.hparams()
    return render(override(model.spec.composition, {k: v for k, v in hparams.items() if v != written[k]}))


def _config(model: Model, rules: Mapping[str, Any], format: str) -> dict[str, Any]:
    """The format's config. SpecError if the spec is a variant whose structure no config of the format can tell."""
    base, hparams = model.spec.architecture(), model.config.to_dict()
    own, theirs = model.spec.composition.tree, base.composition.tree
    heads = [run.name for run in model.runs]
    changed = own["model"] != theirs["model"] or any(own["heads"][h] != theirs["heads"].get(h) for h in heads)
    if changed:
        raise SpecError(
            f"{model.spec.name} is built otherwise than {base.name}, and a {format} config cannot say how",
            help=f'save it with its spec: --format {OWN_FORMAT} (format="{OWN_FORMAT}")',
        )
    if always := rules.get("always"):
        base = base.with_overrides(always)
    said = {*(rules.get("read") or {}), *(rules.get("untold") or {}), *(rules.get("shapes") or {})}
    defaults = base.hparams({name: hparams[name] for name in said if name in hparams})
    kept = model.kept_config if rules.get("keep") else {}
    return kept | write_config(hparams, defaults, rules, head=_head_name(model), format=format)


def _head_name(model: Model) -> str:
    """The head of the spec that runs what this model runs."""
    names = {run.name for run in model.runs}
    if not names:
        return "body"
    heads = model.spec.sections["heads"]
    combined = (name for name, node in heads.items() if set(node.get("combine", [name])) == names)
    return next(combined, "")


def _stored(model: Model, section: Mapping[str, Any], format: str) -> Iterator[tuple[str, Tensor]]:
    """Stored names and tensors. A model with heads writes the format's first prefix before the body's names, or that
    of its head, a body alone the last, as the format's own library does."""
    prefixes = section.get("prefix") or [""]
    prefix = (section.get("head_prefix") or {}).get(_head_name(model), prefixes[0]) if model.runs else prefixes[-1]
    parameters = dict(model.named_parameters())
    done: set[str] = set()
    sources = find_sources(model, section, format)
    placed = {target for source in sources for target in source.targets}
    if homeless := [name for name in parameters if name not in placed]:
        help = f"choose one head, or the format {OWN_FORMAT}"
        problems = [f"{row}: {format} has another head's in its place" for row in fold(homeless)]
        raise SpecError(*(Diagnostic(problem, help=help) for problem in problems))
    for source in sources:
        if not done.issuperset(source.targets):
            done.update(source.targets)
            ours = [parameters[target].detach() for target in source.targets]
            if source.absent and torch.equal(ours[0], make_constant(source.absent, ours[0].shape).to(ours[0])):
                continue
            if not source.stored:
                taken = f"whose readers take it for {source.absent}"
                raise SpecError(f"{source.targets[0]} has no place in {format}, {taken}")
            yield (prefix if source.body else "") + source.stored, source.pipeline.inverse(ours)
