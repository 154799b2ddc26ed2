"""T5 1.1 as transformers 4.57.6 computes it: gated, with an output matrix of its own and no factor before it. Later
releases tie it. Run: `python tests/golden/t5_own_head.py` (see README.md)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration

from record import Call, Outputs, draw_weights, record, tokens

HERE = Path(__file__).resolve().parent / "t5_own_head"
VOCABULARY = 60
COMMON = {
    "vocab_size": VOCABULARY, "d_model": 16, "d_kv": 5, "d_ff": 20, "num_layers": 2, "num_decoder_layers": 3,
    "num_heads": 3, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10, "dropout_rate": 0.0,
    "decoder_start_token_id": 0, "tie_word_embeddings": False,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "gated_gelu": {"feed_forward_proj": "gated-gelu"},
    "relu": {"feed_forward_proj": "relu"},
}
STATES = ("decoder_hidden_states", "decoder_attentions", "cross_attentions", "encoder_last_hidden_state",
          "encoder_hidden_states", "encoder_attentions")  # fmt: skip


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    names = ("loss", "logits") if "labels" in inputs else ("logits", *STATES)
    return {name: output[name] for name in names}


def calls() -> list[Call]:
    source, target = tokens(1, 2, VOCABULARY, 2, 14), tokens(2, 2, VOCABULARY, 2, 9)
    mask = torch.ones_like(source)
    mask[1, 10:] = 0
    labels = target.clone()
    labels[0, 5:] = -100
    given = {"input_ids": source, "attention_mask": mask}
    return [
        Call("logits", {**given, "decoder_input_ids": target}, head="seq2seq_lm"),
        Call("loss", {**given, "labels": labels}, head="seq2seq_lm", train=True),
    ]


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    for seed, (name, hparams) in enumerate(MODELS.items()):
        folder = HERE / name
        folder.mkdir(parents=True)
        model = T5ForConditionalGeneration._from_config(T5Config(**COMMON, **hparams), attn_implementation="eager")
        draw_weights(model, seed)
        model.save_pretrained(folder)
        loaded = T5ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
        for key, value in model.state_dict().items():
            assert torch.equal(value, loaded.state_dict()[key]), f"{key} did not survive the round trip"
        record(folder, f"transformers {transformers.__version__}", loaded, calls(), run)


if __name__ == "__main__":
    main()
