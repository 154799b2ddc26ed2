from __future__ import annotations

import torch
from parity import Case

from .shared import B, L, classes, embeds, encoder, ids, lm_labels, right_padding, spans, texts

BERT = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 37,
    "max_position_embeddings": 40, "type_vocab_size": 3, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0,
}  # fmt: skip
bert_inputs = texts(99, attention_mask=right_padding(), token_type_ids=ids(3, B, L, low=0, seed=2))
DECODER = BERT | {"is_decoder": True}

CASES = [
    Case("body", "bert", "BertModel", BERT, bert_inputs, outputs=("last_hidden_state", "pooler_output")),
    Case("no-inputs-but-ids", "bert", "BertModel", BERT, texts(99), outputs=("last_hidden_state", "pooler_output")),
    Case("positions", "bert", "BertModel", BERT, texts(99, position_ids=torch.arange(L, 2 * L).expand(B, L)),
         outputs=("last_hidden_state",)),
    Case("embeds", "bert", "BertModel", BERT, embeds, outputs=("last_hidden_state",)),
    Case("gelu_new-chunks", "bert", "BertModel", BERT | {"hidden_act": "gelu_new", "chunk_size_feed_forward": 3},
         bert_inputs, outputs=("last_hidden_state",)),
    Case("relu", "bert", "BertModel", BERT | {"hidden_act": "relu", "layer_norm_eps": 1e-5}, bert_inputs,
         outputs=("last_hidden_state",)),
    Case("decoder", "bert", "BertModel", DECODER, texts(99, attention_mask=right_padding()),
         outputs=("last_hidden_state",), real=lambda i: i["attention_mask"].bool()),
    Case("cross-attention", "bert", "BertModel", DECODER | {"add_cross_attention": True}, texts(99, **encoder),
         outputs=("last_hidden_state", "cross_attentions")),
    Case("cross-attention-without-encoder", "bert", "BertModel", DECODER | {"add_cross_attention": True}, texts(99),
         outputs=("last_hidden_state",)),
    Case("masked_lm", "bert", "BertForMaskedLM", BERT, bert_inputs, "masked_lm", lm_labels(99)),
    Case("masked_lm-untied", "bert", "BertForMaskedLM", BERT | {"tie_word_embeddings": False}, bert_inputs, "masked_lm",
         lm_labels(99), dropped=frozenset({"cls.predictions.bias"})),  # the reference keeps it beside decoder.bias
    Case("causal_lm", "bert", "BertLMHeadModel", DECODER, texts(99), "causal_lm", lm_labels(99)),
    Case("causal_lm-cross", "bert", "BertLMHeadModel", DECODER | {"add_cross_attention": True}, texts(99, **encoder),
         "causal_lm", lm_labels(99)),
    Case("next_sentence_prediction", "bert", "BertForNextSentencePrediction", BERT, bert_inputs,
         "next_sentence_prediction", classes(2)),
    Case("pretraining", "bert", "BertForPreTraining", BERT, bert_inputs, "pretraining",
         lambda: lm_labels(99)() | {"next_sentence_label": torch.tensor([0, 1, 1])},
         outputs=("prediction_logits", "seq_relationship_logits")),
    Case("classes-5", "bert", "BertForSequenceClassification", BERT | {"num_labels": 5}, bert_inputs,
         "sequence_classification", classes(5)),
    Case("regression", "bert", "BertForSequenceClassification", BERT | {"num_labels": 1}, bert_inputs,
         "sequence_classification", lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    Case("regression-3", "bert", "BertForSequenceClassification",
         BERT | {"num_labels": 3, "problem_type": "regression"}, bert_inputs,
         "sequence_classification", lambda: {"labels": torch.arange(9.0).view(3, 3)}),
    Case("multi-label", "bert", "BertForSequenceClassification", BERT | {"num_labels": 4}, bert_inputs,
         "sequence_classification", lambda: {"labels": ids(2, B, 4, low=0).float()}),
    Case("token_classification", "bert", "BertForTokenClassification", BERT | {"num_labels": 6}, bert_inputs,
         "token_classification", lambda: {"labels": ids(6, low=0).masked_fill(right_padding() == 0, -100)}),
    Case("multiple_choice", "bert", "BertForMultipleChoice", BERT,
         lambda: {"input_ids": ids(99, 2, 3, L), "attention_mask": right_padding().repeat(2, 1, 1)}, "multiple_choice",
         lambda: {"labels": torch.tensor([2, 0])}),
    Case("question_answering", "bert", "BertForQuestionAnswering", BERT, bert_inputs, "question_answering", spans,
         outputs=("start_logits", "end_logits")),
]  # fmt: skip

