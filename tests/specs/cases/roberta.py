from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .bert import BERT
from .shared import B, L, classes, embeds, encoder, ids, left_padding, lm_labels, real_rows, right_padding, spans, texts

ROBERTA = BERT | {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1}
DECODER = ROBERTA | {"is_decoder": True}
CROSS = DECODER | {"add_cross_attention": True}


def padded(mask: Tensor) -> dict[str, Tensor]:
    return {"input_ids": ids(99).masked_fill(mask == 0, 1), "attention_mask": mask}


def right_padded() -> dict[str, Tensor]:
    return padded(right_padding())


def left_padded() -> dict[str, Tensor]:
    return padded(left_padding())


CASES = [
    Case("body", "roberta", "RobertaModel", ROBERTA, right_padded, outputs=("last_hidden_state", "pooler_output")),
    Case("left-padding", "roberta", "RobertaModel", ROBERTA, left_padded,
         outputs=("last_hidden_state", "pooler_output")),
    Case("padding-without-mask", "roberta", "RobertaModel", ROBERTA,
         lambda: {"input_ids": right_padded()["input_ids"]}, outputs=("last_hidden_state",)),
    Case("padding-within", "roberta", "RobertaModel", ROBERTA,
         lambda: {"input_ids": ids(99).index_fill(1, torch.tensor([0, 3, 4]), 1)}, outputs=("last_hidden_state",)),
    Case("pad-7", "roberta", "RobertaModel", ROBERTA | {"pad_token_id": 7}, texts(12), outputs=("last_hidden_state",)),
    Case("positions", "roberta", "RobertaModel", ROBERTA, texts(99, position_ids=torch.arange(L).expand(B, L)),
         outputs=("last_hidden_state",)),
    Case("embeds", "roberta", "RobertaModel", ROBERTA, embeds, outputs=("last_hidden_state",)),
    Case("segments", "roberta", "RobertaModel", ROBERTA | {"type_vocab_size": 3},
         texts(99, token_type_ids=ids(3, B, L, low=0, seed=2)), outputs=("last_hidden_state",)),
    Case("decoder", "roberta", "RobertaModel", DECODER, right_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("cross-attention", "roberta", "RobertaModel", CROSS, texts(99, **encoder),
         outputs=("last_hidden_state", "cross_attentions")),
    Case("masked_lm", "roberta", "RobertaForMaskedLM", ROBERTA, right_padded, "masked_lm", lm_labels(99)),
    Case("masked_lm-relu", "roberta", "RobertaForMaskedLM", ROBERTA | {"hidden_act": "relu"}, right_padded,
         "masked_lm", lm_labels(99)),  # the head stays with gelu
    Case("masked_lm-untied", "roberta", "RobertaForMaskedLM", ROBERTA | {"tie_word_embeddings": False}, right_padded,
         "masked_lm", lm_labels(99), dropped=frozenset({"lm_head.bias"})),  # kept beside decoder.bias
    Case("causal_lm", "roberta", "RobertaForCausalLM", DECODER, texts(99), "causal_lm", lm_labels(99)),
    Case("causal_lm-cross", "roberta", "RobertaForCausalLM", CROSS, texts(99, **encoder), "causal_lm", lm_labels(99)),
    Case("classes-5", "roberta", "RobertaForSequenceClassification", ROBERTA | {"num_labels": 5}, right_padded,
         "sequence_classification", classes(5)),
    Case("regression", "roberta", "RobertaForSequenceClassification", ROBERTA | {"num_labels": 1}, left_padded,
         "sequence_classification", lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    Case("token_classification", "roberta", "RobertaForTokenClassification", ROBERTA | {"num_labels": 6}, right_padded,
         "token_classification", lambda: {"labels": ids(6, low=0).masked_fill(right_padding() == 0, -100)}),
    Case("multiple_choice", "roberta", "RobertaForMultipleChoice", ROBERTA,
         lambda: {"input_ids": ids(99, 2, 3, L), "attention_mask": right_padding().repeat(2, 1, 1)}, "multiple_choice",
         lambda: {"labels": torch.tensor([2, 0])}),
    Case("question_answering", "roberta", "RobertaForQuestionAnswering", ROBERTA, right_padded, "question_answering",
         spans, outputs=("start_logits", "end_logits")),
]  # fmt: skip
