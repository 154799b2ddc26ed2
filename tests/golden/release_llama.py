"""Llama as Meta published it, whole and cut for two accelerators (see README.md).

Run: `python tests/golden/release_llama.py`. The conversion of transformers 4.46.3 runs as it is, but for what it reads
back at its end, which stays in float32. Versions 1 and 2 cut the table of words by columns, version 3 by rows.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from torch import nn
from transformers import LlamaForCausalLM
from transformers.models.llama import convert_llama_weights_to_hf as conversion

from record import Call, Outputs, tokens
from release import Arrays, Release, draw, make, padding, run_with
from release_bundle import write_json

REFERENCE = f"transformers {transformers.__version__} convert_llama_weights_to_hf.write_model"
WORDS, WIDTH, LAYERS, HEADS = 60, 32, 2, 4
BY_COLUMNS = (r"\.wo\.", r"\.w2\.")
WHOLE = (r"norm\.weight$", r"rope\.freqs$")


def params(**more: Any) -> dict[str, Any]:
    return {"dim": WIDTH, "multiple_of": 16, "n_heads": HEADS, "n_layers": LAYERS, "norm_eps": 1e-05, **more}


def stored(given: dict[str, Any], seed: int, frequencies: bool) -> dict[str, np.ndarray]:
    keys = WIDTH // HEADS * given.get("n_kv_heads", HEADS)
    feed = conversion.compute_intermediate_size(WIDTH, given.get("ffn_dim_multiplier", 1), given["multiple_of"])
    shapes: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (WORDS, WIDTH)}
    for i in range(LAYERS):
        shapes |= {
            f"layers.{i}.attention.wq.weight": (WIDTH, WIDTH), f"layers.{i}.attention.wk.weight": (keys, WIDTH),
            f"layers.{i}.attention.wv.weight": (keys, WIDTH), f"layers.{i}.attention.wo.weight": (WIDTH, WIDTH),
            f"layers.{i}.feed_forward.w1.weight": (feed, WIDTH), f"layers.{i}.feed_forward.w3.weight": (feed, WIDTH),
            f"layers.{i}.feed_forward.w2.weight": (WIDTH, feed), f"layers.{i}.attention_norm.weight": (WIDTH,),
            f"layers.{i}.ffn_norm.weight": (WIDTH,),
        }  # fmt: skip
    shapes |= {"norm.weight": (WIDTH,), "output.weight": (WORDS, WIDTH)}
    arrays = draw(shapes, seed, gains=r"norm\.weight$")
    if frequencies:
        head = WIDTH // HEADS
        arrays["rope.freqs"] = (1 / 10000 ** (np.arange(0, head, 2) / head)).astype(np.float32)
    return arrays


def write(
    folder: Path, arrays: Arrays, *, given: dict[str, Any], dtype: torch.dtype, shards: int, columns: Sequence[str]
) -> None:
    write_json(folder / "params.json", given)
    pieces: list[dict[str, torch.Tensor]] = [{} for _ in range(shards)]
    for name, array in arrays.items():
        tensor = torch.from_numpy(array).to(dtype)
        whole = any(re.search(pattern, name) for pattern in WHOLE)
        across = any(re.search(pattern, name) for pattern in columns)
        parts = [tensor] * shards if whole else tensor.chunk(shards, int(across))
        for piece, part in zip(pieces, parts, strict=True):
            piece[name] = part.clone()
    for i, piece in enumerate(pieces):
        torch.save(piece, folder / f"consolidated.{i:02d}.pth")


def convert(folder: Path, *, version: str, shards: int) -> nn.Module:
    read = LlamaForCausalLM.from_pretrained

    def in_single_precision(path: str, **_: Any) -> nn.Module:
        return read(path, torch_dtype=torch.float32, attn_implementation="eager")

    with tempfile.TemporaryDirectory() as place:
        with mock.patch.object(conversion.LlamaForCausalLM, "from_pretrained", in_single_precision):
            conversion.write_model(place, str(folder), num_shards=shards, llama_version=version, vocab_size=WORDS)
        return read(place, torch_dtype=torch.float32, attn_implementation="eager")


def calls() -> list[Call]:
    plain = {"input_ids": tokens(24, 0, WORDS, 2, 20)}
    masked = {"input_ids": tokens(25, 0, WORDS, 2, 11), "attention_mask": padding(11, 11, 7)}
    far = {**plain, "position_ids": torch.arange(20).mul(300)[None].expand(2, 20).contiguous()}
    return [
        Call("body", plain), Call("body_masked", masked), Call("body_far", far), Call("logits", plain, "causal_lm"),
        Call("logits_masked", masked, "causal_lm"),
    ]  # fmt: skip


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    model.model.rotary_emb.to(torch.float32)  # it multiplies by positions in float32
    return run_with()(model, call, inputs)


def release(
    name: str, given: dict[str, Any], seed: int, dtype: torch.dtype, shards: int, version: str
) -> Release:
    columns = (*BY_COLUMNS, *([r"tok_embeddings"] if version in "12" else []))
    frequencies = version in "12"
    return Release(
        name, "llama", "meta", f"{REFERENCE}, version {version}", stored(given, seed, frequencies),
        partial(write, given=given, dtype=dtype, shards=shards, columns=columns),
        partial(convert, version=version, shards=shards), run, calls(), unused=[r"rope\.freqs"] * frequencies,
    )  # fmt: skip


GROUPED = {"n_kv_heads": 2, "ffn_dim_multiplier": 1.3}
RELEASES = [
    release("llama", params(vocab_size=-1), 20, torch.float16, 1, "2"),
    release("llama_shards", params(vocab_size=-1, **GROUPED), 21, torch.float32, 2, "2"),
    release("llama_3_shards", params(vocab_size=WORDS, rope_theta=500000.0, **GROUPED), 22, torch.bfloat16, 2, "3"),
    release("llama_3_1", params(vocab_size=WORDS, rope_theta=500000.0, use_scaled_rope=True, **GROUPED), 23,
            torch.bfloat16, 1, "3.1"),
]  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in RELEASES:
        make(each)
