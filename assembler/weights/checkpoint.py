"""Weights as the caller names them -> an open store, the config beside it, and what the spec may be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import Diagnostic, DownloadError, Place, UsageError, WeightsError
from ..stores import Store, bundle_index, is_archive, open_store, unpack
from .guess import guess
from .names import CONFIG, GENERATION, SPEC, WEIGHTS, config_beside, find_named, read_json, specs_for

if TYPE_CHECKING:
    from torch import Tensor

Weights: TypeAlias = "str | os.PathLike[str] | Mapping[str, Tensor]"
TORCH = "pytorch_model.bin"
INDEX = ".index.json"


@dataclass
class Checkpoint:
    """An opened checkpoint. `config` is the parsed config file beside it, None if there is none."""

    name: str  # as the caller named it
    store: Store | None  # None: there is only a config
    config: dict[str, Any] | None = None
    config_name: str = CONFIG
    spec: str | None = None  # whose `pretrained:` lists the name, or the file saved beside the weights
    format: str | None = None  # key in the spec's `weights:`, as `pretrained:` says; None: the store tells
    hparams: dict[str, Any] = field(default_factory=dict)  # what `pretrained:` says that the release does not
    folder: Path | None = None  # of the release
    config_given: bool = False  # by the caller, whatever is beside the weights
    generation: dict[str, Any] | None = None  # of the file beside it that says how text is generated


def open_checkpoint(weights: Weights, *, cache_dir: Path | None = None, revision: str | None = None) -> Checkpoint:
    """Find and open weights: a state dict, a local file, folder or archive, a URL, a pretrained name, with `@format` or
    without, or a hub id.

    DownloadError if they cannot be had, WeightsError if they are damaged.
    """
    if isinstance(weights, Mapping):
        from .state_dict import StateDict

        return Checkpoint("the state dict", StateDict(weights))
    if not isinstance(weights, str | os.PathLike) or not os.fspath(weights):
        raise UsageError(f"weights are a name, a path, a URL or a state dict, not `{weights!r}`")
    text = os.fspath(weights)
    path = Path(text).expanduser()
    if path.exists() or bundle_index(path):
        return _local(text, path, cache_dir)
    from .releases import fetch_release, fetch_repository

    found = find_named(text)
    if found.is_release:
        checkpoint = _local(text, fetch_release(found, cache_dir), cache_dir)
        checkpoint.spec = found.spec or checkpoint.spec
    elif found.files:
        checkpoint = _local(text, fetch_repository(found, cache_dir, revision), cache_dir)
        checkpoint.spec = found.spec
    else:
        checkpoint = _from_hub(text, found.target, found.spec, cache_dir, revision)
    if found.is_release or found.files or "@" in text:
        checkpoint.format = found.format
    checkpoint.hparams = dict(found.hparams)
    return checkpoint


def _local(name: str, path: Path, cache_dir: Path | None) -> Checkpoint:
    if path.is_file() and is_archive(path):
        path = unpack(path, cache_dir)
    folder = path if path.is_dir() else path.parent
    store = open_store(path)
    config, spec, options = config_beside(folder), folder / SPEC, folder / GENERATION
    found = Checkpoint(name, store, folder=folder, generation=read_json(options) if options.is_file() else None)
    if config is None and spec.is_file():
        found.spec = str(spec)
    else:
        found.config, found.config_name = read_json(config) if config else None, str(config or folder / CONFIG)
    return found


def _from_hub(name: str, repository: str, spec: str | None, cache_dir: Path | None, revision: str | None) -> Checkpoint:
    from ..hub import commit_of, fetch, known_as

    repository = known_as(repository, name, cache_dir)
    found = fetch(repository, [CONFIG], optional=[GENERATION], revision=revision, cache_dir=cache_dir)
    at = commit_of(found[CONFIG]) or revision
    for usual in (WEIGHTS, TORCH):
        for file in (usual, usual + INDEX):
            path = fetch(repository, [], optional=[file], revision=at, cache_dir=cache_dir).get(file)
            if path is None:
                continue
            if file.endswith(INDEX):
                shards = read_json(path).get("weight_map", {})
                fetch(repository, sorted(set(shards.values())), revision=at, cache_dir=cache_dir)
            options = read_json(found[GENERATION]) if GENERATION in found else None
            config, source = read_json(found[CONFIG]), f"{repository}/{CONFIG}"
            return Checkpoint(name, open_store(path), config, source, spec, generation=options)
    raise DownloadError(
        Diagnostic(f"{repository} has neither {WEIGHTS} nor {TORCH}", Place(name),
                   help="download what it has, and give the file or folder")
    )  # fmt: skip


def spec_of(checkpoint: Checkpoint) -> str:
    """The name of the spec the checkpoint is for: by its config, else by names and shapes. WeightsError if neither
    tells."""
    matches = []
    if checkpoint.config is not None:
        matches = specs_for(checkpoint.config, checkpoint.config_name)
    if checkpoint.spec is not None and (not matches or checkpoint.spec in matches):
        return checkpoint.spec
    if len(matches) != 1 and checkpoint.store is not None:
        guesses = dict.fromkeys(one.spec for one in guess(checkpoint.store.tensors, matches or None))
        matches = list(guesses) or matches
    if len(matches) == 1:
        return matches[0]
    reason = (
        f"several specs fit: {', '.join(matches)}" if matches
        else "there is no config beside the weights" if checkpoint.config is None
        else f"no spec is for model_type `{checkpoint.config.get('model_type')}`"
    )  # fmt: skip
    raise WeightsError(
        Diagnostic(f"cannot tell which spec {checkpoint.name} is for: {reason}", help='name it: build("…", weights=…)')
    )
