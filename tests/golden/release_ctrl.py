"""CTRL as Salesforce published it, named by Keras (see README.md). Run: `python tests/golden/release_ctrl.py`.

`convert` takes variables as the authors' own conversion does: those of a layer, sorted by name, in a fixed order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import torch
import transformers
from torch import nn
from transformers import CTRLConfig, CTRLLMHeadModel

from record import Call, tokens
from release import Arrays, Release, draw, make, padding, run_with
from release_bundle import write_bundle, write_note

REFERENCE = f"transformers {transformers.__version__}, assignments of salesforce/ctrl"
WORDS, WIDTH, FEED, LAYERS, HEADS, POSITIONS = 60, 24, 40, 3, 3, 256
CHECKPOINT = "model.ckpt-413000"


def numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def stored() -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {"w": (WORDS, WIDTH), "b": (WORDS,)}

    def dense(scope: str, number: int, before: int, after: int) -> None:
        shapes[f"{scope}/{numbered('dense', number)}/kernel"] = (before, after)
        shapes[f"{scope}/{numbered('dense', number)}/bias"] = (after,)

    def norm(scope: str, number: int) -> None:
        for leaf in ("gamma", "beta"):
            shapes[f"{scope}/{numbered('layer_normalization', number)}/{leaf}"] = (WIDTH,)

    for i in range(LAYERS):
        layer = f"encoder/{numbered('encoder_layer', i)}"
        for n in range(6 * i, 6 * i + 4):
            dense(f"{layer}/{numbered('multi_head_attention', i)}", n, WIDTH, WIDTH)
        dense(f"{layer}/{numbered('sequential', i)}", 6 * i + 4, WIDTH, FEED)
        dense(f"{layer}/{numbered('sequential', i)}", 6 * i + 5, FEED, WIDTH)
        for n in (2 * i, 2 * i + 1):
            norm(layer, n)
    norm("encoder", 2 * LAYERS)
    arrays = draw(shapes, 9)
    slots = {f"{name}/Adagrad": np.full_like(array, 0.1) for name, array in arrays.items()}
    return {**arrays, **slots, "global_step": np.array(413000, np.int64)}


def write(folder: Path, arrays: Arrays) -> None:
    write_bundle(folder / CHECKPOINT, arrays)
    write_note(folder, CHECKPOINT)


def convert(folder: Path) -> nn.Module:
    config = CTRLConfig(
        vocab_size=WORDS, n_positions=POSITIONS, n_embd=WIDTH, dff=FEED, n_layer=LAYERS, n_head=HEADS, resid_pdrop=0.0,
        embd_pdrop=0.0, layer_norm_epsilon=1e-6,
    )  # fmt: skip
    model = CTRLLMHeadModel(config)
    reader = tf.train.load_checkpoint(str(folder / CHECKPOINT))
    names = [name for name in reader.get_variable_to_shape_map() if "Adagrad" not in name]

    def put(module: nn.Module, bias: str, weight: str) -> None:
        module.bias.data = torch.from_numpy(reader.get_tensor(bias))
        module.weight.data = torch.from_numpy(reader.get_tensor(weight)).t().contiguous()

    model.transformer.w.weight.data = torch.from_numpy(reader.get_tensor("w"))
    model.lm_head.bias.data = torch.from_numpy(reader.get_tensor("b"))
    last = f"encoder/layer_normalization_{2 * LAYERS}"
    put(model.transformer.layernorm, f"{last}/beta", f"{last}/gamma")
    for i, layer in enumerate(model.transformer.h):
        mine = sorted(name for name in names if f"{numbered('layer', i)}/" in name)
        attention = layer.multi_head_attention
        modules = [
            layer.layernorm1, layer.layernorm2, attention.Wq, attention.Wk, attention.Wv, attention.dense, layer.ffn[0],
            layer.ffn[2],
        ]  # fmt: skip
        for module, bias, weight in zip(modules, mine[::2], mine[1::2], strict=True):
            put(module, bias, weight)
    model.tie_weights()
    return model


def calls() -> list[Call]:
    plain = {"input_ids": tokens(9, 0, WORDS, 2, 20)}
    masked = {"input_ids": tokens(10, 0, WORDS, 2, 11), "attention_mask": padding(11, 11, 7)}
    return [
        Call("body", plain), Call("body_masked", masked), Call("logits", plain, "causal_lm"),
        Call("logits_masked", masked, "causal_lm"),
    ]  # fmt: skip


CTRL = Release(
    "ctrl", "ctrl", "google", REFERENCE, stored(), write, convert, run_with(), calls(),
    options={"num_attention_heads": HEADS}, unused=["/Adagrad$", "^global_step$"],
    unseen=[rf"/dense_({'|'.join(str(6 * i + 1) for i in range(LAYERS))})/bias$"],  # of keys
)  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    make(CTRL)
