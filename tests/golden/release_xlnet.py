"""XLNet as its authors published it (see README.md). Run: `python tests/golden/release_xlnet.py`.

The conversion of transformers 4.46.3 knows `untie_r` alone, as all published ones have it. With biases that are shared,
`convert` gives every layer the same ones, as the authors' code does; each layer has its own `seg_embed` even then.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
import torch
import transformers
from torch import Tensor, nn
from transformers import XLNetConfig, XLNetLMHeadModel
from transformers.activations import ACT2FN
from transformers.models.xlnet.modeling_xlnet import load_tf_weights_in_xlnet

from record import Call, Outputs, tokens
from release import Arrays, Release, draw, make
from release_bundle import write_bundle, write_json

REFERENCE = f"transformers {transformers.__version__} load_tf_weights_in_xlnet"
PIECES = Path(__file__).resolve().parent / "python_tokenizers" / "xlnet" / "spiece.model"
WORDS, WIDTH, FEED, LAYERS, HEADS, HEAD = 180, 24, 40, 2, 3, 8
BIASES = ("r_w_bias", "r_r_bias", "r_s_bias")


def stored(untied: bool, seed: int) -> dict[str, np.ndarray]:
    root = "model/transformer"
    shapes: dict[str, tuple[int, ...]] = {
        f"{root}/word_embedding/lookup_table": (WORDS, WIDTH), f"{root}/mask_emb/mask_emb": (1, 1, WIDTH),
        f"{root}/seg_embed": (LAYERS, 2, HEADS, HEAD), "model/lm_loss/bias": (WORDS,),
    }  # fmt: skip
    shapes |= {f"{root}/{name}": (LAYERS, HEADS, HEAD) if untied else (HEADS, HEAD) for name in BIASES}
    for i in range(LAYERS):
        layer = f"{root}/layer_{i}"
        shapes |= {f"{layer}/rel_attn/{part}/kernel": (WIDTH, HEADS, HEAD) for part in "qkvro"}
        for part, before, after in (("layer_1", WIDTH, FEED), ("layer_2", FEED, WIDTH)):
            shapes |= {f"{layer}/ff/{part}/kernel": (before, after), f"{layer}/ff/{part}/bias": (after,)}
        for part in ("rel_attn", "ff"):
            shapes |= {f"{layer}/{part}/LayerNorm/{leaf}": (WIDTH,) for leaf in ("gamma", "beta")}
    arrays = draw(shapes, seed)
    slots = {f"{name}/{slot}": np.square(array) for name, array in arrays.items() for slot in ("Adam", "Adam_1")}
    powers = {name: np.array(0.9, np.float32) for name in ("beta1_power", "beta2_power")}
    return {**arrays, **({} if untied else slots | powers), "global_step": np.array(9, np.int64)}


def write(folder: Path, arrays: Arrays, *, untied: bool) -> None:
    write_bundle(folder / "xlnet_model.ckpt", arrays)
    shutil.copy(PIECES, folder / "spiece.model")
    config = {
        "d_head": HEAD, "d_inner": FEED, "d_model": WIDTH, "ff_activation": "gelu", "n_head": HEADS, "n_layer": LAYERS,
        "n_token": WORDS, "untie_r": untied,
    }  # fmt: skip
    write_json(folder / "xlnet_config.json", config)


def convert(folder: Path) -> nn.Module:
    given = json.loads((folder / "xlnet_config.json").read_text())
    config = XLNetConfig(
        vocab_size=given["n_token"], d_model=given["d_model"], n_layer=given["n_layer"], n_head=given["n_head"],
        d_inner=given["d_inner"], ff_activation=given["ff_activation"], untie_r=True, dropout=0.0, mem_len=512,
    )  # fmt: skip
    model = XLNetLMHeadModel(config)
    path = str(folder / "xlnet_model.ckpt")
    if given["untie_r"]:
        load_tf_weights_in_xlnet(model, config, path)
    else:  # the same reader, its three shared variables repeated
        shared = {f"model/transformer/{name}" for name in BIASES}
        load = tf.train.load_variable

        def repeated(where: str, name: str) -> np.ndarray:
            value = load(where, name)
            return np.repeat(value[None], given["n_layer"], 0) if name in shared else value

        tf.train.load_variable = repeated
        try:
            load_tf_weights_in_xlnet(model, config, path)
        finally:
            tf.train.load_variable = load
    model.tie_weights()
    return model


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    for layer in model.transformer.layer:
        layer.ff.activation_function = ACT2FN["gelu_new" if call.options["hidden_act"] == "gelu_tanh" else "gelu"]
    body = model.transformer
    positions = body.relative_positional_encoding  # in float32 whatever the model is

    def cast(*args: Any, **kwargs: Any) -> Tensor:
        return positions(*args, **kwargs).to(body.mask_emb.dtype)

    with mock.patch.object(body, "relative_positional_encoding", cast):
        if call.head:
            return {"logits": model(**inputs).logits}
        output = body(**inputs)
    return {"last_hidden_state": output.last_hidden_state, "mems": output.mems}


def calls() -> list[Call]:
    """Two segments with memory; padding on the left; queries of three positions that come in some order."""

    def segments(seed: int, length: int) -> dict[str, Tensor]:
        return {"input_ids": tokens(seed, 0, WORDS, 2, length), "token_type_ids": tokens(seed + 1, 0, 2, 2, length)}

    one, two, three = segments(11, 9), segments(13, 6), segments(15, 5)
    masked = one | {"attention_mask": (torch.arange(9) >= torch.tensor([0, 4])[:, None]).long()}
    rank = torch.tensor([[3, 0, 2, 4, 1], [1, 4, 0, 2, 3]])
    mapping = nn.functional.one_hot(torch.tensor([[2, 4, 1], [0, 3, 4]]), 5).float()
    queries = three | {"perm_mask": (rank[:, :, None] <= rank[:, None, :]).float(), "target_mapping": mapping}
    found = []
    for suffix, gelu in (("", {"hidden_act": "gelu"}), ("_tanh_gelu", {"hidden_act": "gelu_tanh"})):
        found += [
            Call(f"body{suffix}", one, options=gelu),
            Call(f"next{suffix}", two, carry={"mems": f"body{suffix}"}, options=gelu),
            Call(f"body_masked{suffix}", masked, options=gelu),
            Call(f"logits{suffix}", one, "causal_lm", options=gelu),
            Call(f"logits_masked{suffix}", masked, "causal_lm", options=gelu),
            Call(f"queries{suffix}", queries, "causal_lm", options=gelu),
        ]
    return found


NOTES = ["gelu_tanh is what the authors' code computes from `gelu`, gelu what the reference does"]
RELEASES = [
    Release("xlnet", "xlnet", "google", REFERENCE, stored(True, 10), partial(write, untied=True), convert, run,
            calls(), unused=["^global_step$"], notes=NOTES),
    Release("xlnet_shared_biases", "xlnet", "google", REFERENCE, stored(False, 11), partial(write, untied=False),
            convert, run, calls(), unused=["/Adam(_1)?$", "_power$", "^global_step$"], notes=NOTES),
]  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    for release in RELEASES:
        make(release)
