from __future__ import annotations

import torch
from parity import Case

from .gpt2 import left_padded, right_padded
from .shared import B, L, classes, embeds, ids, lm_labels, real_rows, texts

CTRL = {
    "vocab_size": 99, "n_embd": 32, "n_layer": 3, "n_head": 4, "dff": 37, "n_positions": 300, "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
}  # fmt: skip
PADDED = CTRL | {"pad_token_id": 0}

CASES = [
    Case("body", "ctrl", "CTRLModel", CTRL, texts(99), outputs=("last_hidden_state",)),
    Case("left-padding", "ctrl", "CTRLModel", CTRL, left_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("right-padding", "ctrl", "CTRLModel", CTRL, right_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("far-positions", "ctrl", "CTRLModel", CTRL, texts(99, position_ids=torch.arange(291, 291 + L).expand(B, L)),
         outputs=("last_hidden_state",)),
    Case("long", "ctrl", "CTRLModel", CTRL, lambda: {"input_ids": ids(99, 1, 260)}, outputs=("last_hidden_state",)),
    Case("token-types", "ctrl", "CTRLModel", CTRL, texts(99, token_type_ids=ids(99, B, L, seed=8)),
         outputs=("last_hidden_state",)),
    Case("embeds", "ctrl", "CTRLModel", CTRL, embeds, outputs=("last_hidden_state",)),
    Case("final-norm", "ctrl", "CTRLModel", CTRL | {"layer_norm_epsilon": 0.1}, texts(99),
         outputs=("last_hidden_state",)),
    Case("causal_lm", "ctrl", "CTRLLMHeadModel", CTRL, texts(99), "causal_lm", lm_labels(99)),
    Case("causal_lm-token-types", "ctrl", "CTRLLMHeadModel", CTRL, texts(99, token_type_ids=ids(99, B, L, seed=8)),
         "causal_lm", lm_labels(99)),
    Case("causal_lm-untied", "ctrl", "CTRLLMHeadModel", CTRL | {"tie_word_embeddings": False}, texts(99), "causal_lm",
         lm_labels(99)),
    Case("sequence_classification-right", "ctrl", "CTRLForSequenceClassification", PADDED | {"num_labels": 3},
         right_padded, "sequence_classification", classes(3), real=real_rows),
    Case("sequence_classification-left", "ctrl", "CTRLForSequenceClassification", PADDED | {"num_labels": 3},
         left_padded, "sequence_classification", classes(3), real=real_rows),
]  # fmt: skip
