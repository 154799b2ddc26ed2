"""A model -> files in one of its spec's formats: the mapping read the other way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ...errors import DownloadError, SpecError, UsageError, did_you_mean
from ..language.compose import override
from ..language.render import render
from ..replacing import replacing
from ..stores import write_bundle, write_safetensors
from .config import write_config
from .mapping import find_sources
from .names import BUNDLE, GENERATION, OWN_FORMAT, SPEC, WEIGHTS

if TYPE_CHECKING:
    from ..model import Model


def save(model: Model, folder: Path, format: str) -> list[Path]:
    """Write the weights and what says how to build them; each file appears whole or not at all. Returns their paths.

    SpecError if the format cannot express the model, UsageError if the spec has no such format.
    """
    formats = (*model.spec.weights_formats, OWN_FORMAT)
    if format not in formats:
        raise UsageError(f"{model.spec.name} cannot be written as `{format}`", help=did_you_mean(format, formats))
    kinds: list[str] = []
    tensors: Iterable[tuple[str, Tensor]]
    if format == OWN_FORMAT:
        tensors = [(name, parameter.detach()) for name, parameter in model.named_parameters()]
        name, text = SPEC, _own_spec(model)
    else:
        sections = model.spec.interpolated(model.config.to_dict())
        rules = sections["configs"][format]
        name, text = rules["file"], _config(model, rules, format)
        tensors = _stored(model, sections["weights"][format], format)
        kinds = sections["weights"][format].get("store") or []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kinds[:1] == ["tensorflow"]:
            paths = write_bundle(folder / BUNDLE, tensors, note=True)
        else:
            write_safetensors(folder / WEIGHTS, tensors, metadata={"format": "pt"})
            paths = [folder / WEIGHTS]
        texts = {name: text}
        if model.writes and (options := model.generation_config.to_dict()):
            texts[GENERATION] = json.dumps(options, indent=2, sort_keys=True) + "\n"
        for name, text in texts.items():
            with replacing(folder / name) as file:
                file.write(text.encode())
    except OSError as error:
        raise DownloadError(f"cannot write to {folder}: {error.strerror}") from None
    return [*paths, *(folder / name for name in texts)]


def _own_spec(model: Model) -> str:
    """The whole spec in one file, with the model's own numbers."""
    hparams, written = model.config.to_dict(), model.spec.hparams()
    return render(override(model.spec.composition, {k: v for k, v in hparams.items() if v != written[k]}))


def _config(model: Model, rules: Mapping[str, Any], format: str) -> str:
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
    defaults = base.hparams({name: hparams[name] for name in rules.get("read") or {} if name in hparams})
    config = model.kept_config | write_config(hparams, defaults, rules, head=_head_name(model), format=format)
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _head_name(model: Model) -> str:
    """The head of the spec that runs what this model runs."""
    names = {run.name for run in model.runs}
    if not names:
        return "body"
    heads = model.spec.sections["heads"]
    combined = (name for name, node in heads.items() if set(node.get("combine", [name])) == names)
    return next(combined, "")


def _stored(model: Model, section: Mapping[str, Any], format: str) -> Iterator[tuple[str, Tensor]]:
    """Stored names and tensors. A model with heads writes the format's first prefix before the body's names, a body
    alone the last, as the format's own library does."""
    prefixes = section.get("prefix") or [""]
    prefix = prefixes[0] if model.runs else prefixes[-1]
    parameters = dict(model.named_parameters())
    done: set[str] = set()
    for source in find_sources(model, section, format):
        if not done.issuperset(source.targets):
            done.update(source.targets)
            ours = [parameters[target].detach() for target in source.targets]
            yield (prefix if source.body else "") + source.stored, source.pipeline.inverse(ours)
