from __future__ import annotations

import torch
from parity import Case

from .shared import B, L, classes, embeds, ids, left_padding, lm_labels, right_padding, spans, texts

DISTILBERT = {
    "vocab_size": 99, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 37, "max_position_embeddings": 40,
    "dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0, "seq_classif_dropout": 0.0,
}  # fmt: skip
padded = texts(99, attention_mask=right_padding())

CASES = [
    Case("body", "distilbert", "DistilBertModel", DISTILBERT, padded, outputs=("last_hidden_state",)),
    Case("left-padding", "distilbert", "DistilBertModel", DISTILBERT, texts(99, attention_mask=left_padding()),
         outputs=("last_hidden_state",)),
    Case("positions", "distilbert", "DistilBertModel", DISTILBERT,
         texts(99, position_ids=torch.arange(L, 2 * L).expand(B, L)), outputs=("last_hidden_state",)),
    Case("embeds", "distilbert", "DistilBertModel", DISTILBERT, embeds, outputs=("last_hidden_state",)),
    Case("sinusoids-relu-chunks", "distilbert", "DistilBertModel",
         DISTILBERT | {"sinusoidal_pos_embds": True, "activation": "relu", "chunk_size_feed_forward": 3}, padded,
         outputs=("last_hidden_state",)),
    Case("masked_lm", "distilbert", "DistilBertForMaskedLM", DISTILBERT, padded, "masked_lm", lm_labels(99)),
    Case("masked_lm-untied-relu", "distilbert", "DistilBertForMaskedLM",
         DISTILBERT | {"tie_word_embeddings": False, "activation": "relu"}, padded, "masked_lm", lm_labels(99)),
    Case("classes-5", "distilbert", "DistilBertForSequenceClassification", DISTILBERT | {"num_labels": 5}, padded,
         "sequence_classification", classes(5)),
    Case("regression", "distilbert", "DistilBertForSequenceClassification", DISTILBERT | {"num_labels": 1}, padded,
         "sequence_classification", lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    Case("token_classification", "distilbert", "DistilBertForTokenClassification", DISTILBERT | {"num_labels": 6},
         padded, "token_classification", classes(6, B, L)),
    Case("multiple_choice", "distilbert", "DistilBertForMultipleChoice", DISTILBERT,
         lambda: {"input_ids": ids(99, 2, 3, L), "attention_mask": right_padding().repeat(2, 1, 1)}, "multiple_choice",
         lambda: {"labels": torch.tensor([2, 0])}),
    Case("question_answering", "distilbert", "DistilBertForQuestionAnswering", DISTILBERT, padded,
         "question_answering", spans, outputs=("start_logits", "end_logits")),
]  # fmt: skip
