"""GPT and GPT-2 as OpenAI published them, read by the conversions of transformers 4.46.3 (see README.md).

Run: `python tests/golden/release_gpt.py`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, OpenAIGPTConfig, OpenAIGPTLMHeadModel
from transformers.models.gpt2.modeling_gpt2 import load_tf_weights_in_gpt2
from transformers.models.openai.modeling_openai import load_tf_weights_in_openai_gpt

from record import Call, tokens
from release import Arrays, Release, draw, make, padding, run_with
from release_bundle import ENDED, SPACED, byte_pairs, write_bundle, write_json, write_note

REFERENCE = f"transformers {transformers.__version__}"
WIDTH, LAYERS, HEADS, POSITIONS = 24, 12, 3, 20


def calls(vocabulary: int) -> list[Call]:
    plain = {"input_ids": tokens(1, 0, vocabulary, 2, POSITIONS)}
    masked = {"input_ids": tokens(2, 0, vocabulary, 2, 11), "attention_mask": padding(11, 11, 7)}
    return [
        Call("body", plain), Call("body_masked", masked), Call("logits", plain, "causal_lm"),
        Call("logits_masked", masked, "causal_lm"),
    ]  # fmt: skip


# GPT-2: names that sort as text (h10 before h2), so there are twelve layers.

SYMBOLS, MERGES = byte_pairs(SPACED)
WORDS = [*SYMBOLS, "Ċ", "<|endoftext|>"]
HPARAMS = {"n_vocab": len(WORDS), "n_ctx": POSITIONS, "n_embd": WIDTH, "n_head": HEADS, "n_layer": LAYERS}


def gpt2_shapes() -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model/wpe": (POSITIONS, WIDTH), "model/wte": (len(WORDS), WIDTH)}
    for i in range(LAYERS):
        for part, before, after in (
            ("attn/c_attn", WIDTH, 3 * WIDTH), ("attn/c_proj", WIDTH, WIDTH), ("mlp/c_fc", WIDTH, 4 * WIDTH),
            ("mlp/c_proj", 4 * WIDTH, WIDTH),
        ):  # fmt: skip
            shapes |= {f"model/h{i}/{part}/w": (1, before, after), f"model/h{i}/{part}/b": (after,)}
        for part in ("ln_1", "ln_2"):
            shapes |= {f"model/h{i}/{part}/{leaf}": (WIDTH,) for leaf in "gb"}
    return shapes | {f"model/ln_f/{leaf}": (WIDTH,) for leaf in "gb"}


def write_gpt2(folder: Path, tensors: Arrays) -> None:
    write_bundle(folder / "model.ckpt", tensors)
    write_note(folder, "model.ckpt")
    write_json(folder / "hparams.json", HPARAMS)
    write_json(folder / "encoder.json", {word: number for number, word in enumerate(WORDS)})
    (folder / "vocab.bpe").write_text(MERGES)


def convert_gpt2(folder: Path) -> nn.Module:
    hparams = json.loads((folder / "hparams.json").read_text())
    hparams["vocab_size"], hparams["n_positions"] = hparams.pop("n_vocab"), hparams.pop("n_ctx")
    model = GPT2LMHeadModel(GPT2Config(**hparams, attn_implementation="eager"))
    load_tf_weights_in_gpt2(model.transformer, model.config, str(folder / "model.ckpt"))
    model.tie_weights()
    return model


GPT2 = Release(
    "gpt2", "gpt2", "google", f"{REFERENCE} load_tf_weights_in_gpt2", draw(gpt2_shapes(), 1), write_gpt2, convert_gpt2,
    run_with(), calls(len(WORDS)),
)  # fmt: skip

# GPT: no names; shapes in order and one flat vector in ten pieces.

GPT_SYMBOLS, GPT_MERGES = byte_pairs(ENDED)
GPT_WORDS = [*GPT_SYMBOLS, "<unk>"]
GPT_LAYERS = 2


def gpt_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"positions": (POSITIONS, WIDTH), "words": (len(GPT_WORDS), WIDTH)}
    for i in range(GPT_LAYERS):
        shapes |= {
            f"{i}/attn/c_attn/w": (1, WIDTH, 3 * WIDTH), f"{i}/attn/c_attn/b": (3 * WIDTH,),
            f"{i}/attn/c_proj/w": (1, WIDTH, WIDTH), f"{i}/attn/c_proj/b": (WIDTH,),
            f"{i}/ln_1/g": (WIDTH,), f"{i}/ln_1/b": (WIDTH,),
            f"{i}/mlp/c_fc/w": (1, WIDTH, 4 * WIDTH), f"{i}/mlp/c_fc/b": (4 * WIDTH,),
            f"{i}/mlp/c_proj/w": (1, 4 * WIDTH, WIDTH), f"{i}/mlp/c_proj/b": (WIDTH,),
            f"{i}/ln_2/g": (WIDTH,), f"{i}/ln_2/b": (WIDTH,),
        }  # fmt: skip
    return shapes


def write_gpt(folder: Path, tensors: Arrays) -> None:
    write_json(folder / "params_shapes.json", [list(array.shape) for array in tensors.values()])
    flat = np.concatenate([array.ravel() for array in tensors.values()])
    for i, piece in enumerate(np.array_split(flat, 10)):
        np.save(folder / f"params_{i}.npy", piece)
    write_json(folder / "encoder_bpe_40000.json", {word: number for number, word in enumerate(GPT_WORDS)})
    (folder / "vocab_40000.bpe").write_text(GPT_MERGES)


def convert_gpt(folder: Path) -> nn.Module:
    config = OpenAIGPTConfig(
        vocab_size=len(GPT_WORDS), n_positions=POSITIONS, n_embd=WIDTH, n_layer=GPT_LAYERS, n_head=HEADS
    )
    model = OpenAIGPTLMHeadModel(config)
    with tempfile.TemporaryDirectory() as place:  # it wants a list of names beside the files, which the release lacks
        shutil.copytree(folder, place, dirs_exist_ok=True)
        names = ["model/we:0", *(f"model/h{name}:0" for name in list(gpt_shapes())[2:])]
        write_json(Path(place) / "parameters_names.json", names)
        load_tf_weights_in_openai_gpt(model.transformer, config, place)
    model.tie_weights()
    return model


GPT = Release(
    "gpt", "gpt", "openai", f"{REFERENCE} load_tf_weights_in_openai_gpt", draw(gpt_shapes(), 2), write_gpt, convert_gpt,
    run_with(), calls(len(GPT_WORDS)), options={"num_attention_heads": HEADS},
)  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    for release in (GPT2, GPT):
        make(release)
