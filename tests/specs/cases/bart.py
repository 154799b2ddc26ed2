from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import B, L, classes, ids, lm_labels, right_padding, spans, texts
from .t5 import STATES, TARGET, target_mask

BART = {
    "vocab_size": 99, "d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 37, "decoder_ffn_dim": 41, "max_position_embeddings": 40,
    "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "classifier_dropout": 0.0,
}  # fmt: skip


def pair(**more: Tensor) -> dict[str, Tensor]:
    """A padded source and a shorter target."""
    source = ids(99).masked_fill(right_padding() == 0, 1)
    return {"input_ids": source, "attention_mask": right_padding(),
            "decoder_input_ids": ids(99, B, TARGET, seed=2), **more}  # fmt: skip


def embeds() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {"inputs_embeds": torch.randn(B, L, 32, generator=generator),
            "decoder_inputs_embeds": torch.randn(B, TARGET, 32, generator=generator)}  # fmt: skip


def ended() -> dict[str, Tensor]:
    """Texts with two ends each, the last of which counts."""
    source = ids(99)
    source[:, 2] = 2
    source[torch.arange(B), torch.tensor([8, 5, 3])] = 2
    return {"input_ids": source.masked_fill(right_padding() == 0, 1), "attention_mask": right_padding()}


BODY = ("last_hidden_state",)
CASES = [
    Case("body", "bart", "BartModel", BART, pair, outputs=BODY, states=STATES),
    Case("masked-target", "bart", "BartModel", BART, lambda: pair(decoder_attention_mask=target_mask()), outputs=BODY,
         states=STATES, real=lambda inputs: target_mask().bool()),
    Case("input-shifted", "bart", "BartModel", BART, texts(99), outputs=BODY, states=STATES),
    Case("embeds", "bart", "BartModel", BART, embeds, outputs=BODY, states=STATES),
    Case("scaled-relu", "bart", "BartModel", BART | {"scale_embedding": True, "activation_function": "relu"}, pair,
         outputs=BODY, states=STATES),
    Case("seq2seq_lm", "bart", "BartForConditionalGeneration", BART,
         texts(99, attention_mask=right_padding(), decoder_input_ids=ids(99, seed=2)), "seq2seq_lm", lm_labels(99),
         states=STATES),
    Case("seq2seq_lm-labels", "bart", "BartForConditionalGeneration", BART, texts(99), "seq2seq_lm", lm_labels(99),
         states=STATES),
    Case("sequence_classification", "bart", "BartForSequenceClassification", BART | {"num_labels": 4}, ended,
         "sequence_classification", classes(4), states=STATES),
    Case("question_answering", "bart", "BartForQuestionAnswering", BART, texts(99, attention_mask=right_padding()),
         "question_answering", spans, outputs=("start_logits", "end_logits"), states=STATES),
]  # fmt: skip
