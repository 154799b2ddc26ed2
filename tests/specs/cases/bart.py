from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import SEQ2SEQ, B, L, classes, ids, right_padding, spans, target_labels, target_padding, texts

BART = {
    "vocab_size": 99, "d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 37, "decoder_ffn_dim": 41, "max_position_embeddings": 20,
    "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "classifier_dropout": 0.0,
}  # fmt: skip
both = {"attention_mask": right_padding(), "decoder_attention_mask": target_padding()}
padded = texts(99, decoder_input_ids=ids(99, B, 6, seed=2), **both)
alone = texts(99, attention_mask=right_padding())  # the decoder then reads the same text


def marked() -> dict[str, Tensor]:
    """Two ends in each text, the later at different places, padding behind it."""
    mask = right_padding()
    tokens = ids(99).masked_fill(mask == 0, 1)
    tokens[torch.arange(B), mask.sum(1) - 1] = 2
    tokens[:, 1] = 2
    return {"input_ids": tokens, "attention_mask": mask}


def vectors(*shape: int, seed: int = 4) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def body(name: str, config: dict[str, object], inputs) -> Case:
    return Case(name, "bart", "BartModel", config, inputs, outputs=("last_hidden_state",), states=SEQ2SEQ)


def lm(name: str, config: dict[str, object], inputs, labels) -> Case:
    return Case(name, "bart", "BartForConditionalGeneration", config, inputs, "seq2seq_lm", labels, states=SEQ2SEQ)


def classifier(name: str, config: dict[str, object], labels) -> Case:
    return Case(name, "bart", "BartForSequenceClassification", BART | config, marked, "sequence_classification", labels,
                states=SEQ2SEQ)  # fmt: skip


CASES = [
    body("body", BART, padded),
    body("unmasked", BART, texts(99, decoder_input_ids=ids(99, B, 6, seed=2))),
    body("from-input", BART, alone),
    body("scaled-relu", BART | {"scale_embedding": True, "activation_function": "relu"}, padded),
    body("embeds", BART | {"scale_embedding": True},
         lambda: {"inputs_embeds": vectors(B, L, 32), "decoder_inputs_embeds": vectors(B, 6, 32, seed=5)}),
    Case("encoder-outputs", "bart", "BartModel", BART,
         lambda: {"encoder_outputs": (vectors(B, L, 32),), "decoder_input_ids": ids(99, B, 6, seed=2), **both},
         outputs=("last_hidden_state",), states=("decoder_hidden_states", "decoder_attentions", "cross_attentions",
                                                 "encoder_last_hidden_state")),
    lm("seq2seq_lm", BART, padded, target_labels(99)),
    lm("from-labels", BART | {"decoder_start_token_id": 3, "pad_token_id": 4}, texts(99, **both, **target_labels(99)()),
       None),
    lm("without-labels", BART, alone, None),
    classifier("classes-3", {}, classes(3)),
    classifier("regression", {"num_labels": 1}, lambda: {"labels": torch.tensor([0.3, -1.0, 2.0])}),
    classifier("multi-label", {"num_labels": 4}, lambda: {"labels": ids(2, B, 4, low=0).float()}),
    Case("question_answering", "bart", "BartForQuestionAnswering", BART, alone, "question_answering", spans,
         outputs=("start_logits", "end_logits"), states=SEQ2SEQ),
]  # fmt: skip
