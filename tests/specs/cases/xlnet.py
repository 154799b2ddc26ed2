from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from parity import Case
from torch import Tensor

from .shared import B, L, classes, ids, left_padding, lm_labels, spans, texts

XLNET = {
    "vocab_size": 99, "d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 37, "dropout": 0.0, "mem_len": 12,
    "summary_last_dropout": 0.0,
}  # fmt: skip
UNI = XLNET | {"attn_type": "uni"}
T = 4  # predicted positions
STATE = ("last_hidden_state",)
BEAM = ("start_top_log_probs", "start_top_index", "end_top_log_probs", "end_top_index", "cls_logits")
MEMORY = {"outputs": ("last_hidden_state", "mems"), "carry": ("mems",)}

padded = texts(99, attention_mask=left_padding(), token_type_ids=ids(3, B, L, low=0, seed=8))
long = lambda: {"input_ids": ids(99, B, 200), "token_type_ids": ids(2, B, 200, low=0)}  # noqa: E731


def perm_mask(rows: int = B, length: int = L) -> Tensor:
    """Of a random order; the first position in it sees nothing but itself, its query nothing at all."""
    rank = torch.rand(rows, length, generator=torch.Generator().manual_seed(2)).argsort(dim=-1)
    return (rank[:, :, None] <= rank[:, None, :]).float()


def permuted(general: bool = False, rows: int = B, length: int = L, **more: Any) -> Callable[[], dict[str, Tensor]]:
    """Both streams: T positions of a row are predicted, or any mixtures of positions."""
    generator = torch.Generator().manual_seed(3)
    if general:
        mapping = torch.randn(rows, T, length, generator=generator)
    else:
        chosen = torch.rand(rows, length, generator=generator).argsort(dim=-1)[:, :T]
        mapping = torch.nn.functional.one_hot(chosen, length).float()
    return lambda: {"input_ids": ids(99, rows, length), "perm_mask": perm_mask(rows, length),
                    "target_mapping": mapping, **more}  # fmt: skip


def without(name: str) -> Callable[[], dict[str, Tensor]]:
    return lambda: {key: value for key, value in permuted(**segments)().items() if key != name}


segments = {"token_type_ids": ids(2, B, L, low=0, seed=8)}
typed = texts(99, **segments)
one = texts(99, input_ids=ids(99, 1, L), attention_mask=left_padding()[1:2])  # more the reference cannot mask in "uni"
second = texts(99, attention_mask=left_padding(), token_type_ids=ids(2, B, L, low=0, seed=4))
targets = lambda: {"labels": ids(99, B, T, seed=7)}  # noqa: E731

answers = {"start_positions": torch.tensor([1, 4, 6]), "end_positions": torch.tensor([3, 5, 8])}


def body(name: str, config: dict[str, Any], inputs: Callable[[], dict[str, Tensor]], **more: Any) -> Case:
    return Case(name, "xlnet", "XLNetModel", config, inputs, **({"outputs": STATE} | more))


CASES = [
    body("body", XLNET, padded),
    body("plain", XLNET, texts(99)),
    body("memory", XLNET, padded, next=second, **MEMORY),
    body("memory-all", XLNET | {"mem_len": None}, padded, next=second, **MEMORY),
    body("memory-0", XLNET | {"mem_len": 0}, padded, next=second, **MEMORY),
    body("memory-short", XLNET | {"mem_len": 4}, padded, next=permuted(**segments), **MEMORY),
    body("reuse", XLNET | {"reuse_len": 5}, padded, next=second, **MEMORY),
    body("memory-chunks", XLNET | {"mem_len": 150}, long, next=permuted(length=200), **MEMORY),
    body("no-memory", XLNET | {"use_mems_eval": False}, padded),
    body("streams", XLNET, permuted(attention_mask=left_padding(), **segments), next=permuted(**segments), **MEMORY),
    body("streams-general", XLNET, permuted(general=True, **segments)),
    body("streams-unmasked", XLNET, without("perm_mask")),
    body("perm-mask", XLNET, without("target_mapping")),
    body("uni", UNI, typed, next=typed, **MEMORY),
    body("uni-padded", UNI, one, next=one, **MEMORY),
    body("uni-streams", UNI, permuted(rows=1), next=permuted(rows=1), **MEMORY),
    body("uni-chunks", UNI | {"mem_len": 150}, long, next=long, **MEMORY),
    body("same-length", UNI | {"same_length": True}, typed, next=typed, **MEMORY),
    body("same-length-streams", UNI | {"same_length": True}, permuted(rows=1), next=permuted(rows=1), **MEMORY),
    body("clamp", XLNET | {"clamp_len": 3}, padded, next=second, **MEMORY),
    body("clamp-uni", UNI | {"clamp_len": 3}, typed, next=typed, **MEMORY),
    body("mirrored", XLNET | {"bi_data": True}, permuted(rows=4), next=permuted(rows=4), **MEMORY),
    body("mirrored-clamp", XLNET | {"bi_data": True, "clamp_len": 3}, texts(99, input_ids=ids(99, 4, L))),
    body("relu-chunked", XLNET | {"ff_activation": "relu", "chunk_size_feed_forward": 3, "untie_r": False}, padded),
    body("embeds", XLNET, lambda: {"inputs_embeds": torch.randn(B, L, 32, generator=torch.Generator().manual_seed(4))}),
    Case("causal_lm", "xlnet", "XLNetLMHeadModel", XLNET, padded, "causal_lm", lm_labels(99)),
    Case("causal_lm-streams", "xlnet", "XLNetLMHeadModel", XLNET, permuted(attention_mask=left_padding(), **segments),
         "causal_lm", targets, outputs=("logits", "mems"), next=permuted(general=True), carry=("mems",)),
    Case("causal_lm-mirrored", "xlnet", "XLNetLMHeadModel", XLNET | {"bi_data": True, "use_mems_train": True},
         permuted(rows=4), "causal_lm", lambda: {"labels": ids(99, 4, T, seed=7)}),
    Case("causal_lm-uni", "xlnet", "XLNetLMHeadModel", UNI | {"tie_word_embeddings": False}, without("perm_mask"),
         "causal_lm", targets),
    Case("causal_lm-gelu_tanh", "xlnet", "XLNetLMHeadModel", XLNET | {"ff_activation": "gelu_new"}, padded,
         "causal_lm", lm_labels(99)),
    Case("sequence_classification", "xlnet", "XLNetForSequenceClassification", XLNET | {"num_labels": 3}, padded,
         "sequence_classification", classes(3)),
    Case("regression", "xlnet", "XLNetForSequenceClassification",
         XLNET | {"num_labels": 1, "summary_activation": "relu"}, padded, "sequence_classification",
         lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    Case("token_classification", "xlnet", "XLNetForTokenClassification", XLNET | {"num_labels": 6}, padded,
         "token_classification", lambda: {"labels": ids(6, low=0)}),
    Case("multiple_choice", "xlnet", "XLNetForMultipleChoice", XLNET,
         lambda: {"input_ids": ids(99, 2, 3, L), "attention_mask": left_padding().repeat(2, 1, 1),
                  "token_type_ids": ids(2, 2, 3, L, low=0)},
         "multiple_choice", lambda: {"labels": torch.tensor([2, 0])}),
    Case("question_answering", "xlnet", "XLNetForQuestionAnsweringSimple", XLNET, padded, "question_answering", spans,
         outputs=("start_logits", "end_logits")),
    Case("beam", "xlnet", "XLNetForQuestionAnswering", XLNET | {"start_n_top": 3, "end_n_top": 2}, padded,
         "beam_question_answering", lambda: answers, outputs=BEAM),
    Case("beam-answerable", "xlnet", "XLNetForQuestionAnswering", XLNET,
         lambda: padded() | {"p_mask": 1.0 - left_padding(), "cls_index": torch.tensor([8, 5, 7])},
         "beam_question_answering", lambda: answers | {"is_impossible": torch.tensor([0.0, 1.0, 0.0])}, outputs=BEAM),
]  # fmt: skip
