"""BERT, ALBERT and ELECTRA as Google published them, read by the conversions of transformers 4.46.3 (see README.md).

Run: `python tests/golden/release_bert.py`. With `gelu` BERT's first release computes the exact form, later code of its
authors the tanh form; both are here. ELECTRA comes without a config (its authors give the sizes by flags): one file
holds the generator and the discriminator, which share their tables.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForPreTraining,
    BertConfig,
    BertForPreTraining,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
)
from transformers.activations import ACT2FN
from transformers.models.albert.modeling_albert import load_tf_weights_in_albert
from transformers.models.bert.modeling_bert import load_tf_weights_in_bert
from transformers.models.electra.modeling_electra import load_tf_weights_in_electra

from record import Call, Outputs, tokens
from release import Arrays, Release, draw, make, padding
from release_bundle import write_bundle, write_json

REFERENCE = f"transformers {transformers.__version__}"
WIDTH, NARROW, FEED, LAYERS, HEADS, POSITIONS = 24, 16, 40, 2, 3, 20
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "cat"]
WORDS = len(PIECES)
Shapes = dict[str, tuple[int, ...]]


def dense(name: str, before: int, after: int) -> Shapes:
    return {f"{name}/kernel": (before, after), f"{name}/bias": (after,)}


def norm(name: str, width: int = WIDTH) -> Shapes:
    return {f"{name}/{leaf}": (width,) for leaf in ("gamma", "beta")}


def embeddings(root: str, width: int) -> Shapes:
    tables = {"word": WORDS, "position": POSITIONS, "token_type": 2}
    found: Shapes = {f"{root}/{name}_embeddings": (size, width) for name, size in tables.items()}
    return found | norm(f"{root}/LayerNorm", width)


def attention(root: str, width: int = WIDTH) -> Shapes:
    found: Shapes = {}
    for part in ("query", "key", "value"):
        found |= dense(f"{root}/self/{part}", width, width)
    return found | dense(f"{root}/output/dense", width, width)


def encoder(root: str, width: int = WIDTH, feed: int = FEED) -> Shapes:
    found: Shapes = {}
    for i in range(LAYERS):
        layer = f"{root}/layer_{i}"
        found |= attention(f"{layer}/attention", width) | norm(f"{layer}/attention/output/LayerNorm", width)
        found |= dense(f"{layer}/intermediate/dense", width, feed) | dense(f"{layer}/output/dense", feed, width)
        found |= norm(f"{layer}/output/LayerNorm", width)
    return found


def predictions(width: int) -> Shapes:
    root = "cls/predictions"
    return {
        **dense(f"{root}/transform/dense", WIDTH, width), **norm(f"{root}/transform/LayerNorm", width),
        f"{root}/output_bias": (WORDS,),
        "cls/seq_relationship/output_weights": (2, WIDTH), "cls/seq_relationship/output_bias": (2,),
    }  # fmt: skip


def with_slots(shapes: Shapes, seed: int, step: str = "global_step") -> dict[str, np.ndarray]:
    arrays = draw(shapes, seed)
    slots = {f"{name}/adam_{slot}": np.square(array) for name, array in arrays.items() for slot in "mv"}
    return {**arrays, **slots, step: np.array(9, np.int64)}


BERT = {
    "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": WIDTH,
    "initializer_range": 0.02, "intermediate_size": FEED, "max_position_embeddings": POSITIONS,
    "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "type_vocab_size": 2, "vocab_size": WORDS,
}  # fmt: skip
ALBERT = BERT | {
    "embedding_size": NARROW, "hidden_act": "gelu_new", "num_hidden_groups": 1, "inner_group_num": 1,
    "net_structure_type": 0, "gap_size": 0, "num_memory_blocks": 0, "down_scale_factor": 1,
    "attention_probs_dropout_prob": 0, "hidden_dropout_prob": 0,
}  # fmt: skip
GENERATOR = {"heads": 2, "width": 12, "feed": 20}  # a third of the discriminator's, as for its base size


def bert_shapes() -> Shapes:
    found = embeddings("bert/embeddings", WIDTH) | encoder("bert/encoder") | dense("bert/pooler/dense", WIDTH, WIDTH)
    return found | predictions(WIDTH)


def albert_shapes() -> Shapes:
    """All layers are one, and its feed-forward part stands beside the attention in a scope of its own."""
    inner = "bert/encoder/transformer/group_0/inner_group_0"
    return {
        **embeddings("bert/embeddings", NARROW), **dense("bert/encoder/embedding_hidden_mapping_in", NARROW, WIDTH),
        **attention(f"{inner}/attention_1"), **norm(f"{inner}/LayerNorm"), **norm(f"{inner}/LayerNorm_1"),
        **dense(f"{inner}/ffn_1/intermediate/dense", WIDTH, FEED),
        **dense(f"{inner}/ffn_1/intermediate/output/dense", FEED, WIDTH),
        **dense("bert/pooler/dense", WIDTH, WIDTH), **predictions(NARROW),
    }  # fmt: skip


def electra_shapes() -> Shapes:
    width, feed = GENERATOR["width"], GENERATOR["feed"]
    return {
        **embeddings("electra/embeddings", NARROW), **dense("electra/embeddings_project", NARROW, WIDTH),
        **encoder("electra/encoder"),
        **dense("generator/embeddings_project", NARROW, width), **encoder("generator/encoder", width, feed),
        **dense("generator_predictions/dense", width, NARROW), **norm("generator_predictions/LayerNorm", NARROW),
        "generator_predictions/output_bias": (WORDS,), **dense("discriminator_predictions/dense", WIDTH, WIDTH),
        **dense("discriminator_predictions/dense_1", WIDTH, 1),
    }  # fmt: skip


def write(folder: Path, arrays: Arrays, *, checkpoint: str, config: str = "", content: Any = None) -> None:
    """ALBERT has pieces of SentencePiece instead of the list of words, which nobody needs here."""
    write_bundle(folder / checkpoint, arrays)
    if config:
        write_json(folder / config, content)
    if content is not ALBERT:
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))


def quietly(load: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        load(*args, **kwargs)


def convert_bert(folder: Path) -> nn.Module:
    config = BertConfig.from_json_file(folder / "bert_config.json")
    config._attn_implementation = "eager"
    model = BertForPreTraining(config)
    quietly(load_tf_weights_in_bert, model, config, str(folder / "bert_model.ckpt"))
    model.tie_weights()
    return model


def convert_albert(folder: Path) -> nn.Module:
    config = AlbertConfig.from_json_file(folder / "albert_config.json")
    config._attn_implementation = "eager"
    model = AlbertForPreTraining(config)
    quietly(load_tf_weights_in_albert, model, config, str(folder / "model.ckpt-best"))
    model.tie_weights()
    return model


def convert_electra(folder: Path, *, part: str) -> nn.Module:
    generator = part == "generator"
    config = ElectraConfig(
        **BERT | {"embedding_size": NARROW} | ({
            "hidden_size": GENERATOR["width"], "num_attention_heads": GENERATOR["heads"],
            "intermediate_size": GENERATOR["feed"],
        } if generator else {})
    )  # fmt: skip
    model = (ElectraForMaskedLM if generator else ElectraForPreTraining)(config)
    quietly(load_tf_weights_in_electra, model, config, str(folder / "electra_tiny"), part)
    model.tie_weights()
    return model


def run(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    if "hidden_act" in call.options:
        act = ACT2FN["gelu_new" if call.options["hidden_act"] == "gelu_tanh" else "gelu"]
        for layer in model.bert.encoder.layer:
            layer.intermediate.intermediate_act_fn = act
        model.cls.predictions.transform.transform_act_fn = act
    if call.head is None:
        output = getattr(model, model.base_model_prefix)(**inputs)
        return {name: output[name] for name in ("last_hidden_state", "pooler_output") if name in output}
    output = model(**inputs)
    if call.head == "pretraining":
        second = "seq_relationship_logits" if "seq_relationship_logits" in output else "sop_logits"
        return {"prediction_logits": output.prediction_logits, second: output[second]}
    return {"logits": output.logits}


def calls(head: str, forms: Mapping[str, dict[str, str]] | None = None) -> list[Call]:
    plain = {"input_ids": tokens(50, 1, WORDS, 2, POSITIONS), "token_type_ids": tokens(51, 0, 2, 2, POSITIONS)}
    mask = padding(11, 11, 7)
    masked = {
        "input_ids": tokens(52, 1, WORDS, 2, 11) * mask, "token_type_ids": tokens(53, 0, 2, 2, 11),
        "attention_mask": mask,
    }  # fmt: skip
    found = []
    for suffix, options in (forms or {"": {}}).items():
        found += [
            Call(f"body{suffix}", plain, options=options), Call(f"body_masked{suffix}", masked, options=options),
            Call(f"logits{suffix}", plain, head, options=options),
            Call(f"logits_masked{suffix}", masked, head, options=options),
        ]  # fmt: skip
    return found


GELU = {"": {"hidden_act": "gelu"}, "_tanh_gelu": {"hidden_act": "gelu_tanh"}}
SLOTS = ["/adam_[mv]$", "global_step$"]
ELECTRA = partial(write, checkpoint="electra_tiny")
ELECTRA_REFERENCE = f"{REFERENCE} load_tf_weights_in_electra"
RELEASES = [
    Release("bert", "bert", "google", f"{REFERENCE} load_tf_weights_in_bert", with_slots(bert_shapes(), 24),
            partial(write, checkpoint="bert_model.ckpt", config="bert_config.json", content=BERT), convert_bert, run,
            calls("pretraining", GELU), unused=SLOTS),
    Release("albert", "albert", "google", f"{REFERENCE} load_tf_weights_in_albert", with_slots(albert_shapes(), 25),
            partial(write, checkpoint="model.ckpt-best", config="albert_config.json", content=ALBERT), convert_albert,
            run, calls("pretraining"), unused=SLOTS),
    Release("electra_discriminator", "electra", "google", ELECTRA_REFERENCE, draw(electra_shapes(), 26), ELECTRA,
            partial(convert_electra, part="discriminator"), run, calls("replaced_token_detection"),
            {"num_attention_heads": HEADS}, unused=["^generator"]),
    Release("electra_generator", "electra", "google", ELECTRA_REFERENCE, draw(electra_shapes(), 27), ELECTRA,
            partial(convert_electra, part="generator"), run, calls("masked_lm"),
            {"num_attention_heads": GENERATOR["heads"]}, unused=["^electra/enc", "^electra/embeddings_p", "^disc"]),
]  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    for release in RELEASES:
        make(release)
