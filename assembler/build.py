"""The main job: a spec and weights -> a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import Diagnostic, SpecError, UsageError, did_you_mean
from .assemble import HeadChoice, Skeleton, assemble
from .language.resolve import Hparams
from .language.spec import Overrides, Spec, load_spec
from .language.validate import checked_hparams
from .model import Config, Model
from .stores import PartedStore
from .weights.checkpoint import Checkpoint, Weights, open_checkpoint, spec_of
from .weights.load import initialise, load
from .weights.names import read_json
from .weights.report import LoadReport
from .weights.settings import always, find_format, join_parts, read_settings

#: What parameters can be.
DTYPES = ("float32", "bfloat16", "float16", "float64")


def build(
    spec: str | os.PathLike[str] | Spec | None = None,
    *,
    weights: Weights | None = None,
    head: HeadChoice = None,
    overrides: Overrides | None = None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    allow_missing: bool = False,
    allow_unexpected: bool = False,
    verify: bool = False,
    dry_run: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    **hparams: Any,
) -> Model:
    """Assemble a model and pour weights in. It comes in eval mode, with a `load_report`.

    Args:
        spec: name in `specs/`, path of a YAML file, or a loaded Spec; None: found from the weights.
        weights: pretrained name, with `@format` for a release, hub id, local folder or file, URL, or a state dict;
            None: untrained.
        head: name of a head, several names, or None for the body alone.
        overrides: values by path into the spec, as `--set` takes them: a mapping or `name=value` texts.
        config: file or mapping in the place of the config beside the weights.
        device: where the parameters go; the CPU by default.
        dtype: what they become; by default the checkpoint's own, float32 without weights.
        allow_missing: parameters that the checkpoint lacks, or has in another shape, start untrained.
        allow_unexpected: stored tensors and config keys that the spec does not know are left out.
        verify: read every value first; NaN or infinity is an error.
        dry_run: check everything by names and shapes, and leave the model on the meta device.
        cache_dir: instead of the Hugging Face cache.
        revision: branch, tag or commit on the hub.
        hparams: hyper-parameters by name, `num_labels=10`. They and `overrides` beat the checkpoint's config.
    Raises:
        SpecError, WeightsError, DownloadError, UsageError: see `modelwright.errors`.
    """
    folder = None if cache_dir is None else Path(cache_dir)
    checkpoint = None if weights is None else open_checkpoint(weights, cache_dir=folder, revision=revision)
    try:
        if config is not None:
            checkpoint = _with_config(checkpoint, config)
        return _build(
            spec, checkpoint, head=head, overrides=overrides, hparams=hparams,
            device=checked_device(device), dtype=checked_dtype(dtype),
            allow_missing=allow_missing, allow_unexpected=allow_unexpected, verify=verify, dry_run=dry_run,
        )  # fmt: skip
    finally:
        if checkpoint is not None and checkpoint.store is not None:
            checkpoint.store.close()


def _build(
    spec: str | os.PathLike[str] | Spec | None,
    checkpoint: Checkpoint | None,
    *,
    head: HeadChoice,
    overrides: Overrides | None,
    hparams: Mapping[str, Any],
    device: torch.device,
    dtype: torch.dtype | None,
    allow_missing: bool,
    allow_unexpected: bool,
    verify: bool,
    dry_run: bool,
) -> Model:
    loaded, resolved, format = settle(
        spec, checkpoint, overrides=overrides, hparams=hparams, allow_unexpected=allow_unexpected
    )
    skeleton = assemble(loaded, resolved, head)
    skeleton.model.kept_config = kept_config(loaded, checkpoint, format)
    skeleton.model.generation_config = generation_config(skeleton, checkpoint, format)
    if checkpoint is None or checkpoint.store is None:
        return _untrained(skeleton, device, dtype or torch.float32, dry_run)
    skeleton.model.load_report = load(
        skeleton, checkpoint.store, format, name=checkpoint.name, device=device, dtype=dtype,
        allow_missing=allow_missing, allow_unexpected=allow_unexpected, verify=verify, dry_run=dry_run,
    )  # fmt: skip
    return skeleton.model


def settle(
    spec: str | os.PathLike[str] | Spec | None,
    checkpoint: Checkpoint | None,
    *,
    overrides: Overrides | None,
    hparams: Mapping[str, Any],
    allow_unexpected: bool = False,
) -> tuple[Spec, Hparams, str]:
    """What is to be built: the spec, with what the caller changes; its hparams, those that the checkpoint tells among
    them; and the spec's format that the checkpoint is in. Errors as for `build`."""
    if spec is None:
        if checkpoint is None:
            raise UsageError("name a spec, weights, or both", help="specs: modelwright.list_specs()")
        spec = spec_of(checkpoint)
    loaded = load_spec(spec, overrides)
    if hparams:
        loaded = loaded.with_overrides(hparams)
    loaded = _with_label_count(loaded)
    format = find_format(loaded, checkpoint)
    if checkpoint is not None and isinstance(checkpoint.store, PartedStore):
        join_parts(checkpoint.store, loaded.sections["weights"][format], name=checkpoint.name)
    if checkpoint is None or not format:
        return loaded, checked_hparams(loaded), format
    values = read_settings(loaded, checkpoint, format, allow_unknown=allow_unexpected)
    if said := always(loaded, format):
        loaded = loaded.with_overrides(said)
    return loaded, checked_hparams(loaded, values, source=checkpoint.config_name), format


def kept_config(spec: Spec, checkpoint: Checkpoint | None, format: str) -> dict[str, Any]:
    """What the checkpoint's config says of other things than the network, which is written again as it is."""
    if checkpoint is None or checkpoint.config is None or not format:
        return {}
    keep = spec.sections["configs"].get(format, {}).get("keep") or ()
    return {key: checkpoint.config[key] for key in keep if key in checkpoint.config}


def generation_config(skeleton: Skeleton, checkpoint: Checkpoint | None, format: str) -> Config:
    """Defaults of generation: those of the file for them alone; without one the spec's, and the config's over them."""
    if checkpoint is not None and checkpoint.generation is not None:
        return Config(**{key: value for key, value in checkpoint.generation.items() if not key.startswith("_")})
    defaults = dict(skeleton.sections["generation"].get("defaults") or {})
    config = (checkpoint.config if checkpoint is not None and format else None) or {}
    keys = skeleton.model.spec.sections["configs"].get(format, {}).get("generation") or ()
    return Config(**defaults | {key: config[key] for key in keys if key in config})


def _with_config(checkpoint: Checkpoint | None, config: str | os.PathLike[str] | Mapping[str, Any]) -> Checkpoint:
    """With the caller's config in the place of its own."""
    checkpoint = checkpoint or Checkpoint("the config", None)
    given = isinstance(config, Mapping)
    checkpoint.config = dict(config) if given else read_json(Path(config))
    checkpoint.config_name = "the config" if given else str(config)
    checkpoint.config_given = True
    return checkpoint


def _with_label_count(spec: Spec) -> Spec:
    """Labels that are named count themselves, unless the caller has said a number, which must then be theirs."""
    labels = spec.composition.tree.get("hparams", {}).get("id2label")
    explicit = spec.composition.explicit
    if "id2label" not in explicit or not isinstance(labels, dict):
        return spec
    if "num_labels" not in explicit:
        return spec.with_overrides({"num_labels": len(labels)})
    count = spec.hparams()["num_labels"]
    if count != len(labels):
        place = spec.place(("hparams", "id2label"))
        raise SpecError(Diagnostic(f"id2label names {len(labels)} labels, num_labels is {count}", place))
    return spec


def _untrained(skeleton: Skeleton, device: torch.device, dtype: torch.dtype, dry_run: bool) -> Model:
    if not dry_run:
        initialise(skeleton, device=device, dtype=dtype)
    names = [name for name, _ in skeleton.model.named_parameters()]
    skeleton.model.load_report = LoadReport(fresh=names, tied=[tie.name for tie in skeleton.ties])
    return skeleton.model


def checked_device(device: str | torch.device | None) -> torch.device:
    """A device on which something can be placed; the CPU for None. UsageError."""
    try:
        found = torch.device(device or "cpu")
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError, TypeError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(f"nothing can be placed on the device `{device}`: {reason}", help="cpu works always") from None
    return found


def checked_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """What parameters become, under its usual names too; UsageError for what they cannot be."""
    if dtype is None:
        return None
    name = str(dtype).removeprefix("torch.")
    short = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16", "float": "float32"}
    name = short.get(name, name)
    if name not in DTYPES:
        raise UsageError(f"parameters cannot be `{name}`", help=did_you_mean(name, DTYPES))
    return getattr(torch, name)
