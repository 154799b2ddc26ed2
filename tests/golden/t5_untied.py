"""T5 1.1 (gated, with a head of its own) and an encoder alone, as transformers 4.57.6 computes them (see README.md).

Run: `python tests/golden/t5_untied.py`. Later releases tie the head whatever the config says.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

from record import Call, Outputs, draw_weights, record, tokens

HERE = Path(__file__).resolve().parent / "t5_untied"
COMMON = {
    "vocab_size": 50, "d_model": 16, "d_kv": 5, "d_ff": 21, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 3,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10, "dropout_rate": 0.0,
    "decoder_start_token_id": 0, "pad_token_id": 0, "tie_word_embeddings": False,
}  # fmt: skip
STATES = ("decoder_hidden_states", "decoder_attentions", "cross_attentions", "encoder_last_hidden_state",
          "encoder_hidden_states", "encoder_attentions")  # fmt: skip


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    body = STATES if call.head else ("last_hidden_state", "hidden_states", "attentions")
    names = ("loss", "logits") if "labels" in inputs else ("logits", *body)
    return {name: output[name] for name in names if name in output}


def padding(*lengths: int) -> Tensor:
    """[batch, longest] with ones for the first `lengths[i]` positions of row i."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


SOURCE = {"input_ids": tokens(1, 1, 50, 2, 12), "attention_mask": padding(12, 7)}
TARGET = {"decoder_input_ids": tokens(2, 1, 50, 2, 9), "decoder_attention_mask": padding(9, 6)}
LABELS = {"labels": tokens(3, 1, 50, 2, 9)}
LABELS["labels"][1, 6:] = -100
SEQ2SEQ = [
    Call("logits", SOURCE | TARGET, head="seq2seq_lm"),
    Call("loss", SOURCE | LABELS, head="seq2seq_lm", train=True),
]
CASES: dict[str, tuple[type, dict[str, Any], list[Call]]] = {
    "gelu": (T5ForConditionalGeneration, {"feed_forward_proj": "gated-gelu"}, SEQ2SEQ),
    "encoder": (T5EncoderModel, {"feed_forward_proj": "gated-gelu"}, [Call("body", SOURCE)]),
}


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    for seed, (name, (model_class, hparams, calls)) in enumerate(CASES.items()):
        folder = HERE / name
        folder.mkdir(parents=True)
        model = model_class(T5Config(**COMMON, **hparams))
        draw_weights(model, seed, 0.2)
        model.save_pretrained(folder)
        model = model_class.from_pretrained(folder, attn_implementation="eager")
        record(folder, f"transformers {transformers.__version__}", model, calls, run)


if __name__ == "__main__":
    main()
