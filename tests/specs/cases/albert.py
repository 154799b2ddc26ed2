from __future__ import annotations

import torch
from parity import Case

from .shared import B, L, classes, ids, lm_labels, right_padding, spans, texts

ALBERT = {
    "vocab_size": 99, "embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
    "intermediate_size": 37, "max_position_embeddings": 40, "type_vocab_size": 3, "classifier_dropout_prob": 0.0,
}  # fmt: skip
GROUPS = ALBERT | {"num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2}
padded = texts(99, attention_mask=right_padding(), token_type_ids=ids(3, B, L, low=0, seed=2))
embeds = lambda: {"inputs_embeds": torch.randn(B, L, 16, generator=torch.Generator().manual_seed(4))}  # noqa: E731

CASES = [
    Case("body", "albert", "AlbertModel", ALBERT, padded, outputs=("last_hidden_state", "pooler_output")),
    Case("groups", "albert", "AlbertModel", GROUPS, padded, outputs=("last_hidden_state", "pooler_output")),
    Case("groups-only", "albert", "AlbertModel", ALBERT | {"num_hidden_groups": 4}, padded,
         outputs=("last_hidden_state",)),
    Case("no-inputs-but-ids", "albert", "AlbertModel", ALBERT, texts(99),
         outputs=("last_hidden_state", "pooler_output")),
    Case("positions", "albert", "AlbertModel", ALBERT, texts(99, position_ids=torch.arange(L, 2 * L).expand(B, L)),
         outputs=("last_hidden_state",)),
    Case("embeds", "albert", "AlbertModel", ALBERT, embeds, outputs=("last_hidden_state",)),
    Case("gelu-chunks", "albert", "AlbertModel", ALBERT | {"hidden_act": "gelu", "chunk_size_feed_forward": 3}, padded,
         outputs=("last_hidden_state",)),
    Case("relu-wide", "albert", "AlbertModel", ALBERT | {"hidden_act": "relu", "embedding_size": 32,
         "layer_norm_eps": 1e-5}, padded, outputs=("last_hidden_state",)),
    Case("masked_lm", "albert", "AlbertForMaskedLM", ALBERT, padded, "masked_lm", lm_labels(99)),
    Case("masked_lm-groups", "albert", "AlbertForMaskedLM", GROUPS | {"hidden_act": "gelu"}, padded, "masked_lm",
         lm_labels(99)),
    Case("masked_lm-untied", "albert", "AlbertForMaskedLM", ALBERT | {"tie_word_embeddings": False}, padded,
         "masked_lm", lm_labels(99), dropped=frozenset({"predictions.bias"})),
    Case("pretraining", "albert", "AlbertForPreTraining", ALBERT, padded, "pretraining",
         lambda: lm_labels(99)() | {"sentence_order_label": torch.tensor([0, 1, 1])},
         outputs=("prediction_logits", "sop_logits")),
    Case("classes-5", "albert", "AlbertForSequenceClassification", ALBERT | {"num_labels": 5}, padded,
         "sequence_classification", classes(5)),
    Case("regression", "albert", "AlbertForSequenceClassification", ALBERT | {"num_labels": 1}, padded,
         "sequence_classification", lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    Case("token_classification", "albert", "AlbertForTokenClassification", ALBERT | {"num_labels": 6}, padded,
         "token_classification", lambda: {"labels": ids(6, low=0).masked_fill(right_padding() == 0, -100)}),
    Case("multiple_choice", "albert", "AlbertForMultipleChoice", ALBERT,
         lambda: {"input_ids": ids(99, 2, 3, L), "attention_mask": right_padding().repeat(2, 1, 1)}, "multiple_choice",
         lambda: {"labels": torch.tensor([2, 0])}),
    Case("question_answering", "albert", "AlbertForQuestionAnswering", ALBERT, padded, "question_answering", spans,
         outputs=("start_logits", "end_logits")),
]  # fmt: skip
