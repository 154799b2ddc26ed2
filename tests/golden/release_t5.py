"""T5 as Mesh TensorFlow left it, 1.0 and 1.1 (see README.md). Run: `python tests/golden/release_t5.py`.

Texts longer than 128 reach the last bucket of distances. The first data file holds the step alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
import transformers
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import load_tf_weights_in_t5

from record import Call, tokens
from release import Arrays, Release, draw, make, padding
from release_bundle import write_bundle, write_note

REFERENCE = f"transformers {transformers.__version__} load_tf_weights_in_t5"
WORDS, WIDTH, KEY, FEED, HEADS, BUCKETS = 128, 16, 5, 21, 4, 32
STEP = "global_step"
GIN = """\
import mesh_tensorflow.optimize
import mesh_tensorflow.transformer.transformer
import mesh_tensorflow.transformer.transformer_layers
import t5.models.mesh_transformer

# Macros:
# ==============================================================================
d_ff = {feed}
d_kv = {key}
d_model = {width}
dropout_rate = 0.1
inputs_length = 512
mean_noise_span_length = 3.0
MIXTURE_NAME = 'all_mix'
noise_density = 0.15
num_heads = {heads}
num_layers = {layers}

# Parameters for AdafactorOptimizer:
# ==============================================================================
AdafactorOptimizer.beta1 = 0.0
AdafactorOptimizer.epsilon1 = 1e-30

# Parameters for Bitransformer:
# ==============================================================================
Bitransformer.shared_embedding = True
{stacks}
# Parameters for enc_dec_attention_bias:
# ==============================================================================
# None.

# Parameters for decoder/EncDecAttention:
# ==============================================================================
decoder/EncDecAttention.relative_attention_type = None

# Parameters for make_bitransformer:
# ==============================================================================
make_bitransformer.decoder_name = 'decoder'
make_bitransformer.encoder_name = 'encoder'

# Parameters for run:
# ==============================================================================
run.batch_size = ('tokens_per_batch', 65536)
run.layout_rules = \\
    'ensemble:ensemble,batch:batch,d_ff:model,heads:model,vocab:model'
run.learning_rate_schedule = @learning_rate_schedules.learning_rate_schedule_noam
run.mesh_shape = @mesh_tensorflow.transformer.utils.tpu_mesh_shape()
run.sequence_length = {{'inputs': 512, 'targets': 512}}
"""
STACK = """
# Parameters for {stack}/DenseReluDense:
# ==============================================================================
{stack}/DenseReluDense.activation = {activation}
{stack}/DenseReluDense.dropout_rate = %dropout_rate
{stack}/DenseReluDense.hidden_size = %d_ff

# Parameters for {stack}/make_layer_stack:
# ==============================================================================
{stack}/make_layer_stack.block_scope = True
{stack}/make_layer_stack.layers = \\
    [{layers}]
{stack}/make_layer_stack.num_layers = {count}

# Parameters for {stack}/SelfAttention:
# ==============================================================================
{stack}/SelfAttention.dropout_rate = %dropout_rate
{stack}/SelfAttention.key_value_size = %d_kv
{stack}/SelfAttention.num_heads = %num_heads
{stack}/SelfAttention.num_memory_heads = 0
{stack}/SelfAttention.relative_attention_num_buckets = {buckets}
{stack}/SelfAttention.relative_attention_type = 'bias_shared'
{stack}/SelfAttention.shared_kv = False

# Parameters for {stack}/Unitransformer:
# ==============================================================================
{stack}/Unitransformer.d_model = %d_model
{stack}/Unitransformer.ensemble = None
{stack}/Unitransformer.shared_embedding_and_softmax_weights = {tied}
{stack}/Unitransformer.vocab_divisor = 128
"""


def gin(depths: Mapping[str, int], gated: bool) -> str:
    """The macro tells the depth of the decoder only where the two differ: the encoder's is written out."""
    stacks = ""
    for stack, depth in depths.items():
        kinds = ["SelfAttention", *(["EncDecAttention"] if stack == "decoder" else []), "DenseReluDense"]
        stacks += STACK.format(
            stack=stack, activation="['gelu', 'linear']" if gated else "'relu'", tied=not gated, buckets=BUCKETS,
            layers=",\n     ".join(f"@mesh_tensorflow.transformer.transformer_layers.{kind}" for kind in kinds),
            count="%num_layers" if depth == depths["decoder"] else depth,
        )  # fmt: skip
    return GIN.format(feed=FEED, key=KEY, width=WIDTH, heads=HEADS, layers=depths["decoder"], stacks=stacks)


def stored(depths: Mapping[str, int], gated: bool, seed: int, half: bool = False) -> dict[str, np.ndarray]:
    norm, last = ("rms_norm", "rms_norm") if gated else ("layer_norm", "final_layer_norm")
    shapes: dict[str, tuple[int, ...]] = {"shared/embedding": (WORDS, WIDTH)}
    if gated:
        shapes["decoder/logits/kernel"] = (WIDTH, WORDS)
    for stack, depth in depths.items():
        for i in range(depth):
            kinds = ["SelfAttention", *(["EncDecAttention"] if stack == "decoder" else []), "DenseReluDense"]
            for j, kind in enumerate(kinds):
                layer = f"{stack}/block_{i:03d}/layer_{j:03d}"
                shapes[f"{layer}/{norm}/scale"] = (WIDTH,)
                if kind == "DenseReluDense":
                    inner = ("wi_0", "wi_1") if gated else ("wi",)
                    shapes |= {f"{layer}/{kind}/{part}/kernel": (WIDTH, FEED) for part in inner}
                    shapes[f"{layer}/{kind}/wo/kernel"] = (FEED, WIDTH)
                    continue
                shapes |= {f"{layer}/{kind}/{part}": (WIDTH, HEADS * KEY) for part in "qkv"}
                shapes[f"{layer}/{kind}/o"] = (HEADS * KEY, WIDTH)
                if i == 0 and kind == "SelfAttention":
                    shapes[f"{layer}/{kind}/relative_attention_bias"] = (HEADS, BUCKETS)
        shapes[f"{stack}/{last}/scale"] = (WIDTH,)
    arrays = draw(shapes, seed)
    if half:
        arrays = {name: array.astype(ml_dtypes.bfloat16) for name, array in arrays.items()}
    slots: dict[str, np.ndarray] = {}
    for name, array in arrays.items():  # Adafactor keeps matrices by row and column, what is small as a whole
        if array.ndim == 2 and not name.endswith("relative_attention_bias"):
            slots |= {f"{name}_slot_{leaf}": array.astype("f4").std(i) for i, leaf in enumerate(("vc", "vr"))}
        else:
            slots[f"{name}_slot_v"] = np.square(array).astype("f4")
    return {STEP: np.array(1000, np.int64), **arrays, **slots}


def write(folder: Path, arrays: Arrays, *, depths: Mapping[str, int], gated: bool) -> None:
    write_bundle(folder / "model.ckpt-1000", arrays, shards=[[STEP]])
    write_note(folder, "model.ckpt-1000")
    (folder / "operative_config.gin").write_text(gin(depths, gated))


def convert(folder: Path, *, depths: Mapping[str, int], gated: bool) -> nn.Module:
    config = T5Config(
        vocab_size=WORDS, d_model=WIDTH, d_kv=KEY, d_ff=FEED, num_layers=depths["encoder"],
        num_decoder_layers=depths["decoder"], num_heads=HEADS, relative_attention_num_buckets=BUCKETS,
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated, dropout_rate=0.0,
        decoder_start_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    load_tf_weights_in_t5(model, config, str(folder / "model.ckpt-1000"))
    model.tie_weights()
    return model


def run_body(model: nn.Module, call: Call, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The reference has no body inside its model with a head: its encoder and its decoder do the same."""
    if call.head:
        return {"logits": model(**inputs).logits}
    mask, target_mask = inputs.get("attention_mask"), inputs.get("decoder_attention_mask")
    encoded = model.encoder(input_ids=inputs["input_ids"], attention_mask=mask)[0]
    states = model.decoder(
        input_ids=inputs["decoder_input_ids"], attention_mask=target_mask, encoder_hidden_states=encoded,
        encoder_attention_mask=mask,
    )[0]  # fmt: skip
    return {"last_hidden_state": states, "encoder_last_hidden_state": encoded}


def calls() -> list[Call]:
    long = {"input_ids": tokens(5, 1, WORDS, 1, 150), "decoder_input_ids": tokens(6, 1, WORDS, 1, 140)}
    masked = {
        "input_ids": tokens(7, 1, WORDS, 2, 12), "attention_mask": padding(12, 12, 7),
        "decoder_input_ids": tokens(8, 1, WORDS, 2, 9), "decoder_attention_mask": padding(9, 9, 6),
    }  # fmt: skip
    return [
        Call("body", long), Call("body_masked", masked), Call("logits", long, "seq2seq_lm"),
        Call("logits_masked", masked, "seq2seq_lm"),
    ]  # fmt: skip


SAME, UNLIKE = {"encoder": 2, "decoder": 2}, {"encoder": 3, "decoder": 2}


def release(name: str, depths: Mapping[str, int], gated: bool, seed: int, half: bool = False) -> Release:
    how = {"depths": depths, "gated": gated}
    return Release(
        name, "t5", "google", REFERENCE, stored(depths, gated, seed, half), partial(write, **how),
        partial(convert, **how), run_body, calls(), unused=[r"_slot_v[rc]?$", f"^{STEP}$"],
    )  # fmt: skip


RELEASES = [
    release("t5", SAME, False, 6), release("t5_1_1", UNLIKE, True, 7), release("t5_bfloat16", SAME, False, 8, True),
]  # fmt: skip

if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in RELEASES:
        make(each)
