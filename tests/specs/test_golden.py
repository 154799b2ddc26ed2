"""References that cannot be installed beside the others: their checkpoints, inputs and outputs from golden files.

`tests/golden/README.md` tells what made them. Tolerance: 20 times the reference's own float32-to-float64 gap, never
below 2e-5 (all but a few gaps are under 1e-6).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import TOLERANCE, stored_gradients
from safetensors.torch import load_file

import modelwright as mw
from modelwright.assembler.language.spec import find_config_matches

GOLDEN = Path(__file__).parent.parent / "golden"
#: The authors' own releases have tests of their own.
FOLDERS = sorted(path.parent for path in GOLDEN.glob("*/*/expected.safetensors") if path.parts[-3] != "releases")
#: Ours are in the order of the text, the reference's in the order of the clusters.
BY_CLUSTER = {"losses"}


def spec_of(folder: Path) -> str:
    """By the config, or (2019 configs name no model) by the folder's name."""
    config = json.loads((folder / "config.json").read_text())
    matches = find_config_matches(config)
    return matches[0] if matches else max((s for s in mw.list_specs() if folder.name.startswith(s)), key=len)


@cache
def read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    return json.loads((folder / "case.json").read_text()), load_file(folder / "expected.safetensors")


def value(tensors: dict[str, torch.Tensor], key: str) -> Any:
    """One tensor, or the tuple that was stored numbered."""
    if key in tensors:
        return tensors[key]
    numbered = {int(name.removeprefix(key + ".")): t for name, t in tensors.items() if name.startswith(key + ".")}
    return tuple(numbered[i] for i in sorted(numbered))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_golden(folder: Path) -> None:
    case, tensors = read(folder)
    spec = spec_of(folder)
    models: dict[str | None, mw.Model] = {}
    for call in case["calls"]:
        head = call["head"]
        if head not in models:
            models[head] = mw.build(spec, weights=folder, head=head)
            assert not models[head].load_report.missing and not models[head].load_report.unexpected
        model = models[head].train(call["train"])
        inputs = {name: value(tensors, f"{call['name']}/in/{name}") for name in call["inputs"]}
        inputs |= {name: value(tensors, f"{source}/out/{name}") for name, source in call["carry"].items()}
        wanted = {name for name in call["outputs"] if name.endswith(("attentions", "hidden_states"))}
        with torch.set_grad_enabled(call["train"]):
            output = model(**inputs, output_attentions=bool(wanted), output_hidden_states=bool(wanted))
            plain = model(**inputs)
        for name in call["outputs"]:
            if name in BY_CLUSTER:
                continue
            compare(getattr(output, name), tensors, case["gap"], f"{call['name']}/out/{name}")
            if name not in wanted:
                compare(getattr(plain, name), tensors, case["gap"], f"{call['name']}/out/{name}")
        if call["train"]:
            plain.loss.backward()
            prefix = f"{call['name']}/grad/"
            gradients = {key.removeprefix(prefix): key for key in tensors if key.startswith(prefix)}
            found = stored_gradients(model, set(gradients))
            assert found.keys() == gradients.keys(), gradients.keys() ^ found.keys()
            for name, key in gradients.items():
                compare(found[name], tensors, case["gap"], key)
            model.zero_grad()


@pytest.mark.parametrize("folder", [f for f in FOLDERS if (f / "model.safetensors").exists()], ids=lambda f: f.name)
def test_saving_gives_back_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    case, _ = read(folder)
    head = next((call["head"] for call in case["calls"] if call["head"]), None)
    mw.build(spec_of(folder), weights=folder, head=head).save(tmp_path)
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    twins = {"transformer.r_w_bias", "transformer.r_r_bias"}  # stored once under the first layer's name
    assert before.keys() - after.keys() <= twins | {"transformer.pos_emb.inv_freq"} | {n for n in before if "cls." in n}
    for name, tensor in after.items():
        first = name if name in before else name.replace("layers.0.dec_attn.", "")
        assert torch.equal(tensor, before[first]), name


def compare(ours: Any, tensors: dict[str, torch.Tensor], gap: dict[str, float], key: str) -> None:
    expected = value(tensors, key)
    if isinstance(expected, torch.Tensor):
        expected, ours, keys = (expected,), (ours,), (key,)
    else:
        keys = tuple(f"{key}.{i}" for i in range(len(expected)))
    assert len(ours) == len(expected), f"{key}: {len(ours)} and {len(expected)}"
    for a, b, name in zip(ours, expected, keys, strict=True):
        limit = max(TOLERANCE, 20 * gap[name])
        assert a.shape == b.shape, f"{name}: {tuple(a.shape)} and {tuple(b.shape)}"
        difference = (a - b).abs().max().item() if a.numel() else 0.0
        assert difference <= limit, f"{name}: differs by {difference:.2e}, allowed {limit:.1e}"
