from __future__ import annotations

import torch
from parity import Case

from .shared import B, L, classes, encoder, ids, lm_labels, right_padding, spans, texts

ELECTRA = {
    "vocab_size": 99, "embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 37, "max_position_embeddings": 40, "type_vocab_size": 3, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0, "summary_last_dropout": 0.0,
}  # fmt: skip
WIDE = ELECTRA | {"embedding_size": 32}
DECODER = ELECTRA | {"is_decoder": True}
padded = texts(99, attention_mask=right_padding(), token_type_ids=ids(3, B, L, low=0, seed=2))
embeds = lambda: {"inputs_embeds": torch.randn(B, L, 16, generator=torch.Generator().manual_seed(4))}  # noqa: E731
replaced = lambda: {"labels": ids(2, low=0, seed=3)}  # noqa: E731
choices = lambda: {"input_ids": ids(99, 2, 3, L), "attention_mask": right_padding().repeat(2, 1, 1)}  # noqa: E731

CASES = [
    Case("body", "electra", "ElectraModel", ELECTRA, padded, outputs=("last_hidden_state",)),
    Case("body-wide", "electra", "ElectraModel", WIDE | {"hidden_act": "gelu_new"}, padded,
         outputs=("last_hidden_state",)),
    Case("positions", "electra", "ElectraModel", ELECTRA, texts(99, position_ids=torch.arange(L, 2 * L).expand(B, L)),
         outputs=("last_hidden_state",)),
    Case("embeds", "electra", "ElectraModel", ELECTRA, embeds, outputs=("last_hidden_state",)),
    Case("decoder", "electra", "ElectraModel", DECODER, texts(99), outputs=("last_hidden_state",)),
    Case("cross-attention", "electra", "ElectraModel", DECODER | {"add_cross_attention": True}, texts(99, **encoder),
         outputs=("last_hidden_state", "cross_attentions")),
    Case("masked_lm", "electra", "ElectraForMaskedLM", ELECTRA, padded, "masked_lm", lm_labels(99)),
    Case("masked_lm-relu", "electra", "ElectraForMaskedLM", WIDE | {"hidden_act": "relu"}, padded, "masked_lm",
         lm_labels(99)),
    Case("masked_lm-untied", "electra", "ElectraForMaskedLM", ELECTRA | {"tie_word_embeddings": False}, padded,
         "masked_lm", lm_labels(99)),
    Case("causal_lm", "electra", "ElectraForCausalLM", DECODER, texts(99), "causal_lm", lm_labels(99)),
    Case("replaced_token_detection", "electra", "ElectraForPreTraining", ELECTRA, padded, "replaced_token_detection",
         replaced),
    Case("replaced_token_detection-relu", "electra", "ElectraForPreTraining", WIDE | {"hidden_act": "relu"}, texts(99),
         "replaced_token_detection", replaced),
    Case("classes-5", "electra", "ElectraForSequenceClassification", ELECTRA | {"num_labels": 5, "hidden_act": "relu"},
         padded, "sequence_classification", classes(5)),
    Case("regression", "electra", "ElectraForSequenceClassification", ELECTRA | {"num_labels": 1}, padded,
         "sequence_classification", lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    Case("token_classification", "electra", "ElectraForTokenClassification", ELECTRA | {"num_labels": 6}, padded,
         "token_classification", lambda: {"labels": ids(6, low=0).masked_fill(right_padding() == 0, -100)}),
    Case("multiple_choice", "electra", "ElectraForMultipleChoice", ELECTRA, choices, "multiple_choice",
         lambda: {"labels": torch.tensor([2, 0])}),
    Case("multiple_choice-tanh", "electra", "ElectraForMultipleChoice", ELECTRA | {"summary_activation": "tanh"},
         choices, "multiple_choice", lambda: {"labels": torch.tensor([2, 0])}),
    Case("question_answering", "electra", "ElectraForQuestionAnswering", ELECTRA, padded, "question_answering", spans,
         outputs=("start_logits", "end_logits")),
]  # fmt: skip
