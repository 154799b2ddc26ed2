"""A checkpoint in one of a spec's formats -> the same tensors in another."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import Diagnostic, DownloadError, UsageError, WeightsError, did_you_mean
from .assemble import HeadChoice, Skeleton, assemble, assemble_whole
from .build import checked_dtype, generation_config, kept_config, settle
from .language.spec import Overrides, Spec
from .vocabulary import carry_vocabulary
from .weights.checkpoint import Checkpoint, Weights, open_checkpoint
from .weights.config import shown_value
from .weights.load import load
from .weights.names import OWN_FORMAT
from .weights.patterns import owner_of
from .weights.present import find_heads, find_parts
from .weights.report import LoadReport, fold
from .weights.save import homeless, save


@dataclass
class Conversion:
    """What became of a checkpoint. Names are ours."""

    spec: str
    source: str  # the formats
    target: str
    parts: list[str]  # `heads.masked_lm` among them
    written: list[Path]
    report: LoadReport  # of reading it
    left_out: list[str] = field(default_factory=list)  # parameters that the target has no place for
    untold: dict[str, Any] = field(default_factory=dict)  # hparams that the target does not store
    vocabulary: list[str] = field(default_factory=list)  # its files, as written
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**vars(self), "written": list(map(str, self.written)), "report": self.report.as_dict()}

    def __str__(self) -> str:
        lines = [f"{self.spec}: {', '.join(self.parts)}; {self.source} to {self.target}", str(self.report)]
        if self.left_out:
            lines.append(f"  left out   {len(self.left_out):>4}  {self.target} has no place for them")
            lines += [f"                  {row}" for row in fold(self.left_out)]
        if self.untold:
            options = " ".join(f"--set {name}={shown_value(value)}" for name, value in self.untold.items())
            lines.append(f"{self.target} does not store {', '.join(self.untold)}: pass {options} when you read it")
        return "\n".join([*lines, *self.notes, *(f"written  {path}" for path in self.written)])


def convert(
    weights: Weights,
    to: str,
    output: str | os.PathLike[str],
    spec: str | os.PathLike[str] | Spec | None = None,
    *,
    head: HeadChoice = None,
    overrides: Overrides | None = None,
    dtype: str | torch.dtype | None = None,
    allow_unexpected: bool = False,
    verify: bool = True,
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    **hparams: Any,
) -> Conversion:
    """Write a checkpoint, with every head that it has, in another format of its spec; byte for byte the same numbers.

    Args:
        weights, spec, overrides, cache_dir, revision, hparams: as for `build`.
        to: a format of the spec's `weights:`, or `modelwright`.
        output: a folder that is new or empty. It gets all files or none.
        head: the heads to write, instead of all that are there.
        dtype: what the parameters become; by default they stay what they are.
        allow_unexpected: stored tensors and config keys that the spec does not know are left out.
        verify: read every value first; NaN or infinity is an error.
    Raises:
        SpecError: the format cannot express the model. WeightsError, DownloadError, UsageError: as `build`.
    """
    output = Path(output)
    _check_empty(output)
    folder = None if cache_dir is None else Path(cache_dir)
    checkpoint = open_checkpoint(weights, cache_dir=folder, revision=revision)
    with checkpoint.store:
        loaded, resolved, source = settle(
            spec, checkpoint, overrides=overrides, hparams=hparams, allow_unexpected=allow_unexpected
        )
        formats = (*loaded.weights_formats, OWN_FORMAT)
        if to not in formats:
            label = did_you_mean(to, formats)
            raise UsageError(
                Diagnostic(f"{loaded.name} cannot be written as `{to}`", label=label if "mean" in label else "",
                           help=f"its formats are {', '.join(formats)}")
            )  # fmt: skip
        skeleton, left_out = _whole(loaded, resolved, checkpoint, source, to, head)
        model = skeleton.model
        model.kept_config = kept_config(loaded, checkpoint, source)
        model.generation_config = generation_config(skeleton, checkpoint, source)
        report = load(
            skeleton, checkpoint.store, source, name=checkpoint.name, device=torch.device("cpu"),
            dtype=checked_dtype(dtype), allow_missing=False, allow_unexpected=allow_unexpected, verify=verify,
            dry_run=False,
        )  # fmt: skip
        with _appearing(output) as staging:
            files = save(model, staging, to)
            vocabulary, notes = carry_vocabulary(loaded, checkpoint, report.format, to, staging)
    rules = loaded.sections["configs"].get(to) or {}
    written = [path.relative_to(staging) for path in files] + [Path(name) for name in vocabulary]
    parts = [*model.part_names, *(f"heads.{name}" for name in model.heads)]
    untold = {name: model.config[name] for name in rules.get("untold") or {}}
    return Conversion(
        loaded.name, report.format, to, parts, [output / name for name in written], report, left_out, untold,
        vocabulary, notes,
    )  # fmt: skip


def _whole(
    spec: Spec, hparams: Mapping[str, Any], checkpoint: Checkpoint, source: str, to: str, head: HeadChoice
) -> tuple[Skeleton, list[str]]:
    """A model of all that the checkpoint has and the target can hold; and the parameters that it cannot hold."""
    named = _named_heads(spec, checkpoint, source)
    whole = assemble_whole(spec, hparams, first=named or ())
    present = find_parts(whole, checkpoint.store.tensors, source)
    there = find_heads(whole, checkpoint.store.tensors, source, named)
    chosen = list(assemble(spec, hparams, head).model.heads) if head else there
    if absent := [name for name in chosen if name not in there and f"heads.{name}" in whole.fresh]:
        raise WeightsError(
            Diagnostic(f"{checkpoint.name} has no head `{absent[0]}`", help=f"it has {', '.join(there) or 'none'}")
        )
    skeleton = assemble(spec, hparams, chosen or None, parts=present)
    left_out = homeless(skeleton.model, skeleton.sections, to)
    optional = {name for name in left_out if owner_of(name).startswith("heads.") or owner_of(name) in skeleton.fresh}
    gone = {owner_of(name) for name in optional}  # a head of which a part is homeless goes as a whole
    if head and (asked := [name for name in chosen if f"heads.{name}" in gone]):
        raise UsageError(f"{to} has no place for the head `{asked[0]}`", help="convert without --head to leave it out")
    if gone:
        model = skeleton.model
        left_out = [name for name, _ in model.named_parameters() if owner_of(name) in gone]
        chosen = [name for name in chosen if f"heads.{name}" not in gone]
        skeleton = assemble(spec, hparams, chosen or None, parts=[part for part in present if part not in gone])
    return skeleton, left_out if gone else []


def _named_heads(spec: Spec, checkpoint: Checkpoint, format: str) -> list[str] | None:
    """The heads of the class that the checkpoint's config names; None if it names none that is known."""
    known = (spec.sections["configs"].get(format) or {}).get("architectures") or {}
    named = (checkpoint.config or {}).get("architectures")
    for head, name in known.items():
        if isinstance(named, list) and name in named:
            return [] if head == "body" else list(spec.sections["heads"][head].get("combine", [head]))
    return None


def _check_empty(output: Path) -> None:
    try:
        used = output.exists() and (not output.is_dir() or any(output.iterdir()))
    except OSError as error:
        raise DownloadError(f"cannot write to {output}: {error.strerror}") from None
    if used:
        raise UsageError(f"there is something in {output} already", help="give a folder that is new or empty")


@contextmanager
def _appearing(output: Path) -> Iterator[Path]:
    """A folder beside `output`, which takes its place at the end; after an error nothing is left of it."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent))
    except OSError as error:
        raise DownloadError(f"cannot write to {output}: {error.strerror}") from None
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        staging.replace(output)  # of an empty folder too
    except OSError as error:
        raise DownloadError(f"cannot write to {output}: {error.strerror}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

