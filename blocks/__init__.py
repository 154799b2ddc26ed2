"""Blocks: the parts transformer models are made of, each usable by hand, without any YAML."""

from . import (  # noqa: F401  (importing a module registers its blocks)
    adaptive,
    attention,
    beam_head,
    decoder_inputs,
    embeddings,
    feed_forward,
    language_heads,
    layer,
    norm,
    padding,
    pooler,
    position_bias,
    positions,
    relative_attention,
    stack,
    task_heads,
    two_stream,
)
from .base import INPUTS, Bias, Context, Embedding, Head, Norm, Part, Pooler, Sublayer
from .cache import KeyValueCache
from .registry import BlockError, Factory, blocks, get, parameters, register

__all__ = [
    "INPUTS", "Bias", "BlockError", "Context", "Embedding", "Factory", "Head", "KeyValueCache", "Norm", "Part",
    "Pooler", "Sublayer", "blocks", "get", "parameters", "register",
]  # fmt: skip
