from __future__ import annotations

import torch
from parity import Case

from .gpt2 import choices, left_padded, right_padded
from .shared import B, L, classes, embeds, ids, lm_labels, real_rows, texts

GPT = {
    "vocab_size": 99, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
    "attn_pdrop": 0.0, "summary_first_dropout": 0.0,
}  # fmt: skip
PADDED = GPT | {"pad_token_id": 0}
TIED_TO_HEAD = {"transformer.tokens_embed.weight": "lm_head.weight"}  # in that one class

CASES = [
    Case("body", "gpt", "OpenAIGPTModel", GPT, texts(99), outputs=("last_hidden_state",)),
    Case("left-padding", "gpt", "OpenAIGPTModel", GPT, left_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("right-padding", "gpt", "OpenAIGPTModel", GPT, right_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("positions", "gpt", "OpenAIGPTModel", GPT, texts(99, position_ids=torch.arange(L, 2 * L).expand(B, L)),
         outputs=("last_hidden_state",)),
    Case("token-types", "gpt", "OpenAIGPTModel", GPT, texts(99, token_type_ids=ids(99, B, L, seed=8)),
         outputs=("last_hidden_state",)),
    Case("embeds", "gpt", "OpenAIGPTModel", GPT, embeds, outputs=("last_hidden_state",)),
    Case("relu", "gpt", "OpenAIGPTModel", GPT | {"afn": "relu", "layer_norm_epsilon": 1e-3}, texts(99),
         outputs=("last_hidden_state",)),
    Case("swish", "gpt", "OpenAIGPTModel", GPT | {"afn": "swish"}, texts(99), outputs=("last_hidden_state",)),
    Case("causal_lm", "gpt", "OpenAIGPTLMHeadModel", GPT, texts(99), "causal_lm", lm_labels(99)),
    Case("causal_lm-untied", "gpt", "OpenAIGPTLMHeadModel", GPT | {"tie_word_embeddings": False}, texts(99),
         "causal_lm", lm_labels(99)),
    Case("double_heads", "gpt", "OpenAIGPTDoubleHeadsModel", GPT, choices, "double_heads",
         lambda: {"labels": ids(99, 2, 3, L, seed=7), "mc_labels": torch.tensor([2, 0])},
         outputs=("logits", "mc_logits"), renamed=TIED_TO_HEAD),
    Case("double_heads-last-token", "gpt", "OpenAIGPTDoubleHeadsModel", GPT, lambda: {"input_ids": ids(99, 2, 3, L)},
         "double_heads", outputs=("logits", "mc_logits"), renamed=TIED_TO_HEAD),
    Case("sequence_classification-right", "gpt", "OpenAIGPTForSequenceClassification", PADDED | {"num_labels": 3},
         right_padded, "sequence_classification", classes(3), real=real_rows),
    Case("sequence_classification-left", "gpt", "OpenAIGPTForSequenceClassification", PADDED | {"num_labels": 3},
         left_padded, "sequence_classification", classes(3), real=real_rows),
]  # fmt: skip
