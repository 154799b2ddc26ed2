"""BERT with 3-D attention masks and as a decoder, as transformers 4.57.6 computes it (see README.md).

Run: `python tests/golden/bert_masks.py`. Attention masks are `attention_mask` [batch, length] (a decoder adds the
causal triangle to it) or [batch, query, key] (taken as it is, in a decoder too).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import BertConfig, BertForPreTraining, BertLMHeadModel

from record import Call, Outputs, draw_weights, record, tokens

HERE = Path(__file__).resolve().parent / "bert_masks"
COMMON = {
    "vocab_size": 60, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 16, "type_vocab_size": 2, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "pad_token_id": 0,
}  # fmt: skip
BODY_OUTPUTS = ("last_hidden_state", "pooler_output", "hidden_states", "attentions", "cross_attentions")
HEAD_OUTPUTS = ("loss", "logits", "prediction_logits", "seq_relationship_logits")


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    if call.head is None:
        output, names = model.bert(**inputs, output_hidden_states=True, output_attentions=True), BODY_OUTPUTS
    else:
        output, names = model(**inputs), HEAD_OUTPUTS
    return {name: output[name] for name in names if name in output}


def padding(*lengths: int) -> Tensor:
    """[batch, longest] with ones for the first `lengths[i]` positions of row i."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def pairwise(seed: int, batch: int, length: int) -> Tensor:
    """[batch, query, key]: a random half of the pairs, neither causal nor symmetric; each position sees itself."""
    return (tokens(seed, 0, 2, batch, length, length) + torch.eye(length, dtype=torch.long)).clamp(max=1)


def encoder_calls() -> list[Call]:
    ids = {"input_ids": tokens(1, 1, 60, 2, 9), "token_type_ids": tokens(2, 0, 2, 2, 9)}
    flat, pairs = {"attention_mask": padding(9, 6)}, {"attention_mask": pairwise(3, 2, 9)}
    labels = {"labels": tokens(4, 0, 60, 2, 9), "next_sentence_label": torch.tensor([0, 1])}
    labels["labels"][:, ::2] = -100
    return [
        Call("mask_2d", ids | flat),
        Call("mask_3d", ids | pairs),
        Call("logits", ids | pairs, head="pretraining"),
        Call("loss", ids | pairs | labels, head="pretraining", train=True),
    ]


def decoder_calls(cross: bool) -> list[Call]:
    ids = {"input_ids": tokens(5, 1, 60, 2, 8)}
    memory: dict[str, Tensor] = {}
    if cross:
        states = torch.randn(2, 11, COMMON["hidden_size"], generator=torch.Generator().manual_seed(6))
        memory = {"encoder_hidden_states": states, "encoder_attention_mask": padding(11, 7)}
    flat, pairs = {"attention_mask": padding(8, 5)}, {"attention_mask": pairwise(7, 2, 8)}
    labels = {"labels": tokens(8, 0, 60, 2, 8)}
    labels["labels"][1, 5:] = -100
    return [
        Call("unmasked", ids | memory),
        Call("mask_2d", ids | memory | flat),
        Call("mask_3d", ids | memory | pairs),
        Call("logits", ids | memory | flat, head="causal_lm"),
        Call("loss", ids | memory | flat | labels, head="causal_lm", train=True),
    ]


CASES: dict[str, tuple[type, dict[str, Any], list[Call]]] = {
    "encoder": (BertForPreTraining, {}, encoder_calls()),
    "decoder": (BertLMHeadModel, {"is_decoder": True}, decoder_calls(cross=False)),
    "cross_decoder": (BertLMHeadModel, {"is_decoder": True, "add_cross_attention": True}, decoder_calls(cross=True)),
}


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    for seed, (name, (model_class, hparams, calls)) in enumerate(CASES.items()):
        folder = HERE / name
        folder.mkdir(parents=True)
        model = model_class(BertConfig(**COMMON, **hparams))
        draw_weights(model, seed)
        model.save_pretrained(folder)
        model = model_class.from_pretrained(folder, attn_implementation="eager")
        record(folder, f"transformers {transformers.__version__}", model, calls, run)


if __name__ == "__main__":
    main()
