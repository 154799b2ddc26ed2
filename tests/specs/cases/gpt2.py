from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import B, L, classes, embeds, encoder, ids, left_padding, lm_labels, real_rows, right_padding, spans, texts

GPT2 = {
    "vocab_size": 99, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
    "attn_pdrop": 0.0, "summary_first_dropout": 0.0, "classifier_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
PADDED = GPT2 | {"pad_token_id": 0}


def left_padded() -> dict[str, Tensor]:
    mask = left_padding()
    return {"input_ids": ids(99).masked_fill(mask == 0, 0), "attention_mask": mask,
            "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}  # fmt: skip


def right_padded() -> dict[str, Tensor]:
    return {"input_ids": ids(99).masked_fill(right_padding() == 0, 0), "attention_mask": right_padding()}


choices = lambda: {"input_ids": ids(99, 2, 3, L), "mc_token_ids": torch.tensor([[8, 2, 5], [1, 0, 8]])}  # noqa: E731

CASES = [
    Case("body", "gpt2", "GPT2Model", GPT2, texts(99), outputs=("last_hidden_state",)),
    Case("left-padding", "gpt2", "GPT2Model", GPT2, left_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("right-padding", "gpt2", "GPT2Model", GPT2, right_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("token-types", "gpt2", "GPT2Model", GPT2, texts(99, token_type_ids=ids(99, B, L, seed=8)),
         outputs=("last_hidden_state",)),
    Case("inner-relu", "gpt2", "GPT2Model", GPT2 | {"n_inner": 48, "activation_function": "relu"}, texts(99),
         outputs=("last_hidden_state",)),
    Case("embeds", "gpt2", "GPT2Model", GPT2, embeds, outputs=("last_hidden_state",)),
    Case("cross-attention", "gpt2", "GPT2Model", GPT2 | {"add_cross_attention": True}, texts(99, **encoder),
         outputs=("last_hidden_state", "cross_attentions")),
    Case("causal_lm", "gpt2", "GPT2LMHeadModel", GPT2, texts(99), "causal_lm", lm_labels(99)),
    Case("causal_lm-untied", "gpt2", "GPT2LMHeadModel", GPT2 | {"tie_word_embeddings": False}, texts(99), "causal_lm",
         lm_labels(99)),
    Case("double_heads", "gpt2", "GPT2DoubleHeadsModel", GPT2, choices, "double_heads",
         lambda: {"labels": ids(99, 2, 3, L, seed=7), "mc_labels": torch.tensor([2, 0])},
         outputs=("logits", "mc_logits")),
    Case("sequence_classification-right", "gpt2", "GPT2ForSequenceClassification", PADDED | {"num_labels": 3},
         right_padded, "sequence_classification", classes(3), real=real_rows),
    Case("sequence_classification-left", "gpt2", "GPT2ForSequenceClassification", PADDED | {"num_labels": 3},
         left_padded, "sequence_classification", classes(3), real=real_rows),
    Case("token_classification", "gpt2", "GPT2ForTokenClassification", GPT2 | {"num_labels": 6}, texts(99),
         "token_classification", lambda: {"labels": ids(6, low=0)}),
    Case("question_answering", "gpt2", "GPT2ForQuestionAnswering", GPT2, texts(99), "question_answering", spans,
         outputs=("start_logits", "end_logits")),
]  # fmt: skip

