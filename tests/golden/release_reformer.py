"""Reformer as Trax saved it (see README.md). Run: `python tests/golden/release_reformer.py`.

With `hash_seed` given, the reference draws the rotations of its hashing anew for each layer from that seed. Trax shifts
the ids by one place inside; here they are those after the shift.
"""

from __future__ import annotations

import gzip
import io
import pickle
import sys
import types
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import ReformerConfig, ReformerModelWithLMHead
from transformers.models.reformer.convert_reformer_trax_checkpoint_to_pytorch import set_model_weights_in_torch

from record import Call, Outputs, tokens
from release import Arrays, Release, draw, make

REFERENCE = f"transformers {transformers.__version__} set_model_weights_in_torch"
WORDS, WIDTH, FEED, HEADS, HEAD, SEED = 50, 24, 32, 2, 6, 7
KINDS = ("local", "lsh", "lsh")
AXES, AXIS_WIDTHS = (4, 8), (8, 16)
GIN = f"""\
import trax.layers
import trax.models
import trax.optimizers
import trax.supervised.trainer_lib

# Parameters that will vary between experiments:
# ==============================================================================
train.model = @trax.models.ReformerLM
n_layers = {len(KINDS)}
attn_type = [
  @trax.layers.SelfAttention,
  @LSHSelfAttention,
  @LSHSelfAttention,
  ]
share_qk = False  # LSH attention ignores this flag and always shares q & k
n_heads = {HEADS}
attn_kv = {HEAD}
dropout = 0.05
n_tokens = {AXES[0] * AXES[1]}

# Parameters for Adam:
# ==============================================================================
Adam.weight_decay_rate=0.0
Adam.eps = 1e-9

# Parameters for SelfAttention:
# ==============================================================================
trax.layers.SelfAttention.attention_dropout = 0.05
trax.layers.SelfAttention.chunk_len = 4
trax.layers.SelfAttention.n_chunks_before = 1
trax.layers.SelfAttention.n_parallel_heads = 1

# Parameters for LSHSelfAttention:
# ==============================================================================
LSHSelfAttention.attention_dropout = 0.0
LSHSelfAttention.chunk_len = 8
LSHSelfAttention.n_buckets = [2, 4]
LSHSelfAttention.n_chunks_after = 0
LSHSelfAttention.n_chunks_before = 1
LSHSelfAttention.n_hashes = 1
LSHSelfAttention.n_parallel_heads = 1
LSHSelfAttention.predict_drop_len = 128
LSHSelfAttention.predict_mem_len = 1024

# Parameters for ReformerLM:
# ==============================================================================
ReformerLM.attention_type = %attn_type
ReformerLM.d_attention_key = %attn_kv
ReformerLM.d_attention_value = %attn_kv
ReformerLM.d_model = {WIDTH}
ReformerLM.d_ff = {FEED}
ReformerLM.dropout = %dropout
ReformerLM.ff_activation = @trax.layers.Relu{{chunk}}
ReformerLM.max_len = %n_tokens
ReformerLM.mode = 'train'
ReformerLM.n_heads = %n_heads
ReformerLM.n_layers = %n_layers
ReformerLM.vocab_size = {WORDS}
ReformerLM.axial_pos_shape = ({AXES[0]}, {AXES[1]})
ReformerLM.d_axial_pos_embs= ({AXIS_WIDTHS[0]}, {AXIS_WIDTHS[1]})
"""


def stored(seed: int) -> dict[str, np.ndarray]:
    """By names of ours: Trax has none, but places in nested lists."""
    shapes: dict[str, tuple[int, ...]] = {
        "table": (WORDS, WIDTH), "axis/0": (1, AXES[0], 1, AXIS_WIDTHS[0]), "axis/1": (1, 1, AXES[1], AXIS_WIDTHS[1]),
        "norm/scale": (2 * WIDTH,), "norm/bias": (2 * WIDTH,), "head/w": (2 * WIDTH, WORDS), "head/b": (WORDS,),
    }  # fmt: skip
    for i, kind in enumerate(KINDS):
        for part in ("attention", "feed"):
            shapes |= {f"{i}/{part}/{leaf}": (WIDTH,) for leaf in ("scale", "bias")}
        for part in ("q", "k", "v") if kind == "local" else ("qk", "v"):
            shapes[f"{i}/{part}"] = (HEADS, WIDTH, HEAD)
        shapes[f"{i}/o"] = (HEADS, HEAD, WIDTH)
        shapes |= {f"{i}/first/w": (WIDTH, FEED), f"{i}/first/b": (FEED,)}
        shapes |= {f"{i}/second/w": (FEED, WIDTH), f"{i}/second/b": (WIDTH,)}
    return draw(shapes, seed)


def nested(arrays: Arrays, chunked: bool) -> list[Any]:
    """The weights as the layers of Trax hold them; layers without any are `()`."""
    blocks: list[Any] = []
    for i, kind in enumerate(KINDS):
        parts = ("q", "k", "v", "o") if kind == "local" else ("qk", "v", "o")
        attention = tuple(arrays[f"{i}/{part}"] for part in parts)
        norm = (arrays[f"{i}/attention/scale"], arrays[f"{i}/attention/bias"])
        inner: Any = (
            (arrays[f"{i}/feed/scale"], arrays[f"{i}/feed/bias"]), (arrays[f"{i}/first/w"], arrays[f"{i}/first/b"]), (),
            (), (arrays[f"{i}/second/w"], arrays[f"{i}/second/b"]), (),
        )  # fmt: skip
        inner = [(), (), inner, ()] if chunked else inner
        blocks += [([norm], attention), (), ([(), [(), (), inner]],), ()]
    return [
        (), arrays["table"], (), (arrays["axis/0"], arrays["axis/1"]), (), blocks, (),
        (arrays["norm/scale"], arrays["norm/bias"]), (), (arrays["head/w"], arrays["head/b"]), (),
    ]  # fmt: skip


def write(folder: Path, arrays: Arrays, *, chunked: bool) -> None:
    """The history is an object of a class that we do not have."""
    module = types.ModuleType("trax.history")
    module.History = type("History", (), {"__module__": "trax.history"})
    history = module.History()
    history.__dict__ |= {"_values": {"train": {"metrics/loss": [(1, np.float32(4.0))]}}}
    checkpoint = {
        "step": 500, "opt_state": None, "opt_params": {"learning_rate": np.float32(0.01)},
        "slots": [tuple(np.zeros(3, np.float32) for _ in range(2))], "history": history,
        "weights": nested(arrays, chunked), "state": [(), np.array([0, 1], np.uint32)], "model_state": (),
        "version_timestamp": "Feb-19-2020",
    }  # fmt: skip
    with mock.patch.dict(sys.modules, {"trax": types.ModuleType("trax"), "trax.history": module}):
        data = pickle.dumps(checkpoint, protocol=4)
    if chunked:
        (folder / "model.pkl.gz").write_bytes(gzip.compress(data, mtime=0))
    else:
        (folder / "model.pkl").write_bytes(data)
    (folder / "config.gin").write_text(GIN.format(chunk="\nReformerLM.ff_chunk_size = 4" if chunked else ""))


class Inert(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return type(name, (), {}) if module.startswith("trax") else super().find_class(module, name)


def convert(folder: Path) -> nn.Module:
    path = next(folder.glob("model.pkl*"))
    data = path.read_bytes()
    weights = Inert(io.BytesIO(gzip.decompress(data) if path.suffix == ".gz" else data)).load()["weights"]
    config = ReformerConfig(
        vocab_size=WORDS, hidden_size=WIDTH, attention_head_size=HEAD, num_attention_heads=HEADS,
        feed_forward_size=FEED, attn_layers=list(KINDS), axial_pos_shape=list(AXES),
        axial_pos_embds_dim=list(AXIS_WIDTHS),
        max_position_embeddings=AXES[0] * AXES[1], local_attn_chunk_length=4, lsh_attn_chunk_length=8, hash_seed=SEED,
        num_hashes=1, num_buckets=[2, 4], is_decoder=True, layer_norm_eps=1e-6, hidden_act="relu",
        hidden_dropout_prob=0.0, local_attention_probs_dropout_prob=0.0, lsh_attention_probs_dropout_prob=0.0,
        chunk_size_feed_forward=0,
    )  # fmt: skip
    model = ReformerModelWithLMHead(config)
    set_model_weights_in_torch(weights, model, WIDTH)
    model.lm_head.bias = model.lm_head.decoder.bias
    return model


randn = torch.randn


def single_precision_randn(shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The rotations of the float64 run are those of the float32 run, else it would hash otherwise."""
    return randn(shape, device=device).to(dtype)


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    with mock.patch("torch.randn", single_precision_randn):
        if call.head is None:
            return {"last_hidden_state": model.reformer(**inputs).last_hidden_state}
        return {"logits": model(**inputs).logits}


def calls() -> list[Call]:
    ids = tokens(23, 1, WORDS, 2, 32)
    mask = torch.ones(2, 16, dtype=torch.long)
    mask[1, 13:] = 0
    short, masked = {"input_ids": ids[:, :13]}, {"input_ids": ids[:, 16:], "attention_mask": mask}
    return [
        Call("body", short), Call("body_whole", {"input_ids": ids}), Call("body_masked", masked),
        Call("logits", short, "causal_lm"), Call("logits_masked", masked, "causal_lm"),
    ]  # fmt: skip


def release(name: str, seed: int, chunked: bool) -> Release:
    return Release(
        name, "reformer", "trax", REFERENCE, stored(seed), partial(write, chunked=chunked), convert, run, calls(),
        options={"hash_seed": SEED},
    )


RELEASES = [release("reformer", 18, False), release("reformer_chunked", 19, True)]

if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in RELEASES:
        make(each)
