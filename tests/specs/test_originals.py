"""The authors' own releases, tiny: read as they are, against the outputs of the reference conversions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
import torch

import modelwright as mw
from modelwright.assembler.stores import open_store


def case(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict]:
    inputs, expected = (dict(numpy.load(folder / f"{name}.npz")) for name in ("inputs", "expected"))
    about = json.loads((folder / "case.json").read_text())
    return *({key: torch.from_numpy(value) for key, value in each.items()} for each in (inputs, expected)), about


@pytest.mark.parametrize("gelu", ["gelu", "gelu_tanh"])
def test_bert(gelu: str, originals: Path) -> None:
    inputs, expected, about = case(originals / "bert")
    release = originals / "bert" / "release"
    options = {} if gelu == "gelu" else {"hidden_act": gelu}
    model = mw.build(weights=release, head="pretraining", verify=True, **options)
    body = mw.build(weights=release, head=None, **options)
    assert model.spec.name == "bert" and model.load_report.format == "google"
    assert not model.load_report.fresh and not model.load_report.unexpected and not model.load_report.unused
    with torch.no_grad():
        found = {**body(**inputs), **model(**inputs)}
    names = {
        "last_hidden_state": "last_hidden_state", "pooler_output": "pooler_output", "prediction_logits": "mlm_logits",
        "seq_relationship_logits": "nsp_logits",
    }  # fmt: skip
    visible = inputs["attention_mask"].bool()
    for ours, theirs in names.items():
        one, other = found[ours], expected[theirs if gelu == "gelu" else f"{theirs}_tanh_gelu"]
        if theirs in about["compare_only_where"]:
            one, other = one[visible], other[visible]
        torch.testing.assert_close(one, other, atol=2e-5, rtol=2e-5)


def test_every_way_to_name_it(originals: Path) -> None:
    release = originals / "bert" / "release"
    for name in ("bert_model.ckpt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"):
        model = mw.build("bert", weights=release / name)
        assert model.config.hidden_size == 32 and model.load_report.format == "google"


def test_heads_it_has_and_has_not(originals: Path) -> None:
    release = originals / "bert" / "release"
    head = "sequence_classification"
    model = mw.build(weights=release, head=head)
    assert model.load_report.fresh == [f"heads.{head}.projection.{leaf}" for leaf in ("weight", "bias")]
    assert "cls/predictions/output_bias" in model.load_report.unused
    assert mw.build(weights=release, head="causal_lm", is_decoder=True).load_report.fresh == []


def test_written_back(originals: Path, tmp_path: Path) -> None:
    """Byte for byte what the release has, the optimizer's left out; and the same model again."""
    release = originals / "bert" / "release"
    model = mw.build(weights=release, head="pretraining")
    names = [path.name for path in model.save(tmp_path, format="google")]
    assert names == ["model.ckpt.data-00000-of-00001", "model.ckpt.index", "checkpoint", "bert_config.json"]
    with open_store(release) as theirs, open_store(tmp_path) as ours:
        optimizer = ("/adam_m", "/adam_v", "global_step")
        assert set(ours.tensors) == {name for name in theirs.tensors if not name.endswith(optimizer)}
        for name in ours.tensors:
            assert ours.tensors[name].dtype == theirs.tensors[name].dtype
            assert torch.equal(ours.read(name), theirs.read(name))
    config = json.loads((release / "bert_config.json").read_text())
    assert config.items() <= json.loads((tmp_path / "bert_config.json").read_text()).items()
    again = mw.build(weights=tmp_path, head="pretraining").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("flags", ["", "mem", "mem_same_length", "mem_same_length_hf"])
def test_transformer_xl(flags: str, originals: Path) -> None:
    inputs, expected, _ = case(originals / "transformer_xl")
    options: dict = {"memory_length": 10, "clamp_length": 14, "same_length": "same_length" in flags}
    if not flags:
        options = {"memory_length": 0, "clamp_length": 1000, "same_length": False}
    if flags.endswith("hf"):  # what the PyTorch code sees
        options["attention_window"] = options["memory_length"]
    model = mw.build(weights=originals / "transformer_xl" / "release", head="causal_lm", **options)
    assert (model.spec.name, model.load_report.format) == ("transfo_xl", "google")
    assert not model.load_report.missing and not model.load_report.unexpected
    with torch.no_grad():
        first = model(inputs["input_ids"], output_hidden_states=True)
        second = model(inputs["input_ids_2"], mems=first.mems, output_hidden_states=True)
    found = {"": first} if not flags else {f"{flags}_segment_1_": first, f"{flags}_segment_2_": second}
    for prefix, output in found.items():
        close(output.hidden_states[-1], expected[f"{prefix}last_hidden_state"])
        close(output.logits, expected[f"{prefix}log_probs"])
    if flags:
        for ours, theirs in zip(second.mems, expected[f"{flags}_after_segment_2"], strict=True):
            close(ours, theirs)


def test_gpt(originals: Path) -> None:
    inputs, expected, about = case(originals / "gpt")
    release = originals / "gpt" / "release"
    with pytest.raises(mw.WeightsError, match="num_attention_heads"):
        mw.build(weights=release)
    heads = about["hparams_not_in_release"]["n_head"]
    model = mw.build(weights=release, head="causal_lm", num_attention_heads=heads)
    body = mw.build(weights=release, num_attention_heads=heads)
    with torch.no_grad():
        close(body(**inputs).last_hidden_state, expected["last_hidden_state"])
        close(model(**inputs).logits, expected["lm_logits"])


def test_the_vocabulary_of_a_pickled_corpus(originals: Path) -> None:
    tokenizer = mw.load_tokenizer(originals / "transformer_xl" / "release")
    assert tokenizer.convert_tokens_to_ids(["<eos>", "<unk>", "the", ","]) == [0, 1, 2, 3]


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-5)
