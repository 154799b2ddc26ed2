from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import SEQ2SEQ, B, L, ids, right_padding, target_labels, target_padding, texts

T5 = {
    "vocab_size": 99, "d_model": 32, "d_kv": 9, "d_ff": 37, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4,
    "dropout_rate": 0.0, "decoder_start_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
GATED = T5 | {"feed_forward_proj": "gated-silu"}
both = {"attention_mask": right_padding(), "decoder_attention_mask": target_padding()}
padded = texts(99, decoder_input_ids=ids(99, B, 6, seed=2), **both)


def long() -> dict[str, Tensor]:
    """Longer than the last bucket's distance, on both sides."""
    return {"input_ids": ids(99, 1, 150), "decoder_input_ids": ids(99, 1, 170, seed=2)}


def vectors(*shape: int, seed: int = 4) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def body(name: str, config: dict[str, object], inputs, **more: bool) -> Case:
    return Case(name, "t5", "T5Model", config, inputs, outputs=("last_hidden_state",), states=SEQ2SEQ, **more)


def lm(name: str, config: dict[str, object], inputs, labels) -> Case:
    return Case(name, "t5", "T5ForConditionalGeneration", config, inputs, "seq2seq_lm", labels, states=SEQ2SEQ)


def encoder(name: str, config: dict[str, object], inputs) -> Case:
    return Case(name, "t5_encoder", "T5EncoderModel", config, inputs, outputs=("last_hidden_state",))


CASES = [
    body("body", T5, padded),
    body("unmasked", T5, texts(99, decoder_input_ids=ids(99, B, 6, seed=2))),
    body("long", T5, long),
    body("few-buckets", T5 | {"relative_attention_num_buckets": 6, "relative_attention_max_distance": 20}, long),
    body("gated-silu", GATED, padded),
    body("gelu-eps", T5 | {"feed_forward_proj": "gelu", "layer_norm_epsilon": 1e-2}, padded),
    body("embeds", T5,
         lambda: {"inputs_embeds": vectors(B, L, 32), "decoder_inputs_embeds": vectors(B, 6, 32, seed=5)}, exact=True),
    Case("encoder-outputs", "t5", "T5Model", T5,
         lambda: {"encoder_outputs": (vectors(B, L, 32),), "decoder_input_ids": ids(99, B, 6, seed=2), **both},
         outputs=("last_hidden_state",), states=("decoder_hidden_states", "decoder_attentions", "cross_attentions",
                                                 "encoder_last_hidden_state"), exact=True),
    lm("seq2seq_lm", T5, padded, target_labels(99)),
    lm("seq2seq_lm-gated", GATED, padded, target_labels(99)),
    lm("from-labels", T5 | {"decoder_start_token_id": 3, "pad_token_id": 1},
       texts(99, **both, **target_labels(99)()), None),
    encoder("body", T5, texts(99, attention_mask=right_padding())),
    encoder("long", GATED, lambda: {"input_ids": ids(99, 1, 150)}),
    encoder("embeds", T5, lambda: {"inputs_embeds": vectors(B, L, 32)}),
]  # fmt: skip
