"""What the `release_*.py` scripts share: an original release of random tensors, and what the reference makes of it.

A case is `releases/<name>`: `release/` holds the files as one would download them, `expected.safetensors` and
`case.json` are those of `record.py`. `case.json` says besides: `spec`; `format`, the key in `weights:`; `set`, the
hyper-parameters that no file of the release tells and a caller must give; `unused`, patterns of stored names that
are no part of the model (slots of the optimizer, counters, copies).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn

from record import Call, Outputs, Run, play, record

HERE = Path(__file__).resolve().parent / "releases"
Arrays = Mapping[str, np.ndarray]
#: What changes no output: it adds the same number to all scores of a softmax.
UNSEEN = ("key/bias", "k_lin.bias", "k_proj.bias")


@dataclass(frozen=True)
class Release:
    """`write` puts the files of the release into a folder, `convert` is the reference reading that folder.

    `unseen` are patterns of stored tensors that belong to the model but move none of the outputs.
    """

    name: str
    spec: str
    format: str
    reference: str
    tensors: Arrays
    write: Callable[[Path, Arrays], None]
    convert: Callable[[Path], nn.Module]
    run: Run
    calls: Sequence[Call]
    options: Mapping[str, Any] = field(default_factory=dict)
    unused: Sequence[str] = ()
    unseen: Sequence[str] = ()
    notes: Sequence[str] = ()


def draw(shapes: Mapping[str, Sequence[int]], seed: int, gains: str = r"(gamma|scale|/g)$") -> dict[str, np.ndarray]:
    """Normal numbers with a standard deviation of 0.3; those whose names match `gains` lie around 1."""
    generator = np.random.default_rng(seed)
    return {
        name: (generator.normal(0, 0.3, shape) + bool(re.search(gains, name))).astype(np.float32)
        for name, shape in shapes.items()
    }


def matches(name: str, patterns: Sequence[str]) -> bool:
    return any(re.search(pattern, name) for pattern in patterns)


def _check_every_tensor_matters(release: Release, before: Mapping[str, torch.Tensor]) -> None:
    """Each stored tensor is moved a little, written, and read by the reference: some output must tell."""
    for index, (name, array) in enumerate(release.tensors.items()):
        if name.endswith(UNSEEN) or matches(name, release.unseen):
            continue
        noise = np.random.default_rng(index).normal(0, 0.1, array.shape)
        noise = noise + 1 if array.dtype.kind == "i" else noise
        moved = {**release.tensors, name: (array.astype(np.float64) + noise).astype(array.dtype)}
        with tempfile.TemporaryDirectory() as place:
            release.write(Path(place), moved)
            after = play(release.convert(Path(place)), release.calls, release.run, torch.float32)
        change = max(float((after[key] - before[key]).abs().max()) for key in after)
        if matches(name, release.unused):
            assert change == 0, f"{release.name}: {name} is part of the model ({change:.1e})"
        else:
            assert change > 1e-3, f"{release.name}: {name} hardly moves any output ({change:.1e})"


def make(release: Release) -> None:
    transformers.logging.set_verbosity_error()  # its conversions ask for more
    folder = HERE / release.name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "release").mkdir(parents=True)
    release.write(folder / "release", release.tensors)
    model = release.convert(folder / "release").eval()
    about = {
        "spec": release.spec, "format": release.format, "set": dict(release.options), "unused": list(release.unused),
        "notes": list(release.notes),
    }  # fmt: skip
    record(folder, release.reference, model, release.calls, release.run, about)
    _check_every_tensor_matters(release, play(model, release.calls, release.run, torch.float32))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{'':24} {len(release.tensors):4} stored tensors, each checked; {size / 1024:.0f} KiB")


def run_with(**heads: Sequence[tuple[str, str]]) -> Run:
    """A `run` whose body gives the last states (and pooled ones), and whose heads give (reference's name, ours)."""

    def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
        if call.head is None:
            output = getattr(model, model.base_model_prefix)(**inputs)
            names = ("last_hidden_state", "pooler_output", "encoder_last_hidden_state")
            return {name: output[name] for name in names if output.get(name) is not None}
        output = model(**inputs)
        return {ours: output[theirs] for theirs, ours in heads.get(call.head, [("logits", "logits")])}

    return run


def padding(length: int, *lengths: int) -> torch.Tensor:
    """[row, length] int64: 1 for the first of each row, as many as `lengths` say."""
    return (torch.arange(length) < torch.tensor(lengths)[:, None]).long()
