"""RoBERTa as fairseq published and publishes it (see README.md). Run: `python tests/golden/release_roberta.py`.

The conversion of transformers 4.46.3 loads such a file through fairseq. `convert` assigns the same tensors to the same
parameters; names of 2019 become those of later fairseq first: the fused matrix is query, key and value in that order.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import RobertaConfig, RobertaForMaskedLM, RobertaForSequenceClassification

from record import Call, tokens
from release import Arrays, Release, draw, make, padding, run_with

REFERENCE = f"transformers {transformers.__version__}, assignments of convert_roberta_original_pytorch_checkpoint"
WORDS, WIDTH, FEED, LAYERS, HEADS, POSITIONS, CLASSES = 60, 24, 40, 3, 3, 18, 3
PAD = 1
GAINS = r"norm\.weight$"
LINEAR = ("weight", "bias")


def layer_shapes(prefix: str, fused: bool) -> dict[str, tuple[int, ...]]:
    """One layer of an encoder, in fairseq's own order."""
    shapes: dict[str, tuple[int, ...]] = {}
    if fused:
        shapes[f"{prefix}.self_attn.in_proj_weight"] = (3 * WIDTH, WIDTH)
        shapes[f"{prefix}.self_attn.in_proj_bias"] = (3 * WIDTH,)
    for part in () if fused else ("k_proj", "v_proj", "q_proj"):
        shapes |= {f"{prefix}.self_attn.{part}.weight": (WIDTH, WIDTH), f"{prefix}.self_attn.{part}.bias": (WIDTH,)}
    for part, width, before in (
        ("self_attn.out_proj", WIDTH, WIDTH), ("self_attn_layer_norm", WIDTH, 0), ("fc1", FEED, WIDTH),
        ("fc2", WIDTH, FEED), ("final_layer_norm", WIDTH, 0),
    ):  # fmt: skip
        shapes[f"{prefix}.{part}.weight"] = (width, before) if before else (width,)
        shapes[f"{prefix}.{part}.bias"] = (width,)
    return shapes


def stored(old: bool, head: str | None, seed: int) -> dict[str, np.ndarray]:
    root = "decoder" if old else "encoder"
    body = f"{root}.sentence_encoder"
    norm = "emb_layer_norm" if old else "layernorm_embedding"
    shapes: dict[str, tuple[int, ...]] = {
        f"{body}.embed_tokens.weight": (WORDS, WIDTH), f"{body}.embed_positions.weight": (POSITIONS + 2, WIDTH),
    }  # fmt: skip
    if not old:
        shapes |= {f"{body}.{norm}.weight": (WIDTH,), f"{body}.{norm}.bias": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= layer_shapes(f"{body}.layers.{i}", fused=old)
    if old:
        shapes |= {f"{body}.{norm}.weight": (WIDTH,), f"{body}.{norm}.bias": (WIDTH,)}
    shapes |= {
        f"{root}.lm_head.weight": (WORDS, WIDTH), f"{root}.lm_head.bias": (WORDS,),
        f"{root}.lm_head.dense.weight": (WIDTH, WIDTH), f"{root}.lm_head.dense.bias": (WIDTH,),
        f"{root}.lm_head.layer_norm.weight": (WIDTH,), f"{root}.lm_head.layer_norm.bias": (WIDTH,),
    }  # fmt: skip
    if head:
        for part, width in (("dense", WIDTH), ("out_proj", CLASSES)):
            name = f"classification_heads.{head}.{part}"
            shapes |= {f"{name}.weight": (width, WIDTH), f"{name}.bias": (width,)}
    arrays = draw(shapes, seed, GAINS)
    for name in ("embed_tokens", "embed_positions"):
        arrays[f"{body}.{name}.weight"][PAD] = 0
    arrays[f"{root}.lm_head.weight"] = arrays[f"{body}.embed_tokens.weight"].copy()
    return arrays


def options(**more: Any) -> dict[str, Any]:
    return {
        "arch": "roberta_base", "task": "masked_lm", "criterion": "masked_lm", "activation_fn": "gelu",
        "pooler_activation_fn": "tanh", "dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.0,
        "pooler_dropout": 0.0, "encoder_layers": LAYERS, "encoder_embed_dim": WIDTH, "encoder_ffn_embed_dim": FEED,
        "encoder_attention_heads": HEADS, "max_positions": POSITIONS, "tokens_per_sample": POSITIONS,
        "adam_betas": "(0.9, 0.98)", "lr": [0.0006], "update_freq": [16], "fp16": True, "seed": 1, **more,
    }  # fmt: skip


def tied(arrays: Arrays) -> OrderedDict[str, Tensor]:
    """As torch saves a model: the tied matrix is one storage under both names."""
    weights = OrderedDict((name, torch.from_numpy(array)) for name, array in arrays.items())
    root = next(name.split(".")[0] for name in weights if name.endswith("lm_head.weight"))
    if torch.equal(weights[f"{root}.lm_head.weight"], weights[f"{root}.sentence_encoder.embed_tokens.weight"]):
        weights[f"{root}.lm_head.weight"] = weights[f"{root}.sentence_encoder.embed_tokens.weight"]
    return weights


def write_dictionary(folder: Path) -> None:
    """Ids of GPT-2's vocabulary as text, then three that fill up; four specials come before them and the mask after."""
    lines = [*(str(n * 37 % 50257) for n in range(1, WORDS - 7)), *(f"madeupword{n:04d}" for n in range(3))]
    counts = [10**6 // (n + 1) for n in range(WORDS - 8)] + [0, 0, 0]
    (folder / "dict.txt").write_text("".join(f"{word} {count}\n" for word, count in zip(lines, counts, strict=True)))


def write_old(folder: Path, arrays: Arrays, **more: Any) -> None:
    write_dictionary(folder)
    (folder / "NOTE").write_text("An example in the form of the original release.\n")
    checkpoint = {
        "args": argparse.Namespace(**options(**more)), "model": tied(arrays),
        "optimizer_history": [{"criterion_name": "MaskedLmLoss", "optimizer_name": "MemoryEfficientFP16Optimizer",
                               "lr_scheduler_state": {"best": None}, "num_updates": 500000}],
        "extra_state": {"train_iterator": {"epoch": 7, "iterations_in_epoch": 0}, "val_loss": 1.5},
        "last_optimizer_state": None,
    }  # fmt: skip
    torch.save(checkpoint, folder / "model.pt", _use_new_zipfile_serialization=False)


def write_old_mnli(folder: Path, arrays: Arrays) -> None:
    write_old(folder, arrays, arch="roberta_large", task="sentence_prediction", criterion="sentence_prediction",
              num_classes=CLASSES, classification_head_name="mnli")  # fmt: skip


def write_new(folder: Path, arrays: Arrays) -> None:
    """With `cfg`, a dictionary of parts. The model's part is still a Namespace, as for all its older architectures."""
    write_dictionary(folder)
    model = argparse.Namespace(**options(_name="roberta_base", encoder_layers_to_keep=None, encoder_layerdrop=0.0))
    cfg = {
        "_name": None, "common": {"_name": None, "seed": 1, "fp16": True, "user_dir": None},
        "model": model, "task": {"_name": "masked_lm", "tokens_per_sample": POSITIONS, "mask_prob": 0.15},
        "criterion": {"_name": "masked_lm", "tpu": False},
        "optimizer": {"_name": "adam", "adam_betas": "(0.9, 0.98)", "lr": [0.0006]}, "bpe": None, "tokenizer": None,
    }  # fmt: skip
    checkpoint = {
        "args": None, "cfg": cfg, "model": tied(arrays), "criterion": None,
        "optimizer_history": [{"criterion_name": "MaskedLmLoss", "optimizer_name": "FairseqAdam", "num_updates": 9}],
        "task_state": {}, "extra_state": {"metrics": {}, "previous_training_time": 1.0},
        "last_optimizer_state": {
            "state": {0: {"step": 9, "exp_avg": torch.zeros(3), "exp_avg_sq": torch.ones(3)}},
            "param_groups": [{"lr": 0.0006, "betas": (0.9, 0.98), "params": [0]}],
        },
    }  # fmt: skip
    torch.save(checkpoint, folder / "model.pt")


def later_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        name = name.replace("decoder.", "encoder.", 1) if name.startswith("decoder.") else name
        name = name.replace("emb_layer_norm", "layernorm_embedding")
        if "in_proj_" in name:
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                found[name.replace("in_proj_", f"{part}_proj.")] = piece
        else:
            found[name] = value
    return found


def convert(folder: Path) -> nn.Module:
    checkpoint = torch.load(folder / "model.pt", weights_only=False)
    args = checkpoint["args"] or checkpoint["cfg"]["model"]
    given = later_names(checkpoint["model"])
    body = "encoder.sentence_encoder"
    config = RobertaConfig(
        vocab_size=len(given[f"{body}.embed_tokens.weight"]), hidden_size=args.encoder_embed_dim,
        num_hidden_layers=args.encoder_layers, num_attention_heads=args.encoder_attention_heads,
        intermediate_size=args.encoder_ffn_embed_dim, max_position_embeddings=args.max_positions + 2,
        type_vocab_size=1, layer_norm_eps=1e-5, attn_implementation="eager",
    )  # fmt: skip
    head = next((name.split(".")[1] for name in given if name.startswith("classification_heads.")), None)
    if head:
        config.num_labels = len(given[f"classification_heads.{head}.out_proj.bias"])
    model = (RobertaForSequenceClassification if head else RobertaForMaskedLM)(config)
    parts = {
        "roberta.embeddings.word_embeddings": f"{body}.embed_tokens",
        "roberta.embeddings.position_embeddings": f"{body}.embed_positions",
        "roberta.embeddings.LayerNorm": f"{body}.layernorm_embedding",
    }
    for i in range(config.num_hidden_layers):
        ours, theirs = f"roberta.encoder.layer.{i}", f"{body}.layers.{i}"
        parts |= {
            f"{ours}.attention.self.query": f"{theirs}.self_attn.q_proj",
            f"{ours}.attention.self.key": f"{theirs}.self_attn.k_proj",
            f"{ours}.attention.self.value": f"{theirs}.self_attn.v_proj",
            f"{ours}.attention.output.dense": f"{theirs}.self_attn.out_proj",
            f"{ours}.attention.output.LayerNorm": f"{theirs}.self_attn_layer_norm",
            f"{ours}.intermediate.dense": f"{theirs}.fc1", f"{ours}.output.dense": f"{theirs}.fc2",
            f"{ours}.output.LayerNorm": f"{theirs}.final_layer_norm",
        }  # fmt: skip
    if head:
        parts |= {f"classifier.{part}": f"classification_heads.{head}.{part}" for part in ("dense", "out_proj")}
    else:
        parts |= {f"lm_head.{part}": f"encoder.lm_head.{part}" for part in ("dense", "layer_norm")}
    weights = {
        f"{ours}.{leaf}": given[f"{theirs}.{leaf}"]
        for ours, theirs in parts.items() for leaf in LINEAR if f"{theirs}.{leaf}" in given
    }  # fmt: skip
    weights["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, config.hidden_size)
    if not head:
        weights["lm_head.decoder.weight"] = given[f"{body}.embed_tokens.weight"]  # the stored one is a copy
        weights["lm_head.decoder.bias"] = weights["lm_head.bias"] = given["encoder.lm_head.bias"]
    model.load_state_dict(weights)
    return model


def calls(head: str) -> list[Call]:
    plain = {"input_ids": tokens(3, 4, WORDS, 2, POSITIONS)}
    mask = padding(11, 11, 7)
    masked = {"input_ids": tokens(4, 4, WORDS, 2, 11).masked_fill(mask == 0, PAD), "attention_mask": mask}
    return [
        Call("body", plain), Call("body_masked", masked), Call("logits", plain, head),
        Call("logits_masked", masked, head),
    ]  # fmt: skip


COPY = r"lm_head\.weight$"
RELEASES = [
    Release(
        "roberta_2019", "roberta", "fairseq", REFERENCE, stored(True, None, 3), write_old, convert, run_with(),
        calls("masked_lm"), unused=[COPY],
    ),
    Release(
        "roberta_mnli", "roberta", "fairseq", REFERENCE, stored(True, "mnli", 4), write_old_mnli, convert, run_with(),
        calls("sequence_classification"), unused=[r"lm_head\."],
    ),
    Release(
        "roberta_cfg", "roberta", "fairseq", REFERENCE, stored(False, None, 5), write_new, convert, run_with(),
        calls("masked_lm"), unused=[COPY],
    ),
]  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    for release in RELEASES:
        make(release)
