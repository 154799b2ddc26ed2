from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import classes, ids

REFORMER = {
    "vocab_size": 99, "hidden_size": 24, "attention_head_size": 8, "num_attention_heads": 2, "feed_forward_size": 37,
    "attn_layers": ["local", "lsh", "local", "lsh"], "axial_pos_shape": [4, 8], "axial_pos_embds_dim": [8, 16],
    "max_position_embeddings": 32, "local_attn_chunk_length": 4, "lsh_attn_chunk_length": 8, "num_buckets": [2, 4],
    "num_hashes": 2, "hash_seed": 5, "hidden_dropout_prob": 0.0, "local_attention_probs_dropout_prob": 0.0,
    "is_decoder": False,
}  # fmt: skip
CAUSAL = REFORMER | {"is_decoder": True}
LENGTH = 32  # training needs the whole grid of positions


def long_texts(length: int, **more: Tensor):
    return lambda: {"input_ids": ids(99, 2, length), **more}


def padded(length: int = LENGTH, padding: int = 3) -> dict[str, Tensor]:
    """Not so much padding that a position sees nothing else: what comes of that means nothing."""
    mask = torch.ones(2, length, dtype=torch.long)
    mask[1, length - padding :] = 0
    return {"input_ids": ids(99, 2, length), "attention_mask": mask}


def real(inputs: dict[str, Tensor]) -> Tensor:
    return inputs["attention_mask"].bool()


def body(name: str, config: dict, inputs, **more) -> Case:
    return Case(name, "reformer", "ReformerModel", config, inputs, outputs=("last_hidden_state",), **more)


def spans() -> dict[str, Tensor]:
    return {"start_positions": torch.tensor([1, 40]), "end_positions": torch.tensor([3, 5])}


LSH, LOCAL = ({"attn_layers": [kind, kind]} for kind in ("lsh", "local"))
embeds = torch.randn(2, 13, 24, generator=torch.Generator().manual_seed(4))

CASES = [
    body("local", REFORMER | LOCAL, long_texts(16)),
    body("local-one-chunk", REFORMER | LOCAL, long_texts(3)),
    body("local-around", REFORMER | LOCAL | {"local_num_chunks_after": 1}, padded, real=real),
    body("local-causal", CAUSAL | LOCAL, padded, real=real),
    body("lsh", REFORMER | LSH, long_texts(32)),
    body("lsh-one-chunk", REFORMER | LSH, long_texts(7)),
    body("lsh-one-chunk-masked", CAUSAL | LSH, lambda: padded(8), real=real),
    body("lsh-one-round", REFORMER | LSH | {"num_hashes": 1, "num_buckets": 6}, padded, real=real),
    body("lsh-around", REFORMER | LSH | {"lsh_num_chunks_after": 1, "lsh_num_chunks_before": 0}, padded, real=real),
    body("lsh-computed-buckets", CAUSAL | LSH | {"num_buckets": None, "lsh_attn_chunk_length": 2}, long_texts(32)),
    body("mixed", REFORMER, padded, real=real),
    body("mixed-causal", CAUSAL, padded, real=real),
    body("mostly-padding", REFORMER, lambda: padded(padding=29), real=real, states=()),
    body("filled-up", REFORMER, long_texts(13)),
    body("filled-up-causal", CAUSAL, lambda: padded(13), real=real),
    body("filled-up-beyond-one-kind", CAUSAL, long_texts(6)),
    body("embeds", REFORMER, lambda: {"inputs_embeds": embeds}, states=()),
    body("positions", CAUSAL, long_texts(16, position_ids=torch.arange(16, 32).expand(2, -1))),
    body("position-table", REFORMER | {"axial_pos_embds": False}, long_texts(16)),
    body("gelu-chunks", REFORMER | {"hidden_act": "gelu", "chunk_size_feed_forward": 4}, long_texts(16)),
    Case("classes-5", "reformer", "ReformerForSequenceClassification", REFORMER | {"num_labels": 5}, padded,
         "sequence_classification", classes(5, 2), real=real),
    Case("question_answering", "reformer", "ReformerForQuestionAnswering", REFORMER, padded, "question_answering",
         spans, outputs=("start_logits", "end_logits"), real=real),
    Case("question_answering-lsh", "reformer", "ReformerForQuestionAnswering", CAUSAL | LSH, long_texts(32),
         "question_answering", spans, outputs=("start_logits", "end_logits")),
]  # fmt: skip
