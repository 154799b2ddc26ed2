"""Transformer-XL as its authors trained it, in TensorFlow and in PyTorch (see README.md).

Run with transformers 4.37.2: `python tests/golden/release_transfo_xl.py`. It converts the model of WikiText-103; what
others lack is given to it: an identity where there is no projection, the shared biases once for each layer; and what
has other names (no clusters) is assigned here. A fresh memory is `mem_len` zeros, as in the authors' TensorFlow code;
their PyTorch code starts with none.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
import types
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
import torch
import transformers
from torch import nn
from transformers.models.deprecated.transfo_xl import TransfoXLConfig, TransfoXLLMHeadModel
from transformers.models.deprecated.transfo_xl.modeling_transfo_xl import load_tf_weights_in_transfo_xl

from record import Call, Outputs, tokens
from release import Arrays, Release, draw, make
from release_bundle import write_bundle, write_json, write_note

REFERENCE = f"transformers {transformers.__version__}"
WORDS, WIDTH, FEED, LAYERS, HEADS, HEAD = 60, 32, 40, 2, 4, 6
MEMORY, CLAMP = 6, 9
CUTOFFS = [20, 40]
ROOT = "transformer"


def body_shapes(untied: bool) -> dict[str, tuple[int, ...]]:
    shapes = {f"{ROOT}/{name}": (*([LAYERS] if untied else []), HEADS, HEAD) for name in ("r_w_bias", "r_r_bias")}
    for i in range(LAYERS):
        layer = f"{ROOT}/layer_{i}"
        shapes |= {
            f"{layer}/rel_attn/qkv/kernel": (WIDTH, 3 * HEADS * HEAD),
            f"{layer}/rel_attn/r/kernel": (WIDTH, HEADS * HEAD), f"{layer}/rel_attn/o/kernel": (HEADS * HEAD, WIDTH),
            f"{layer}/ff/layer_1/kernel": (WIDTH, FEED), f"{layer}/ff/layer_1/bias": (FEED,),
            f"{layer}/ff/layer_2/kernel": (FEED, WIDTH), f"{layer}/ff/layer_2/bias": (WIDTH,),
        }  # fmt: skip
        for part in ("rel_attn", "ff"):
            shapes |= {f"{layer}/{part}/LayerNorm/{leaf}": (WIDTH,) for leaf in ("gamma", "beta")}
    return shapes


def with_slots(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    arrays = draw(shapes, seed)
    slots = {f"{name}/{slot}": np.square(array) for name, array in arrays.items() for slot in ("Adam", "Adam_1")}
    powers = {f"beta{i}_power": np.array(0.5, np.float32) for i in (1, 2)}
    return {**arrays, **slots, **powers, "global_step": np.array(7, np.int64)}


def characters() -> dict[str, np.ndarray]:
    """enwik8 and text8: no clusters, biases that all layers share."""
    shapes = {f"{ROOT}/adaptive_embed/lookup_table": (WORDS, WIDTH), f"{ROOT}/adaptive_softmax/bias": (WORDS,)}
    return with_slots(shapes | body_shapes(untied=False), 12)


def words() -> dict[str, np.ndarray]:
    """lm1b: every cluster has projections of its own on both sides, but the first, as wide as the model, has none."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (start, end) in enumerate(zip([0, *CUTOFFS], [*CUTOFFS, WORDS], strict=True)):
        width = WIDTH // 4**i
        shapes[f"{ROOT}/adaptive_embed/cutoff_{i}/lookup_table"] = (end - start, width)
        shapes[f"{ROOT}/adaptive_softmax/cutoff_{i}/b"] = (end - start,)
        if i:
            shapes[f"{ROOT}/adaptive_embed/cutoff_{i}/proj_W"] = (width, WIDTH)
            shapes[f"{ROOT}/adaptive_softmax/cutoff_{i}/proj"] = (width, WIDTH)
    shapes[f"{ROOT}/adaptive_softmax/cutoff_0/cluster_W"] = (len(CUTOFFS), WIDTH)
    shapes[f"{ROOT}/adaptive_softmax/cutoff_0/cluster_b"] = (len(CUTOFFS),)
    return with_slots(shapes | body_shapes(untied=True), 13)


def write_vocabulary(folder: Path, dataset: str, cutoffs: list[int]) -> None:
    """The corpus as the authors' code pickles it, an object of classes that we do not have."""
    modules, classes = {}, {}
    for name, module in (("Vocab", "vocabulary"), ("Corpus", "data_utils")):
        modules[module] = types.ModuleType(module)
        classes[name] = type(name, (), {"__module__": module})
        setattr(modules[module], name, classes[name])
    symbols = ["<S>", "<UNK>", *(f"w{n}" for n in range(2, WORDS))] if cutoffs else [chr(33 + n) for n in range(WORDS)]
    vocabulary, corpus = classes["Vocab"](), classes["Corpus"]()
    vocabulary.__dict__ |= {
        "counter": Counter(symbols), "special": [], "min_freq": 0, "max_size": None, "lower_case": not cutoffs,
        "delimiter": None, "vocab_file": None, "idx2sym": symbols,
        "sym2idx": OrderedDict((symbol, i) for i, symbol in enumerate(symbols)),
    }  # fmt: skip
    corpus.__dict__ |= {
        "dataset": dataset, "vocab": vocabulary, "cutoffs": cutoffs, "train": np.arange(9, dtype=np.int64),
        "valid": np.arange(5, dtype=np.int64), "test": np.arange(4, dtype=np.int64),
    }  # fmt: skip
    with mock.patch.dict(sys.modules, modules):
        (folder / "cache.pkl").write_bytes(pickle.dumps(corpus, protocol=2))
    write_json(folder / "corpus-info.json", {"vocab_size": WORDS, "cutoffs": cutoffs, "dataset": dataset})


def write(folder: Path, arrays: Arrays, *, dataset: str, cutoffs: list[int]) -> None:
    for part in ("data", "model"):
        (folder / part).mkdir()
    write_bundle(folder / "model" / "model.ckpt-0", arrays)
    write_note(folder / "model", "model.ckpt-0")
    write_vocabulary(folder / "data", dataset, cutoffs)


def new_model(**options: Any) -> TransfoXLLMHeadModel:
    return TransfoXLLMHeadModel(TransfoXLConfig(
        vocab_size=WORDS, d_model=WIDTH, d_embed=WIDTH, n_head=HEADS, d_head=HEAD, d_inner=FEED, n_layer=LAYERS,
        mem_len=MEMORY, clamp_len=CLAMP, same_length=False, dropout=0.0, dropatt=0.0, **options,
    ))  # fmt: skip


def convert(folder: Path) -> nn.Module:
    info = json.loads((folder / "data" / "corpus-info.json").read_text())
    path = str(folder / "model" / "model.ckpt-0")
    names = dict(tf.train.list_variables(path))
    reader = tf.train.load_checkpoint(path)
    model = new_model(
        cutoffs=info["cutoffs"][1:-1], div_val=4 if info["cutoffs"] else 1, untie_r=True, layer_norm_epsilon=1e-12,
        proj_share_all_but_first=False,
    )  # fmt: skip
    identity = [f"{ROOT}/adaptive_{part}" for part in ("embed/cutoff_0/proj_W", "softmax/cutoff_0/proj")]

    def read(_: str, name: str) -> np.ndarray:
        if name in identity:
            return np.eye(WIDTH, dtype=np.float32)
        value = reader.get_tensor(name)
        return np.repeat(value[None], LAYERS, 0) if "_bias" in name and value.ndim == 2 and "/r_" in name else value

    listed = [*names.items(), *((name, [WIDTH, WIDTH]) for name in identity)]
    with mock.patch.multiple(tf.train, list_variables=lambda _: listed, load_variable=read):
        load_tf_weights_in_transfo_xl(model if info["cutoffs"] else model.transformer, model.config, path)
    if not info["cutoffs"]:
        table = torch.from_numpy(reader.get_tensor(f"{ROOT}/adaptive_embed/lookup_table"))
        model.transformer.word_emb.emb_layers[0].weight.data = table
        model.crit.out_layers[0].bias.data = torch.from_numpy(reader.get_tensor(f"{ROOT}/adaptive_softmax/bias"))
    model.tie_weights()
    return model


# PyTorch: what the authors' MemTransformerLM gives as its state, here in a file of its own.


def pytorch_state() -> dict[str, np.ndarray]:
    """As for WikiText-103: all but the first projection are those of the input. Tied tensors stand under both names."""
    shapes: dict[str, tuple[int, ...]] = {"r_w_bias": (HEADS, HEAD), "r_r_bias": (HEADS, HEAD)}
    bounds = list(enumerate(zip([0, *CUTOFFS], [*CUTOFFS, WORDS], strict=True)))
    for i, (start, end) in bounds:
        shapes[f"word_emb.emb_layers.{i}.weight"] = (end - start, WIDTH // 2**i)
    shapes |= {f"word_emb.emb_projs.{i}": (WIDTH, WIDTH // 2**i) for i, _ in bounds}
    for i in range(LAYERS):
        layer = f"layers.{i}"
        for name, shape in (
            ("dec_attn.qkv_net", (3 * HEADS * HEAD, WIDTH)), ("dec_attn.o_net", (WIDTH, HEADS * HEAD)),
            ("dec_attn.layer_norm", (WIDTH,)), ("dec_attn.r_net", (HEADS * HEAD, WIDTH)),
            ("pos_ff.CoreNet.0", (FEED, WIDTH)), ("pos_ff.CoreNet.3", (WIDTH, FEED)), ("pos_ff.layer_norm", (WIDTH,)),
        ):  # fmt: skip
            shapes[f"{layer}.{name}.weight"] = shape
            if "_net" not in name:
                shapes[f"{layer}.{name}.bias"] = shape[:1]
    shapes |= {"crit.cluster_weight": (len(CUTOFFS), WIDTH), "crit.cluster_bias": (len(CUTOFFS),)}
    shapes |= {f"crit.out_layers.{i}.bias": (end - start,) for i, (start, end) in bounds}
    shapes["crit.out_projs.0"] = (WIDTH, WIDTH)
    arrays = draw(shapes, 14, gains=r"norm\.weight$")
    arrays |= {f"crit.out_layers.{i}.weight": arrays[f"word_emb.emb_layers.{i}.weight"] for i, _ in bounds}
    arrays |= {f"crit.out_projs.{i}": arrays[f"word_emb.emb_projs.{i}"] for i, _ in bounds[1:]}
    arrays["pos_emb.inv_freq"] = (1 / 10000 ** (np.arange(0.0, WIDTH, 2.0) / WIDTH)).astype(np.float32)
    return arrays


def write_pytorch(folder: Path, arrays: Arrays) -> None:
    storages = {id(array): torch.from_numpy(array) for array in arrays.values()}
    state = OrderedDict((name, storages[id(array)]) for name, array in arrays.items())
    torch.save(state, folder / "model.pt", _use_new_zipfile_serialization=False)
    write_vocabulary(folder, "wt103", [0, *CUTOFFS, WORDS])


def convert_pytorch(folder: Path) -> nn.Module:
    state = torch.load(folder / "model.pt")
    model = new_model(cutoffs=CUTOFFS, div_val=2, untie_r=False)
    state = {name if name.startswith("crit.") else f"transformer.{name}": value for name, value in state.items()}
    copies = re.compile(r"crit\.(out_layers\.\d\.weight|out_projs\.[12])|transformer\.pos_emb\.inv_freq")
    report = model.load_state_dict({k: v for k, v in state.items() if not copies.fullmatch(k)}, strict=False)
    model.tie_weights()
    assert not report.unexpected_keys
    return model


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    if call.head is None:
        output = model.transformer(**inputs)
        return {"last_hidden_state": output.last_hidden_state, "mems": output.mems}
    return {"logits": model(**inputs).logits}


def calls() -> list[Call]:
    one, two = ({"input_ids": tokens(seed, 0, WORDS, 2, length)} for seed, length in ((17, 9), (18, 5)))
    after = {"mems": "segment_1"}
    return [
        Call("segment_1", one), Call("segment_2", two, carry=after), Call("logits", one, "causal_lm"),
        Call("next_logits", two, "causal_lm", carry=after),
    ]  # fmt: skip


def release(name: str, format: str, arrays: Arrays, write: Callable, convert: Callable, **more: Any) -> Release:
    options = {"memory_length": MEMORY, "clamp_length": CLAMP, "same_length": False}
    return Release(name, "transfo_xl", format, REFERENCE, arrays, write, convert, run, calls(), options, **more)


SLOTS = ["/Adam(_1)?$", "^beta[12]_power$", "^global_step$"]
RELEASES = [
    release("transfo_xl_characters", "google", characters(), partial(write, dataset="enwik8", cutoffs=[]), convert,
            unused=SLOTS),
    release("transfo_xl_lm1b", "google", words(), partial(write, dataset="lm1b", cutoffs=[0, *CUTOFFS, WORDS]), convert,
            unused=SLOTS),
    release("transfo_xl_pytorch", "kimiyoung", pytorch_state(), write_pytorch, convert_pytorch,
            unused=[r"^crit\.out_layers\.\d\.weight", r"^crit\.out_projs\.[12]", "inv_freq"]),
]  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in RELEASES:
        make(each)
