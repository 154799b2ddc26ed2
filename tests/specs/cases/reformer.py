from __future__ import annotations

import torch
from parity import Case
from torch import Tensor

from .shared import classes, ids, texts

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


def padded(length: int = LENGTH) -> dict[str, Tensor]:
    mask = torch.ones(2, length, dtype=torch.long)
    mask[1, length // 2 + 3 :] = 0
    return {"input_ids": ids(99, 2, length), "attention_mask": mask}


def real(inputs: dict[str, Tensor]) -> Tensor:
    return inputs["attention_mask"].bool()


def body(name: str, config: dict, inputs, **more) -> Case:
    return Case(name, "reformer", "ReformerModel", config, inputs, outputs=("last_hidden_state",), **more)


CASES = [
    body("local", REFORMER | {"attn_layers": ["local", "local"]}, long_texts(16)),
    body("local-one-chunk", REFORMER | {"attn_layers": ["local", "local"]}, long_texts(3)),
    body("local-around", REFORMER | {"attn_layers": ["local"], "local_num_chunks_after": 1}, long_texts(16)),
    body("local-causal", CAUSAL | {"attn_layers": ["local", "local"]}, long_texts(16)),
    body("lsh", REFORMER | {"attn_layers": ["lsh", "lsh"]}, long_texts(32)),
    body("lsh-one-chunk", REFORMER | {"attn_layers": ["lsh", "lsh"]}, long_texts(7)),
    body("mixed", REFORMER, long_texts(32)),
]
