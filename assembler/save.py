"""A model -> files in one of its spec's formats: the mapping read the other way."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..errors import DownloadError, UsageError, did_you_mean
from .assemble import Skeleton, assemble
from .config import write_config
from .stores import write_safetensors

if TYPE_CHECKING:
    from .model import Model


def save(model: Model, folder: Path, format: str) -> list[Path]:
    """Write `model.safetensors` and the config; each file appears whole or not at all. Returns their paths.

    SpecError if the format cannot express the model's hparams, UsageError if the spec has no such format.
    """
    spec, hparams = model.spec, model.config.to_dict()
    formats = spec.weights_formats
    if format not in formats:
        raise UsageError(f"{spec.name} cannot be written as `{format}`", help=did_you_mean(format, formats) or None)
    heads = [run.name for run in model.runs]
    skeleton = assemble(spec, hparams, heads or None)
    config = write_config(
        hparams, spec.hparams(), skeleton.sections["configs"][format], head=_head_name(model), format=format
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "model.safetensors"
        write_safetensors(weights, dict(_stored(model, skeleton, format)), metadata={"format": "pt"})
        path = folder / skeleton.sections["configs"][format]["file"]
        _write_text(path, json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DownloadError(f"cannot write to {folder}: {error.strerror}") from None
    return [weights, path]


def _head_name(model: Model) -> str:
    """The head of the spec that runs what this model runs."""
    names = {run.name for run in model.runs}
    if not names:
        return "body"
    heads = model.spec.sections["heads"]
    combined = (name for name, node in heads.items() if set(node.get("combine", [name])) == names)
    return next(combined, "")


def _stored(model: Model, skeleton: Skeleton, format: str) -> Iterator[tuple[str, Tensor]]:
    """Stored names and tensors. A model with heads writes the format's first prefix before the body's names, a body
    alone the last, as the format's own library does."""
    prefixes = skeleton.sections["weights"][format].get("prefix") or [""]
    prefix = prefixes[0] if model.runs else prefixes[-1]
    parameters = dict(model.named_parameters())
    done: set[str] = set()
    for source in skeleton.sources(format):
        if not done.issuperset(source.targets):
            done.update(source.targets)
            ours = [parameters[target].detach() for target in source.targets]
            yield (prefix if source.body else "") + source.stored, source.pipeline.inverse(ours).contiguous()


def _write_text(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
