"""Transformer-XL as transformers 4.37.2 computes it. Run: `python tests/golden/transfo_xl.py` (see README.md)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import TransfoXLConfig, TransfoXLForSequenceClassification, TransfoXLLMHeadModel

from record import Call, Outputs, draw_weights, record, tokens

HERE = Path(__file__).resolve().parent / "transfo_xl"
VOCABULARY = 60
LENGTHS = (7, 4, 9)  # of consecutive segments: shorter and longer than the memories below
COMMON = {
    "vocab_size": VOCABULARY, "d_model": 16, "d_embed": 16, "n_head": 3, "d_head": 6, "d_inner": 20, "n_layer": 2,
    "dropout": 0.0, "dropatt": 0.0, "clamp_len": -1,
}  # fmt: skip

# Between them: div_val 1, 2, 4; d_embed equal to d_model and not; biases tied and not; same_length, clamp_len and
# pre_lnorm on and off; no memory, one shorter and one longer than a segment; projections shared and not; no clusters.
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "div4": {
        "cutoffs": [12, 30], "div_val": 4, "d_model": 24, "d_embed": 32, "untie_r": True, "same_length": True,
        "clamp_len": 6, "mem_len": 5,
    },
    "div2_three_cutoffs": {
        "cutoffs": [10, 20, 40], "div_val": 2, "untie_r": True, "same_length": False, "mem_len": 12, "n_layer": 3,
    },
    "div2_own_projections": {
        "cutoffs": [10, 20], "div_val": 2, "proj_share_all_but_first": False, "untie_r": False, "same_length": True,
        "pre_lnorm": True, "mem_len": 8,
    },
    "div2_no_memory": {"cutoffs": [10, 20], "div_val": 2, "untie_r": True, "same_length": False, "mem_len": 0},
    "div2_untied_embeddings": {
        "cutoffs": [10, 20], "div_val": 2, "tie_word_embeddings": False, "untie_r": True, "same_length": True,
        "mem_len": 6,
    },
    "div1": {
        "cutoffs": [10, 20], "div_val": 1, "untie_r": False, "same_length": False, "clamp_len": 4, "mem_len": 5,
    },
    "div1_projected": {
        "cutoffs": [10, 20], "div_val": 1, "d_embed": 12, "untie_r": True, "same_length": True, "mem_len": 12,
    },
    "div1_own_projections": {
        "cutoffs": [10, 20], "div_val": 1, "d_embed": 12, "proj_share_all_but_first": False, "untie_r": False,
        "same_length": False, "clamp_len": 9, "pre_lnorm": True, "mem_len": 6,
    },
    "no_cutoffs": {"cutoffs": [], "div_val": 1, "untie_r": False, "same_length": True, "mem_len": 6},
    "no_cutoffs_projected": {
        "cutoffs": [], "div_val": 1, "d_embed": 20, "untie_r": True, "same_length": False, "mem_len": 3,
    },
}  # fmt: skip

# The classifier reads `d_embed` wide states, so only d_embed == d_model works in the reference.
PAD = 1
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "classifier": {
        "cutoffs": [10, 20], "div_val": 2, "untie_r": True, "same_length": True, "mem_len": 5, "num_labels": 3,
        "problem_type": "single_label_classification",
    },
    "regressor": {
        "cutoffs": [10], "div_val": 1, "untie_r": False, "same_length": False, "mem_len": 0, "num_labels": 1,
        "problem_type": "regression",
    },
}  # fmt: skip


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    if call.head is None:
        return dict(model.transformer(**inputs, output_hidden_states=True, output_attentions=True))
    output = model(**inputs)
    names = ("loss", "losses", "logits") if call.head == "causal_lm" else ("loss", "logits")
    # with labels the language model leaves an empty tuple where the scores would be
    return {name: getattr(output, name) for name in names if isinstance(getattr(output, name), Tensor)}


def language_model_calls(config: TransfoXLConfig) -> list[Call]:
    def after(name: str) -> dict[str, str]:
        return {"mems": name} if config.mem_len else {}

    one, two, three = (tokens(seed, 0, VOCABULARY, 2, length) for seed, length in enumerate(LENGTHS, start=1))
    labels = tokens(9, 0, VOCABULARY, 2, LENGTHS[2])
    labels[0, 2:4] = -100
    labels[1, -1] = -100
    embeds = torch.randn(2, LENGTHS[1], config.d_model, generator=torch.Generator().manual_seed(5))
    return [
        Call("segment_1", {"input_ids": one}),
        Call("segment_2", {"input_ids": two}, carry=after("segment_1")),
        Call("segment_3", {"input_ids": three}, carry=after("segment_2")),
        Call("embeds", {"inputs_embeds": embeds}),
        Call("logits", {"input_ids": one}, head="causal_lm"),
        Call("next_logits", {"input_ids": two}, head="causal_lm", carry=after("segment_1")),
        Call(
            "loss", {"input_ids": three, "labels": labels}, head="causal_lm", carry=after("segment_2"), train=True
        ),
    ]  # fmt: skip


def classifier_calls(problem: str) -> list[Call]:
    ids = tokens(4, 2, VOCABULARY, 3, 8)
    ids[0, 5:] = PAD
    ids[2, 3:] = PAD
    labels = torch.tensor([0.5, -1.0, 2.0]) if problem == "regression" else torch.tensor([2, 0, 1])
    return [
        Call("body", {"input_ids": ids}),
        Call("logits", {"input_ids": ids}, head="sequence_classification"),
        Call("loss", {"input_ids": ids, "labels": labels}, head="sequence_classification", train=True),
    ]


def prepare(name: str, seed: int, model_class: type, hparams: dict[str, Any], **options: Any) -> nn.Module:
    """Draw a model, let the reference save it and read it back."""
    folder = HERE / name
    folder.mkdir(parents=True)
    model = model_class(TransfoXLConfig(**{**COMMON, **hparams}, **options))
    draw_weights(model, seed)
    model.save_pretrained(folder)
    loaded, report = model_class.from_pretrained(folder, output_loading_info=True)
    assert not report["unexpected_keys"] and not report["mismatched_keys"], report
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), f"{key} did not survive the round trip"
    return loaded


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    reference = f"transformers {transformers.__version__}"
    for seed, (name, hparams) in enumerate(LANGUAGE_MODELS.items()):
        model = prepare(name, seed, TransfoXLLMHeadModel, hparams)
        record(HERE / name, reference, model, language_model_calls(model.config), run)
    for seed, (name, hparams) in enumerate(CLASSIFIERS.items(), start=100):
        model = prepare(name, seed, TransfoXLForSequenceClassification, hparams, pad_token_id=PAD)
        record(HERE / name, reference, model, classifier_calls(hparams["problem_type"]), run)


if __name__ == "__main__":
    main()
