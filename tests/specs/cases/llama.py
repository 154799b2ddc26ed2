from __future__ import annotations

from parity import Case
from torch import Tensor

from .shared import classes, embeds, ids, left_padding, lm_labels, real_rows, right_padding, spans, texts

LLAMA = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 37, "max_position_embeddings": 40, "classifier_dropout": 0.0,
}  # fmt: skip
PADDED = LLAMA | {"pad_token_id": 0, "num_labels": 3}
BIASED = LLAMA | {"attention_bias": True, "mlp_bias": True, "head_dim": 12, "hidden_act": "gelu", "rms_norm_eps": 1e-2}
STATE = ("last_hidden_state",)


def padded(mask: Tensor):
    return lambda: {"input_ids": ids(99).masked_fill(mask == 0, 0), "attention_mask": mask}


def positioned() -> dict[str, Tensor]:
    mask = left_padding()
    return padded(mask)() | {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def long() -> dict[str, Tensor]:
    """Longer than `max_position_embeddings`."""
    return {"input_ids": ids(99, 2, 70)}


def rotary(name: str, parameters: dict[str, float | str], inputs=long) -> Case:
    return Case(f"rotary-{name}", "llama", "LlamaModel", LLAMA | {"rope_parameters": parameters}, inputs, outputs=STATE)


WAVES = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}

CASES = [
    Case("body", "llama", "LlamaModel", LLAMA, texts(99), outputs=STATE),
    Case("every-head", "llama", "LlamaModel", LLAMA | {"num_key_value_heads": None}, texts(99), outputs=STATE),
    Case("one-head", "llama", "LlamaModel", LLAMA | {"num_key_value_heads": 1}, padded(right_padding()), outputs=STATE,
         real=real_rows),
    Case("left-padding", "llama", "LlamaModel", LLAMA, padded(left_padding()), outputs=STATE, real=real_rows),
    Case("positions", "llama", "LlamaModel", LLAMA, positioned, outputs=STATE, real=real_rows),
    Case("biased", "llama", "LlamaModel", BIASED, texts(99), outputs=STATE),
    Case("embeds", "llama", "LlamaModel", LLAMA, embeds, outputs=STATE),
    rotary("theta", {"rope_type": "default", "rope_theta": 321.0}),
    rotary("linear", {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
    rotary("dynamic", {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}),
    rotary("dynamic-short", {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}, texts(99)),
    rotary("waves", WAVES | {"original_max_position_embeddings": 30}),
    rotary("waves-throughout", WAVES | {"factor": 3.0}),
    Case("causal_lm", "llama", "LlamaForCausalLM", LLAMA, texts(99), "causal_lm", lm_labels(99)),
    Case("causal_lm-tied", "llama", "LlamaForCausalLM", BIASED | {"tie_word_embeddings": True}, texts(99), "causal_lm",
         lm_labels(99)),
    Case("sequence_classification-right", "llama", "LlamaForSequenceClassification", PADDED, padded(right_padding()),
         "sequence_classification", classes(3), real=real_rows),
    Case("sequence_classification-left", "llama", "LlamaForSequenceClassification", PADDED, padded(left_padding()),
         "sequence_classification", classes(3), real=real_rows),
    Case("token_classification", "llama", "LlamaForTokenClassification", LLAMA | {"num_labels": 6}, texts(99),
         "token_classification", lambda: {"labels": ids(6, low=0)}),
    Case("question_answering", "llama", "LlamaForQuestionAnswering", LLAMA, texts(99), "question_answering", spans,
         outputs=("start_logits", "end_logits")),
]  # fmt: skip
