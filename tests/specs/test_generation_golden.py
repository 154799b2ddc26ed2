"""Generation that the installed reference has no more, from golden files (tests/golden/generation.py made them)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import modelwright as mw

GOLDEN = Path(__file__).parent.parent / "golden" / "generation"
FOLDERS = sorted(path.parent for path in GOLDEN.glob("*/generation.json"))
CALLS = [
    pytest.param(folder, name, id=f"{folder.name}-{name}")
    for folder in FOLDERS
    for name in json.loads((folder / "generation.json").read_text())["calls"]
]


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "generation.json").read_text())


@cache
def writer(folder: Path) -> mw.Model:
    config = json.loads((folder / "config.json").read_text())
    head = "seq2seq_lm" if config.get("is_encoder_decoder") else "causal_lm"
    return mw.build(weights=folder, head=head)


@pytest.mark.parametrize(("folder", "name"), CALLS)
def test_ids_and_scores(folder: Path, name: str) -> None:
    case = read(folder)
    call = case["calls"][name]
    ids = torch.tensor(case["input_ids"])
    output = writer(folder).generate(ids, **call["options"], return_dict_in_generate=True)
    assert output.sequences.tolist() == call["sequences"]
    if call["scores"] is not None:
        torch.testing.assert_close(output.sequences_scores, torch.tensor(call["scores"]), rtol=1e-4, atol=1e-4)
