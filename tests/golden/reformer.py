"""Reformer with its language model heads, as transformers 4.57.6 computes it (see README.md); 5.23.0 loses their bias.

Run: `python tests/golden/reformer.py`. Training needs the whole grid of 4 x 8 positions; 13 tokens are filled up to 16
inside, and `hidden_states` and `attentions` show it; 3 tokens are less than one chunk of either kind.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from torch import Tensor, nn
from transformers import ReformerConfig, ReformerForMaskedLM, ReformerModelWithLMHead

from record import Call, Outputs, draw_weights, record, tokens

HERE = Path(__file__).resolve().parent / "reformer"
COMMON = {
    "vocab_size": 60, "hidden_size": 24, "attention_head_size": 8, "num_attention_heads": 2, "feed_forward_size": 32,
    "attn_layers": ["local", "lsh", "lsh"], "axial_pos_shape": [4, 8], "axial_pos_embds_dim": [8, 16],
    "max_position_embeddings": 32, "local_attn_chunk_length": 4, "lsh_attn_chunk_length": 8, "hash_seed": 7,
    "hidden_dropout_prob": 0.0, "local_attention_probs_dropout_prob": 0.0,
}  # fmt: skip
BODY_OUTPUTS = ("last_hidden_state", "hidden_states", "attentions")
randn = torch.randn


def single_precision_randn(shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The rotations of the float64 run are those of the float32 run, else it would hash otherwise."""
    return randn(shape, device=device).to(dtype)


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    with mock.patch("torch.randn", single_precision_randn):
        if call.head is None:
            output = model.reformer(**inputs, output_hidden_states=True, output_attentions=True)
            return {name: output[name] for name in BODY_OUTPUTS}
        output = model(**inputs)
        return {name: output[name] for name in ("loss", "logits") if name in output}


def calls(head: str) -> list[Call]:
    ids = tokens(1, 1, 60, 2, 32)
    mask = torch.ones(2, 32, dtype=torch.long)
    mask[1, 29:] = 0
    labels = tokens(2, 0, 60, 2, 32)
    labels[1, 20:] = -100
    return [
        Call("body", {"input_ids": ids[:, :13]}),
        Call("masked", {"input_ids": ids[:, 16:], "attention_mask": mask[:, 16:]}),
        Call("one_chunk", {"input_ids": ids[:, :3]}),
        Call("logits", {"input_ids": ids[:, :13]}, head=head),
        Call("loss", {"input_ids": ids, "attention_mask": mask, "labels": labels}, head=head, train=True),
    ]


#: A position that sees only itself gets a sum of exponentials near exp(-1e5), which float32 cannot tell from its
#: double. With several rounds of hashing the gap to float64 would be great for that; so the causal case has one.
CASES: dict[str, tuple[type, dict[str, Any], list[Call]]] = {
    "causal_lm": (
        ReformerModelWithLMHead,
        {"is_decoder": True, "num_hashes": 1, "num_buckets": [2, 4], "chunk_size_lm_head": 1},
        calls("causal_lm"),
    ),
    "masked_lm": (ReformerForMaskedLM, {"num_hashes": 3, "num_buckets": 6}, calls("masked_lm")),
}


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    for seed, (name, (model_class, hparams, its_calls)) in enumerate(CASES.items()):
        folder = HERE / name
        folder.mkdir(parents=True)
        model = model_class(ReformerConfig(**COMMON, **hparams))
        draw_weights(model, seed)
        model.save_pretrained(folder)
        record(folder, f"transformers {transformers.__version__}", model_class.from_pretrained(folder), its_calls, run)


if __name__ == "__main__":
    main()
