"""Parity cases. A new family adds lines here, no test code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from parity import Case
from torch import Tensor

B, L = 3, 9


def ids(vocab: int, *shape: int, low: int = 5, seed: int = 1) -> Tensor:
    return torch.randint(low, vocab, shape or (B, L), generator=torch.Generator().manual_seed(seed))


def right_padding() -> Tensor:
    mask = torch.ones(B, L, dtype=torch.long)
    mask[1, 6:] = 0
    mask[2, 4:] = 0
    return mask


def left_padding() -> Tensor:
    return right_padding().flip(1)


def texts(vocab: int, **more: Tensor) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"input_ids": ids(vocab), **more}


def lm_labels(vocab: int) -> Callable[[], dict[str, Tensor]]:
    labels = ids(vocab, seed=7)
    labels[0, :3] = -100
    labels[2, 4:] = -100
    return lambda: {"labels": labels}


def classes(count: int, *shape: int) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"labels": ids(count, *(shape or (B,)), low=0, seed=3)}


# BERT ----------------------------------------------------------------------------------------------------------------
BERT = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 37,
    "max_position_embeddings": 40, "type_vocab_size": 3, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0,
}  # fmt: skip
bert_inputs = texts(99, attention_mask=right_padding(), token_type_ids=ids(3, B, L, low=0, seed=2))
encoder = {"encoder_hidden_states": torch.randn(B, 5, 32, generator=torch.Generator().manual_seed(5)),
           "encoder_attention_mask": right_padding()[:, 2:7]}  # fmt: skip
DECODER = BERT | {"is_decoder": True}


def spans() -> dict[str, Tensor]:
    return {"start_positions": torch.tensor([1, 0, 40]), "end_positions": torch.tensor([3, 5, 2])}


BERT_CASES = [
    Case("body", "bert", "BertModel", BERT, bert_inputs, outputs=("last_hidden_state", "pooler_output")),
    Case("no-inputs-but-ids", "bert", "BertModel", BERT, texts(99), outputs=("last_hidden_state", "pooler_output")),
    Case("positions", "bert", "BertModel", BERT, texts(99, position_ids=torch.arange(L, 2 * L).expand(B, L)),
         outputs=("last_hidden_state",)),
    Case("embeds", "bert", "BertModel", BERT,
         lambda: {"inputs_embeds": torch.randn(B, L, 32, generator=torch.Generator().manual_seed(4))},
         outputs=("last_hidden_state",)),
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
         lm_labels(99)),
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

# GPT-2 ---------------------------------------------------------------------------------------------------------------
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


real_rows = lambda inputs: inputs["attention_mask"].bool()  # noqa: E731
choices = lambda: {"input_ids": ids(99, 2, 3, L), "mc_token_ids": torch.tensor([[8, 2, 5], [1, 0, 8]])}  # noqa: E731

GPT2_CASES = [
    Case("body", "gpt2", "GPT2Model", GPT2, texts(99), outputs=("last_hidden_state",)),
    Case("left-padding", "gpt2", "GPT2Model", GPT2, left_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("right-padding", "gpt2", "GPT2Model", GPT2, right_padded, outputs=("last_hidden_state",), real=real_rows),
    Case("token-types", "gpt2", "GPT2Model", GPT2, texts(99, token_type_ids=ids(99, B, L, seed=8)),
         outputs=("last_hidden_state",)),
    Case("inner-relu", "gpt2", "GPT2Model", GPT2 | {"n_inner": 48, "activation_function": "relu"}, texts(99),
         outputs=("last_hidden_state",)),
    Case("embeds", "gpt2", "GPT2Model", GPT2,
         lambda: {"inputs_embeds": torch.randn(B, L, 32, generator=torch.Generator().manual_seed(4))},
         outputs=("last_hidden_state",)),
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

CASES = BERT_CASES + GPT2_CASES
