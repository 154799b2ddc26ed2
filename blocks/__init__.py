"""Blocks: the parts transformer models are made of, each usable by hand, without any YAML."""

from . import (  # noqa: F401  (importing a module registers its blocks)
    adaptive,
    attention,
    axial_positions,
    beam_head,
    chunks,
    decoder_inputs,
    embeddings,
    feed_forward,
    language_heads,
    layer,
    local_attention,
    lsh_attention,
    norm,
    padding,
    pooler,
    position_bias,
    positions,
    relative_attention,
    reversible,
    rotary,
    stack,
    task_heads,
    two_stream,
)
from .base import INPUTS, Bias, Context, Embedding, Head, Norm, Part, Pooler, Rotation, Sublayer
from .cache import KeyValueCache
from .layer import Layer
from .linear import Linear
from .registry import BlockError, Factory, blocks, get, parameters, register

__all__ = [
    "INPUTS", "Bias", "BlockError", "Context", "Embedding", "Factory", "Head", "KeyValueCache", "Layer", "Linear",
    "Norm", "Part", "Pooler", "Rotation", "Sublayer", "blocks", "get", "parameters", "register",
]  # fmt: skip
