"""XLM as its authors published it (see README.md). Run: `python tests/golden/release_xlm.py`.

`convert` assigns what the conversion of transformers 4.46.3 does: names one level deeper, and `params` as the config.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from transformers import XLMConfig, XLMWithLMHeadModel

from record import Call, tokens
from release import Arrays, Release, draw, make, padding, run_with

REFERENCE = f"transformers {transformers.__version__}, assignments of convert_xlm_original_pytorch_checkpoint"
WIDTH, LAYERS, HEADS, POSITIONS = 16, 2, 2, 512
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SYMBOLS = [*LETTERS, *(f"{letter}@@" for letter in "abcdenorst"), "the", "and", "cat", "th@@", "an@@"]
SPECIALS = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{n}>" for n in range(10))]
WORDS = len(SPECIALS) + len(SYMBOLS)
PAD = 2


def stored(
    langs: int, seed: int, *, prefix: str = "", sinusoids: bool = False, tables: bool = True
) -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {"position_embeddings.weight": (POSITIONS, WIDTH)}
    if langs > 1 and tables:
        shapes["lang_embeddings.weight"] = (langs, WIDTH)
    shapes |= {"embeddings.weight": (WORDS, WIDTH), "layer_norm_emb.weight": (WIDTH,), "layer_norm_emb.bias": (WIDTH,)}
    attention = ((f"attentions.{{}}.{part}_lin", WIDTH, WIDTH) for part in ("q", "k", "v", "out"))
    for kind, width, before in (
        *attention, ("layer_norm1.{}", WIDTH, 0),
        ("ffns.{}.lin1", 4 * WIDTH, WIDTH), ("ffns.{}.lin2", WIDTH, 4 * WIDTH), ("layer_norm2.{}", WIDTH, 0),
    ):  # fmt: skip
        for i in range(LAYERS):
            shapes[f"{kind.format(i)}.weight"] = (width, before) if before else (width,)
            shapes[f"{kind.format(i)}.bias"] = (width,)
    shapes["pred_layer.proj.bias"] = (WORDS,)
    arrays = draw(shapes, seed, gains=r"norm.*weight$")
    arrays["embeddings.weight"][PAD] = 0
    arrays["pred_layer.proj.weight"] = arrays["embeddings.weight"]
    if sinusoids:
        angles = np.array([[p / 10000 ** (2 * (j // 2) / WIDTH) for j in range(WIDTH)] for p in range(POSITIONS)])
        table = np.where(np.arange(WIDTH) % 2, np.cos(angles), np.sin(angles))
        arrays["position_embeddings.weight"] = table.astype(np.float32)
    return {prefix + name: array for name, array in arrays.items()}


def params(langs: int, **more: Any) -> dict[str, Any]:
    names = ["en", "fr", "de"][:langs]
    return {
        "exp_name": "example", "dump_path": "/checkpoint/example", "encoder_only": True, "emb_dim": WIDTH,
        "n_layers": LAYERS, "n_heads": HEADS, "dropout": 0.1, "attention_dropout": 0.1, "gelu_activation": True,
        "share_inout_emb": True, "sinusoidal_embeddings": False, "attention_setting": "v1", "asm": False,
        "asm_cutoffs": [8000, 20000], "asm_div_value": 4, "context_size": 0, "word_pred": 0.15, "sample_alpha": 0.0,
        "word_mask_keep_rand": "0.8,0.1,0.1", "lgs": "-".join(names), "max_vocab": -1, "min_count": 0, "bptt": 256,
        "batch_size": 32, "optimizer": "adam,lr=0.0001", "clm_steps": [], "mlm_steps": [(name, None) for name in names],
        "langs": names, "id2lang": dict(enumerate(names)), "lang2id": {name: i for i, name in enumerate(names)},
        "n_langs": langs, "n_words": WORDS, "bos_index": 0, "eos_index": 1, "pad_index": PAD, "unk_index": 3,
        "mask_index": 5, "pred_probs": torch.FloatTensor([0.8, 0.1, 0.1]),
        "mask_scores": np.array([1.0] * WORDS) ** -0.5, "is_master": True, "global_rank": 0, **more,
    }  # fmt: skip


def write(folder: Path, arrays: Arrays, *, langs: int, optimizer: bool, **more: Any) -> None:
    storages = {id(array): torch.from_numpy(array) for array in arrays.values()}
    words = [*SPECIALS, *SYMBOLS]
    checkpoint: dict[str, Any] = {
        "epoch": 3, "n_total_iter": 9000, "best_metrics": {"valid_en_mlm_ppl": np.float64(7.5)},
        "best_stopping_criterion": -7.5,
        "model": OrderedDict((name, storages[id(array)]) for name, array in arrays.items()),
    }  # fmt: skip
    if optimizer:
        state = {"step": 9, "exp_avg": torch.zeros(4), "exp_avg_sq": torch.ones(4)}
        checkpoint["model_optimizer"] = {"state": {0: state}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    checkpoint |= {
        "dico_id2word": dict(enumerate(words)), "dico_word2id": {word: n for n, word in enumerate(words)},
        "dico_counts": {word: 100 - n for n, word in enumerate(words)}, "params": params(langs, **more),
    }  # fmt: skip
    torch.save(checkpoint, folder / "mlm_tiny.pth", _use_new_zipfile_serialization=False)
    (folder / "codes_tiny").write_text("t h 9\nth e</w> 8\na n 7\nan d</w> 6\nc a 5\nca t</w> 4\n")
    (folder / "vocab_tiny").write_text("".join(f"{word} {100 - n}\n" for n, word in enumerate(SYMBOLS)))


def convert(folder: Path) -> nn.Module:
    checkpoint = torch.load(folder / "mlm_tiny.pth", weights_only=False)
    given = {k: v for k, v in checkpoint["params"].items() if not isinstance(v, torch.FloatTensor | np.ndarray)}
    given |= {"dropout": 0.0, "attention_dropout": 0.0}
    model = XLMWithLMHeadModel(XLMConfig(**given))
    weights = {}
    for name, value in checkpoint["model"].items():
        name = name.removeprefix("module.")
        if name != "pred_layer.proj.weight":  # a copy of the table
            weights[name if "pred_layer" in name else f"transformer.{name}"] = value
    report = model.load_state_dict(weights, strict=False)
    assert not report.unexpected_keys and report.missing_keys in (
        ["pred_layer.proj.weight"], ["transformer.position_ids", "pred_layer.proj.weight"]
    ), report  # fmt: skip
    model.tie_weights()
    return model


def calls(langs: int, tables: bool = True) -> list[Call]:
    lengths = padding(11, 11, 7)
    plain = {"input_ids": tokens(19, 3, WORDS, 2, 18)}
    masked = {"input_ids": tokens(20, 3, WORDS, 2, 11).masked_fill(lengths == 0, PAD), "attention_mask": lengths}
    if langs > 1 and tables:
        plain["langs"], masked["langs"] = tokens(21, 0, langs, 2, 18), tokens(22, 0, langs, 2, 11)
    return [
        Call("body", plain), Call("body_masked", masked), Call("logits", plain, "masked_lm"),
        Call("logits_masked", masked, "masked_lm"),
    ]  # fmt: skip


COPY = [r"pred_layer\.proj\.weight$"]
RELEASES = [
    Release("xlm_sinusoids", "xlm", "xlm", REFERENCE, stored(1, 15, sinusoids=True),
            partial(write, langs=1, optimizer=False, sinusoidal_embeddings=True, gelu_activation=False), convert,
            run_with(), calls(1), unused=COPY, notes=["no GELU: relu"]),
    Release("xlm_languages", "xlm", "xlm", REFERENCE, stored(3, 16, prefix="module."),
            partial(write, langs=3, optimizer=True), convert, run_with(), calls(3), unused=COPY),
    Release("xlm_no_language_table", "xlm", "xlm", REFERENCE, stored(3, 17, tables=False),
            partial(write, langs=3, optimizer=False, use_lang_emb=False), convert, run_with(), calls(3, False),
            unused=COPY),
]  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    for release in RELEASES:
        make(release)
