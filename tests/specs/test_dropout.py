"""Dropout sits where the reference has it: from one seed both drop the same values, so their outputs agree.

Of attention weights nothing is dropped here, because fused kernels draw in an order of their own.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cases import CASES
from parity import Case, assert_outputs
from test_parity import reference_of

import modelwright as mw

SPECS = ("bert", "ctrl", "distilbert", "gpt", "gpt2", "roberta")
FIRST = {(case.spec, case.head): case for case in reversed(CASES) if case.spec in SPECS}
#: Different ones, for no two to be taken for each other.
PROBABILITIES = {
    "hidden_dropout_prob": 0.3, "classifier_dropout": 0.2, "resid_pdrop": 0.3, "embd_pdrop": 0.15, "dropout": 0.3,
    "summary_first_dropout": 0.2, "qa_dropout": 0.4, "seq_classif_dropout": 0.2,
}  # fmt: skip


@pytest.mark.parametrize("case", FIRST.values(), ids=str)
def test_the_same_values_are_dropped(case: Case, tmp_path) -> None:
    dropout = {name: value for name, value in PROBABILITIES.items() if name in case.config}
    theirs = reference_of(replace(case, config=case.config | dropout)).train()
    theirs.save_pretrained(tmp_path)
    ours = mw.build(weights=tmp_path, head=case.head).train()
    outputs = []
    for model in (ours, theirs):
        torch.manual_seed(0)
        with torch.no_grad():
            outputs.append(model(**case.inputs()))
    assert_outputs(*outputs, case.outputs or ("logits",))
