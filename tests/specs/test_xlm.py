"""What of XLM the reference cannot run, or a checkpoint cannot show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cases.xlm import BEAM, XLM
from parity import assert_close, randomise, stored_gradients
from safetensors.torch import load_file

import modelwright as mw

transformers = pytest.importorskip("transformers")

ADAPTIVE = XLM | {"asm": True, "asm_cutoffs": [20, 50], "asm_div_value": 2.0}
IDS = torch.randint(3, 99, (3, 9), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("head", "tied"), [("masked_lm", False), ("causal_lm", True)])
def test_adaptive_softmax(head: str, tied: bool, tmp_path: Path) -> None:
    """The reference hands its states to torch's class as [B, L, D], which takes [N, D] alone: so it is asked here. Nor
    does it read such a model if the config says that matrices are tied, though there is nothing to tie."""
    config = transformers.XLMConfig(**ADAPTIVE, causal=head == "causal_lm", tie_word_embeddings=tied)
    theirs = transformers.XLMWithLMHeadModel._from_config(config, attn_implementation="eager")
    randomise(theirs)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = mw.build(weights=tmp_path / "theirs", head=head)
    assert not ours.load_report.missing and not ours.load_report.unexpected and not ours.load_report.fresh

    states = theirs.eval().transformer(IDS).last_hidden_state.flatten(0, 1)
    output = ours(IDS, labels=IDS.flip(1))
    assert_close(output.logits.flatten(0, 1), theirs.pred_layer.proj.log_prob(states), "logits")
    loss = theirs.pred_layer.proj(states, IDS.flip(1).flatten()).loss
    assert_close(output.loss, loss, "loss")
    output.loss.backward()
    loss.backward()
    expected = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    found = stored_gradients(ours, set(expected))
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        assert_close(found[name], gradient, f"gradient of {name}")

    half = IDS.flip(1).masked_fill(torch.arange(9) > 4, -100)
    kept = theirs.pred_layer.proj(states.view(3, 9, -1)[:, :5].flatten(0, 1), half[:, :5].flatten()).loss
    assert_close(ours(IDS, labels=half).loss, kept, "loss of the labels that count")

    ours.save(tmp_path / "ours")
    before, after = (load_file(tmp_path / whose / "model.safetensors") for whose in ("theirs", "ours"))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    if not tied:
        again, info = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
        assert again.config.asm_cutoffs == [20, 50] and again.config.asm_div_value == 2.0


def test_cutoffs_must_leave_widths() -> None:
    with pytest.raises(mw.SpecError, match="cannot be divided by 8 2 times"):
        mw.build("xlm", head="masked_lm", hidden_size=32, num_attention_heads=4, num_hidden_layers=1, vocab_size=99,
                 adaptive_softmax=True, cutoffs=[20, 50], cutoff_divisor=8)  # fmt: skip


def test_sinusoids_begin_as_the_reference_has_them_and_stay() -> None:
    config = transformers.XLMConfig(**XLM | {"sinusoidal_embeddings": True})
    model = mw.build("xlm", config=json.loads(config.to_json_string()))
    assert_close(model.embeddings.position.weight, transformers.XLMModel(config).position_embeddings.weight, "table")
    assert not model.embeddings.position.weight.requires_grad


def test_search_wants_as_many_positions_as_it_keeps() -> None:
    model = mw.build("xlm", head="beam_question_answering", hidden_size=32, num_attention_heads=4, num_hidden_layers=1,
                     vocab_size=99)  # fmt: skip
    assert model(IDS)["end_top_index"].shape == (3, 25)
    assert all(model(IDS)[name].dtype in (torch.float32, torch.int64) for name in BEAM)
    with pytest.raises(mw.UsageError, match="5 positions are to be kept, but the text has only 4"):
        model(IDS[:, :4])


def test_lengths_of_choices_by_choice_or_in_a_row() -> None:
    model = mw.build("xlm", head="multiple_choice", hidden_size=32, num_attention_heads=4, num_hidden_layers=1,
                     vocab_size=99)  # fmt: skip
    lengths = torch.tensor([[9, 3, 6]])
    by_choice = model(IDS[None], lengths=lengths).logits
    assert torch.equal(model(IDS[None], lengths=lengths.flatten()).logits, by_choice)
    assert not torch.equal(model(IDS[None]).logits, by_choice)


def test_configs_of_2019_name_the_vocabulary_and_the_padding_otherwise(tmp_path: Path) -> None:
    old = {
        "n_words": 99, "emb_dim": 32, "n_layers": 1, "n_heads": 4, "pad_index": 7, "gelu_activation": False,
        "n_langs": 1, "lang2id": {"en": 0}, "id2lang": {"0": "en"}, "max_vocab": -1, "share_inout_emb": True,
    }  # fmt: skip
    model = mw.build("xlm", config=old)
    assert (model.config.vocab_size, model.config.pad_token_id, model.config.hidden_act) == (99, 7, "relu")
    model.save(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert (saved["pad_index"], saved["pad_token_id"], saved["gelu_activation"]) == (7, 7, False)
