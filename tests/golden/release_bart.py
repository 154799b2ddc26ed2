"""BART as fairseq published and publishes it (see README.md). Run: `python tests/golden/release_bart.py`.

The conversion of transformers 4.46.3 loads such a file through fairseq. `convert` makes the same changes to its names.
A model fine-tuned for summaries has no row for the mask; the dictionary beside it does not tell.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import BartConfig, BartForConditionalGeneration, BartForSequenceClassification

from record import Call, Outputs, tokens
from release import Arrays, Release, draw, make, padding

REFERENCE = f"transformers {transformers.__version__}, renaming of convert_bart_original_pytorch_checkpoint"
DICTIONARY, WIDTH, FEED, POSITIONS, CLASSES = 50, 24, 32, 18, 3
LAYERS = {"encoder": 2, "decoder": 3}
HEADS = {"encoder": 3, "decoder": 2}
PAD, EOS = 1, 2


def stored(seed: int, *, words: int, head: str | None = None, projection: bool = False) -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, width: int, before: int) -> None:
        shapes[f"{name}.weight"] = (width, before) if before else (width,)
        shapes[f"{name}.bias"] = (width,)

    for stack, depth in LAYERS.items():
        shapes[f"{stack}.version"] = (1,)
        shapes[f"{stack}.embed_tokens.weight"] = (words, WIDTH)
        shapes[f"{stack}.embed_positions.weight"] = (POSITIONS + 2, WIDTH)
        for i in range(depth):
            layer = f"{stack}.layers.{i}"
            for attention in ("self_attn", *(["encoder_attn"] if stack == "decoder" else [])):
                for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
                    linear(f"{layer}.{attention}.{part}", WIDTH, WIDTH)
                linear(f"{layer}.{attention}_layer_norm", WIDTH, 0)
            for part, width, before in (("fc1", FEED, WIDTH), ("fc2", WIDTH, FEED), ("final_layer_norm", WIDTH, 0)):
                linear(f"{layer}.{part}", width, before)
        linear(f"{stack}.layernorm_embedding", WIDTH, 0)
    if head:
        linear(f"classification_heads.{head}.dense", WIDTH, WIDTH)
        linear(f"classification_heads.{head}.out_proj", CLASSES, WIDTH)
    arrays = draw(shapes, seed, gains=r"norm(_embedding)?\.weight$")
    for name in arrays:  # else it hardly matters where the attention goes
        arrays[name] *= 2 if ".q_proj." in name or ".k_proj." in name else 1
    for stack in LAYERS:
        arrays[f"{stack}.version"] = np.array([3.0], np.float32)
        arrays[f"{stack}.embed_positions.weight"][PAD] = 0
    table = arrays["decoder.embed_tokens.weight"]
    table[PAD] = 0
    arrays["encoder.embed_tokens.weight"] = table
    return arrays | ({"decoder.output_projection.weight": table} if projection else {})


def options(**more: Any) -> dict[str, Any]:
    found = {
        "arch": "bart_large", "task": "denoising", "criterion": "cross_entropy", "activation_fn": "gelu",
        "dropout": 0.1, "attention_dropout": 0.1, "relu_dropout": 0.0, "max_source_positions": POSITIONS,
        "max_target_positions": POSITIONS, "share_all_embeddings": True, "share_decoder_input_output_embed": True,
        "no_scale_embedding": True, "layernorm_embedding": True, "adaptive_softmax_cutoff": None, "fp16": True,
    }  # fmt: skip
    for stack, depth in LAYERS.items():
        found |= {
            f"{stack}_layers": depth, f"{stack}_embed_dim": WIDTH, f"{stack}_ffn_embed_dim": FEED,
            f"{stack}_attention_heads": HEADS[stack], f"{stack}_learned_pos": True, f"{stack}_normalize_before": False,
        }  # fmt: skip
    return {**found, **more}


def write(folder: Path, arrays: Arrays, *, new: bool, more: dict[str, Any]) -> None:
    lines = [f"{n * 37 % 50257} {1000 - n}\n" for n in range(1, DICTIONARY - 2)]
    (folder / "dict.txt").write_text("".join([*lines, *(f"madeupword{n:04d} 0\n" for n in range(3))]))
    storages = {id(array): torch.from_numpy(array) for array in arrays.values()}
    state = OrderedDict((name, storages[id(array)]) for name, array in arrays.items())
    history = [{"criterion_name": "CrossEntropyCriterion", "optimizer_name": "FairseqAdam", "num_updates": 9}]
    if new:
        cfg = {
            "_name": None, "common": {"_name": None, "seed": 1}, "model": {"_name": "bart_large", **options(**more)},
            "task": {"_name": "translation", "source_lang": "source", "target_lang": "target"},
        }  # fmt: skip
        checkpoint = {"args": None, "cfg": cfg, "model": state, "optimizer_history": history, "task_state": {},
                      "extra_state": {"metrics": {}}, "last_optimizer_state": None}  # fmt: skip
        torch.save(checkpoint, folder / "model.pt")
    else:
        checkpoint = {"args": argparse.Namespace(**options(**more)), "model": state, "optimizer_history": history,
                      "extra_state": {"train_iterator": {"epoch": 2}}, "last_optimizer_state": None}  # fmt: skip
        torch.save(checkpoint, folder / "model.pt", _use_new_zipfile_serialization=False)


def convert(folder: Path) -> nn.Module:
    checkpoint = torch.load(folder / "model.pt", weights_only=False)
    args = vars(checkpoint["args"]) if checkpoint["args"] else checkpoint["cfg"]["model"]
    given: dict[str, Tensor] = dict(checkpoint["model"])
    head = next((name.split(".")[1] for name in given if name.startswith("classification_heads.")), None)
    config = BartConfig(
        vocab_size=len(given["decoder.embed_tokens.weight"]), d_model=args["encoder_embed_dim"],
        activation_function="gelu", max_position_embeddings=args["max_source_positions"], num_labels=CLASSES,
        **{f"{stack}_layers": args[f"{stack}_layers"] for stack in LAYERS},
        **{f"{stack}_attention_heads": args[f"{stack}_attention_heads"] for stack in LAYERS},
        **{f"{stack}_ffn_dim": args[f"{stack}_ffn_embed_dim"] for stack in LAYERS}, attn_implementation="eager",
    )  # fmt: skip
    model = (BartForSequenceClassification if head else BartForConditionalGeneration)(config)
    weights = {"model.shared.weight": given["decoder.embed_tokens.weight"]}
    for name, value in given.items():
        if head and name.startswith("classification_heads."):
            weights[name.replace(f"classification_heads.{head}", "classification_head")] = value
        elif not name.endswith((".version", "embed_tokens.weight", "output_projection.weight")):
            weights[f"model.{name}"] = value
    report = model.load_state_dict(weights, strict=False)
    tied = {*(f"model.{stack}.embed_tokens.weight" for stack in LAYERS), "lm_head.weight", "final_logits_bias"}
    assert not report.unexpected_keys and set(report.missing_keys) <= tied, report
    model.tie_weights()
    return model


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    torch.set_default_dtype(model.model.shared.weight.dtype)  # masks are made in it
    try:
        output = model(**inputs) if call.head else model.model(**inputs)
    finally:
        torch.set_default_dtype(torch.float32)
    if call.head:
        return {"logits": output.logits}
    return {name: output[name] for name in ("last_hidden_state", "encoder_last_hidden_state")}


def calls(head: str, words: int) -> list[Call]:
    """For a classifier each text ends with the mark that it reads, and the decoder gets what it makes of the text."""
    mask = padding(11, 11, 7)
    plain = {"input_ids": tokens(26, 4, words, 2, POSITIONS)}
    masked = {"input_ids": tokens(27, 4, words, 2, 11).masked_fill(mask == 0, PAD), "attention_mask": mask}
    plain["input_ids"][:, -1] = masked["input_ids"][0, 10] = masked["input_ids"][1, 6] = EOS
    if head == "seq2seq_lm":
        plain["decoder_input_ids"] = tokens(28, 4, words, 2, 9)
        masked["decoder_input_ids"], masked["decoder_attention_mask"] = tokens(29, 4, words, 2, 8), padding(8, 8, 5)
    return [
        Call("body", plain), Call("body_masked", masked), Call("logits", plain, head),
        Call("logits_masked", masked, head),
    ]  # fmt: skip


def release(name: str, seed: int, head: str, words: int, new: bool, **more: Any) -> Release:
    label = "mnli" if head == "sequence_classification" else None
    return Release(
        name, "bart", "fairseq", REFERENCE, stored(seed, words=words, head=label, projection=new),
        partial(write, new=new, more=more), convert, run, calls(head, words),
        unused=[r"\.version$", r"^encoder\.embed_tokens", "output_projection"],
    )  # fmt: skip


MNLI = {"task": "sentence_prediction", "num_classes": CLASSES, "classification_head_name": "mnli"}
RELEASES = [
    release("bart", 30, "seq2seq_lm", DICTIONARY + 5, False),
    release("bart_mnli", 31, "sequence_classification", DICTIONARY + 5, False, **MNLI),
    release("bart_cfg", 32, "seq2seq_lm", DICTIONARY + 4, True),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in RELEASES:
        make(each)
