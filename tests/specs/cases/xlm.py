from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import B, L, classes, ids, left_padding, lm_labels, right_padding, spans, texts

XLM = {
    "vocab_size": 99, "emb_dim": 32, "n_layers": 3, "n_heads": 4, "n_langs": 4, "max_position_embeddings": 40,
    "dropout": 0.0, "attention_dropout": 0.0, "summary_first_dropout": 0.0, "start_n_top": 3, "end_n_top": 4,
}  # fmt: skip
CAUSAL = XLM | {"causal": True}
ALONE = XLM | {"n_langs": 1}
BODY = ("last_hidden_state",)
BEAM = ("start_top_log_probs", "start_top_index", "end_top_log_probs", "end_top_index", "cls_logits")
languages = ids(4, low=0, seed=6)
padded = texts(99, attention_mask=right_padding(), langs=languages)


def padded_ids() -> dict[str, Tensor]:
    """No mask: padding is known by its id, and one stands inside, so that the last token counts as padding."""
    tokens = ids(99).masked_fill(right_padding() == 0, 2)
    tokens[0, 4] = 2
    return {"input_ids": tokens, "langs": languages}


def beam(**more: Tensor) -> dict[str, Tensor]:
    hidden = torch.zeros(B, L)
    hidden[:, 0] = 1
    return padded() | {"p_mask": hidden.masked_fill(right_padding() == 0, 1)} | more


answers = {"start_positions": torch.tensor([1, 4, 2]), "end_positions": torch.tensor([3, 5, 3])}
cls_index = torch.tensor([0, 5, 8])

CASES = [
    Case("body", "xlm", "XLMModel", XLM, padded, outputs=BODY),
    Case("left-padding", "xlm", "XLMModel", XLM, texts(99, attention_mask=left_padding()), outputs=BODY),
    Case("padding-by-id", "xlm", "XLMModel", XLM, padded_ids, outputs=BODY),
    Case("padding-id", "xlm", "XLMModel", XLM | {"pad_token_id": 0},
         lambda: {"input_ids": ids(99).masked_fill(left_padding() == 0, 0)}, outputs=BODY),
    Case("lengths", "xlm", "XLMModel", XLM, texts(99, lengths=torch.tensor([9, 3, 6])), outputs=BODY),
    Case("mask-beats-lengths", "xlm", "XLMModel", XLM,
         texts(99, lengths=torch.tensor([9, 3, 6]), attention_mask=left_padding()), outputs=BODY),
    Case("embeds", "xlm", "XLMModel", XLM,
         lambda: {"inputs_embeds": torch.randn(B, L, 32, generator=torch.Generator().manual_seed(4))}, outputs=BODY),
    Case("embeds-lengths", "xlm", "XLMModel", XLM,
         lambda: {"inputs_embeds": torch.randn(B, L, 32, generator=torch.Generator().manual_seed(4)),
                  "lengths": torch.tensor([9, 3, 6])}, outputs=BODY),
    Case("positions", "xlm", "XLMModel", XLM, texts(99, position_ids=torch.arange(L, 2 * L).expand(B, L)),
         outputs=BODY),
    Case("token-types", "xlm", "XLMModel", XLM, texts(99, token_type_ids=ids(99, B, L, low=0, seed=8)), outputs=BODY),
    Case("sinusoidal", "xlm", "XLMModel", XLM | {"sinusoidal_embeddings": True}, padded, outputs=BODY),
    Case("relu-chunks", "xlm", "XLMModel",
         XLM | {"gelu_activation": False, "chunk_size_feed_forward": 3, "layer_norm_eps": 1e-5}, padded, outputs=BODY),
    Case("one-language", "xlm", "XLMModel", ALONE, padded, outputs=BODY),
    Case("no-language-embeddings", "xlm", "XLMModel", XLM | {"use_lang_emb": False}, padded, outputs=BODY),
    Case("causal", "xlm", "XLMModel", CAUSAL, texts(99, langs=languages), outputs=BODY),
    Case("causal-right-padding", "xlm", "XLMModel", CAUSAL, padded, outputs=BODY),
    Case("causal-left-padding", "xlm", "XLMModel", CAUSAL, texts(99, attention_mask=left_padding()), outputs=BODY),
    Case("causal-lengths", "xlm", "XLMModel", CAUSAL, texts(99, lengths=torch.tensor([9, 3, 6])), outputs=BODY),
    Case("masked_lm", "xlm", "XLMWithLMHeadModel", XLM, padded, "masked_lm", lm_labels(99)),
    Case("masked_lm-untied", "xlm", "XLMWithLMHeadModel", ALONE | {"tie_word_embeddings": False}, padded_ids,
         "masked_lm", lm_labels(99)),
    Case("causal_lm", "xlm", "XLMWithLMHeadModel", CAUSAL, padded, "causal_lm", lm_labels(99)),
    Case("causal_lm-token-types", "xlm", "XLMWithLMHeadModel", CAUSAL | {"tie_word_embeddings": False},
         texts(99, token_type_ids=ids(6, B, L, low=0, seed=8)), "causal_lm", lm_labels(99)),
    Case("sequence_classification", "xlm", "XLMForSequenceClassification", XLM | {"num_labels": 5}, padded,
         "sequence_classification", classes(5)),
    Case("regression", "xlm", "XLMForSequenceClassification", ALONE | {"num_labels": 1}, padded,
         "sequence_classification", lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    Case("token_classification", "xlm", "XLMForTokenClassification", XLM | {"num_labels": 6}, padded,
         "token_classification", lambda: {"labels": ids(6, low=0).masked_fill(right_padding() == 0, -100)}),
    Case("multiple_choice", "xlm", "XLMForMultipleChoice", XLM | {"num_labels": 3},
         lambda: {"input_ids": ids(99, 2, 3, L), "attention_mask": right_padding().repeat(2, 1, 1),
                  "langs": ids(4, 2, 3, L, low=0, seed=6)}, "multiple_choice",
         lambda: {"labels": torch.tensor([2, 0])}),
    Case("question_answering", "xlm", "XLMForQuestionAnsweringSimple", XLM, padded, "question_answering", spans,
         outputs=("start_logits", "end_logits")),
    Case("beam", "xlm", "XLMForQuestionAnswering", XLM, padded, "beam_question_answering", lambda: answers,
         outputs=BEAM),
    Case("beam-answerable", "xlm", "XLMForQuestionAnswering", XLM, lambda: beam(cls_index=cls_index),
         "beam_question_answering", lambda: answers | {"is_impossible": torch.tensor([0.0, 1.0, 0.0])}, outputs=BEAM),
    Case("beam-without-cls", "xlm", "XLMForQuestionAnswering", ALONE, beam, "beam_question_answering",
         lambda: answers | {"is_impossible": torch.tensor([0.0, 1.0, 0.0])}, outputs=BEAM),
]  # fmt: skip
