"""Every body and head against the reference library: outputs, hidden states, attentions, loss, gradients, and the way
back: saved by us, loaded by the reference."""

from __future__ import annotations

import pytest
import torch
from cases import CASES
from parity import Case, assert_close, assert_outputs, float64_outputs, randomise, stored_gradients
from safetensors.torch import load_file

import modelwright as mw

transformers = pytest.importorskip("transformers")


def reference_of(case: Case) -> torch.nn.Module:
    cls = getattr(transformers, case.reference)
    config = cls.config_class(**case.config)
    model = cls._from_config(config, attn_implementation="eager")
    randomise(model)
    return model.eval()


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_parity(case: Case, tmp_path) -> None:
    theirs = reference_of(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = mw.build(case.spec, weights=tmp_path / "theirs", head=case.head)
    assert not ours.load_report.missing and not ours.load_report.fresh and not ours.load_report.unexpected

    inputs = case.inputs()
    rows = case.real(inputs) if case.real else None
    everything = {"output_hidden_states": True, "output_attentions": True}
    outputs = case.outputs or ("logits",)
    with torch.no_grad():
        expected = theirs(**case.inputs(), **everything)  # some change what they are given
        exact = float64_outputs(theirs, case.inputs(), **everything) if case.exact else None
        assert_outputs(ours(**inputs, **everything), expected, (*outputs, *case.states), rows, exact)
        fused = ours(**inputs)  # the kernels that run when nobody asks for attentions
        assert_outputs(fused, expected, outputs[:1], rows, exact)
        if case.next is not None:
            mine = ours(**case.next(), **{name: fused[name] for name in case.carry})
            reference = theirs(**case.next(), **{name: expected[name] for name in case.carry})
            assert_outputs(mine, reference, (*outputs, *case.carry), rows)
    assert fused.to_tuple()[0] is fused[0]

    if case.labels is not None:
        check_training(case, ours, theirs)
    check_saved(case, ours, theirs, tmp_path, expected, rows)


@pytest.mark.parametrize("case", {case.reference: case for case in CASES if case.head}.values(), ids=str)
def test_the_body_of_any_head(case: Case, tmp_path) -> None:
    """A file of another head holds the whole body, under whichever of two names a tied matrix is kept."""
    theirs = reference_of(case)
    theirs.save_pretrained(tmp_path)
    ours = mw.build(weights=tmp_path)
    assert not ours.load_report.missing and all(name.startswith("pooler.") for name in ours.load_report.fresh)
    vectors = [name for name in ours.state_dict() if name.endswith("embeddings.token.weight")]
    for name in vectors:
        assert torch.equal(ours.get_parameter(name), theirs.get_input_embeddings().weight)


def check_training(case: Case, ours: mw.Model, theirs: torch.nn.Module) -> None:
    """Loss and gradients in train mode (the configs have no dropout)."""
    inputs, labels = case.inputs(), case.labels()
    ours.train()
    theirs.train()
    mine, reference = ours(**inputs, **labels), theirs(**case.inputs(), **labels)
    assert_close(mine.loss, reference.loss, "loss")
    total, reference_total = mine.loss, reference.loss
    if "mc_labels" in labels:
        assert_close(mine.mc_loss, reference.mc_loss, "mc_loss")
        total, reference_total = total + mine.mc_loss, reference_total + reference.mc_loss
    total.backward()
    reference_total.backward()
    expected = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    found = stored_gradients(ours, set(expected))
    assert expected.keys() == found.keys(), expected.keys() ^ found.keys()
    for name, gradient in expected.items():
        assert_close(found[name], gradient, f"gradient of {name}")
    ours.eval()
    theirs.eval()


def check_saved(case: Case, ours: mw.Model, theirs: torch.nn.Module, folder, expected, rows) -> None:
    """Byte-equal tensors, and a config that the reference library builds the same model from."""
    ours.save(folder / "ours")
    before, after = load_file(folder / "theirs" / "model.safetensors"), load_file(folder / "ours" / "model.safetensors")
    after = {case.renamed.get(name, name): tensor for name, tensor in after.items()}
    assert after.keys() <= before.keys()
    assert before.keys() - after.keys() <= case.dropped
    for name, tensor in after.items():
        assert torch.equal(tensor.view(torch.uint8), before[name].view(torch.uint8)), name

    again, info = type(theirs).from_pretrained(folder / "ours", output_loading_info=True, attn_implementation="eager")
    assert set(info["missing_keys"]) <= case.dropped, info
    assert not info["unexpected_keys"] and not info["mismatched_keys"], info
    with torch.no_grad():
        assert_outputs(again.eval()(**case.inputs()), expected, case.outputs[:1] or ("logits",), rows)
    mine, reference = (transformers.AutoConfig.from_pretrained(folder / side) for side in ("ours", "theirs"))
    assert mine.architectures == [case.reference] and mine.num_labels == reference.num_labels
