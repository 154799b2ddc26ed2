from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import B, L, ids, lm_labels, right_padding, texts

T5 = {
    "vocab_size": 99, "d_model": 32, "d_kv": 6, "d_ff": 37, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 6, "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
}  # fmt: skip
TARGET = 6
STATES = ("decoder_hidden_states", "decoder_attentions", "cross_attentions", "encoder_last_hidden_state",
          "encoder_hidden_states", "encoder_attentions")  # fmt: skip


def pair(**more: Tensor) -> dict[str, Tensor]:
    """A padded source and a shorter target."""
    return {"input_ids": ids(99), "attention_mask": right_padding(),
            "decoder_input_ids": ids(99, B, TARGET, seed=2), **more}  # fmt: skip


def target_mask() -> Tensor:
    return right_padding()[:, :TARGET]


def embeds() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {"inputs_embeds": torch.randn(B, L, 32, generator=generator),
            "decoder_inputs_embeds": torch.randn(B, TARGET, 32, generator=generator)}  # fmt: skip


def long() -> dict[str, Tensor]:
    """Long enough for the last bucket of the published sizes."""
    return {"input_ids": ids(99, 2, 150), "decoder_input_ids": ids(99, 2, 140, seed=2)}


BODY = ("last_hidden_state",)
PUBLISHED = {"relative_attention_num_buckets": 32, "relative_attention_max_distance": 128}
CASES = [
    Case("body", "t5", "T5Model", T5, pair, outputs=BODY, states=STATES),
    Case("masked-target", "t5", "T5Model", T5, lambda: pair(decoder_attention_mask=target_mask()), outputs=BODY,
         states=STATES, real=lambda inputs: target_mask().bool()),
    Case("embeds", "t5", "T5Model", T5, embeds, outputs=BODY, states=STATES),
    Case("long", "t5", "T5Model", T5 | PUBLISHED, long, outputs=BODY, states=STATES),
    Case("gelu", "t5", "T5Model", T5 | {"feed_forward_proj": "gelu", "layer_norm_epsilon": 1e-5}, pair, outputs=BODY,
         states=STATES),
    Case("gated-silu", "t5", "T5Model", T5 | {"feed_forward_proj": "gated-silu"}, pair, outputs=BODY, states=STATES),
    Case("seq2seq_lm", "t5", "T5ForConditionalGeneration", T5,
         texts(99, attention_mask=right_padding(), decoder_input_ids=ids(99, seed=2)), "seq2seq_lm", lm_labels(99),
         states=STATES),
    Case("seq2seq_lm-gated", "t5", "T5ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-gelu"}, pair,
         "seq2seq_lm", lambda: {"labels": ids(99, B, TARGET, seed=7)}, states=STATES),
    Case("body", "t5_encoder", "T5EncoderModel", T5, texts(99, attention_mask=right_padding()), outputs=BODY),
]  # fmt: skip
