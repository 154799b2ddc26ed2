"""What docs/families.md says: the body and every head of every spec are compared with a reference."""

from __future__ import annotations

import json

import pytest
from cases import CASES
from test_golden import FOLDERS, spec_of

import modelwright as mw
from modelwright.assembler.language.catalogue import catalogue


def compared(spec: str) -> set[str | None]:
    """The heads that some case runs, None for the body."""
    heads = {case.head for case in CASES if case.spec == spec}
    for folder in FOLDERS:
        if spec_of(folder) == spec:
            heads |= {call["head"] for call in json.loads((folder / "case.json").read_text())["calls"]}
    combined = mw.load_spec(spec).sections["heads"]
    return heads | {part for head in heads if head for part in combined[head].get("combine", ())}


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry["spec"])
def test_body_and_every_head_are_compared(entry: dict) -> None:
    assert entry["reference"], "about.reference must say with what"
    assert {None, *entry["heads"]} <= compared(entry["spec"])


@pytest.mark.parametrize("spec", mw.list_specs())
def test_loss_and_gradients_are_compared(spec: str) -> None:
    golden = (json.loads((folder / "case.json").read_text()) for folder in FOLDERS if spec_of(folder) == spec)
    trained = [call for case in golden for call in case["calls"] if call["train"]]
    has_heads = bool(mw.load_spec(spec).sections["heads"])
    assert trained or not has_heads or any(case.spec == spec and case.labels for case in CASES)
