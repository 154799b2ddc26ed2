"""Another number of words: what stays, what is new, and that the reference does the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import modelwright as mw

transformers = pytest.importorskip("transformers")

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
MODELS = {
    "bert": (transformers.BertForMaskedLM, SMALL | {"intermediate_size": 24}, "masked_lm"),
    "gpt2": (transformers.GPT2LMHeadModel, {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2}, "causal_lm"),
    "xlm": (
        transformers.XLMWithLMHeadModel, {"vocab_size": 50, "emb_dim": 16, "n_layers": 2, "n_heads": 2}, "masked_lm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("size", [43, 61])
@pytest.mark.parametrize("spec", MODELS)
def test_the_words_that_stay_score_as_the_reference_says(spec: str, size: int, tmp_path: Any) -> None:
    reference, config, head = MODELS[spec]
    theirs = reference(reference.config_class(**config)).eval()
    theirs.save_pretrained(tmp_path)
    ours = mw.build(weights=tmp_path, head=head)
    theirs.resize_token_embeddings(size, mean_resizing=False)
    ours.resize_token_embeddings(size)
    ids = torch.randint(3, 40, (2, 7))
    with torch.no_grad():
        expected, found = theirs(ids).logits, ours(ids).logits
    common = min(size, 50)
    assert found.shape == expected.shape
    torch.testing.assert_close(found[..., :common], expected[..., :common], atol=2e-5, rtol=0)

    ours.save(tmp_path / "ours")
    again = reference.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, found, atol=2e-5, rtol=0)


def test_what_does_not_depend_on_it_stays_the_same_object() -> None:
    model = mw.build("bert", head="pretraining", **SMALL, intermediate_size=24).train()
    query, token = model.encoder.layers[0].attention.query.weight, model.embeddings.token.weight.clone()
    model.resize_token_embeddings(60)
    assert model.training and model.encoder.training
    assert model.encoder.layers[0].attention.query.weight is query
    assert model.embeddings.token.weight.shape == (60, 16)
    assert torch.equal(model.embeddings.token.weight[:50], token)
    assert model.heads.masked_lm.projection.weight is model.embeddings.token.weight
    assert (model.embeddings.token.weight[50:] != 0).any() and not model.heads.masked_lm.projection.bias[50:].any()
    assert model.config.vocab_size == 60 and model.spec.hparams()["vocab_size"] == 50


def test_of_adaptive_tables_the_last_grows() -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "attention_head_size": 4}
    model = mw.build("transfo_xl", head="causal_lm", vocab_size=50, cutoffs=[10, 20], embedding_divisor=2,
                     tie_projections=[False, True, True], intermediate_size=8, memory_length=3, **sizes)  # fmt: skip
    ids = torch.randint(0, 50, (2, 5))
    before = model(ids).logits
    model.resize_token_embeddings(55)
    after = model(ids).logits
    assert after.shape[-1] == 55
    torch.testing.assert_close(after[..., :20], before[..., :20])  # the head cluster and the one that did not grow
    with pytest.raises(mw.SpecError, match="do not rise between 0 and the vocabulary's 15"):
        model.resize_token_embeddings(15)
    assert model(ids).logits.shape[-1] == 55


@pytest.mark.parametrize("size", [0, -3, 2.5, True, "9"])
def test_a_size_that_is_none(size: Any) -> None:
    model = mw.build("gpt2", vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    with pytest.raises(mw.UsageError, match="whole number of words"):
        model.resize_token_embeddings(size)
