"""The categories blocks belong to, and the context record that travels beside the hidden states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .cache import KeyValueCache
from .registry import Block

#: What a caller may give a model, and a block may read from the context.
INPUTS = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "position_ids",
    "inputs_embeds",
    "langs",
    "lengths",
    "perm_mask",
    "target_mapping",
    "encoder_hidden_states",
    "encoder_attention_mask",
    "mems",
    "past_key_values",
    "mc_token_ids",
    "cls_index",
    "p_mask",
)


@dataclass(slots=True)
class Context:
    """Side information of one forward pass: what the caller gave, and what blocks collect on the way.

    Shapes: B batch, L positions of this call, P cached positions before them, S encoder positions, D hidden size.
    """

    input_ids: Tensor | None = None  # [B, L]
    inputs_embeds: Tensor | None = None  # [B, L, D]
    attention_mask: Tensor | None = None  # [B, P + L], or [B, L, P + L], or [B, heads or 1, L, P + L]; not 0: visible
    token_type_ids: Tensor | None = None  # [B, L]
    position_ids: Tensor | None = None  # [B or 1, L]
    langs: Tensor | None = None  # [B, L], a language for each token
    lengths: Tensor | None = None  # [B], real tokens, which come first
    perm_mask: Tensor | None = None  # [B, L, L]; not 0: hidden from the row's position
    target_mapping: Tensor | None = None  # [B, T, L]; the positions that the query stream predicts, one-hot
    encoder_hidden_states: Tensor | None = None  # [B, S, D]
    encoder_attention_mask: Tensor | None = None  # [B, S], or [B, L, S]
    mems: Sequence[Tensor] | None = None  # a layer: [memory, B, D]
    past_key_values: KeyValueCache | None = None
    mc_token_ids: Tensor | None = None  # [B]
    cls_index: Tensor | None = None  # [B]
    p_mask: Tensor | None = None  # [B, L]; not 0: cannot be part of an answer
    encoder_input_ids: Tensor | None = None  # [B, S], on the decoder's side
    target_ids: Tensor | None = None  # [B, L], labels of the head that are the text to decode
    choices: int | None = None  # rows of the batch that belong together, when the inputs had three dimensions

    unpadded_length: int | None = None  # L as it was, while chunks are filled up

    output_hidden_states: bool = False
    output_attentions: bool = False
    names: Mapping[str, str] = field(default_factory=dict)  # what the caller calls these, where otherwise

    layer: int = 0  # set by the stack for the layer that runs now
    memory: Tensor | None = None  # likewise: [B, memory, D]
    position_bias: Bias | None = None  # likewise, for all its layers
    real: Tensor | None = None  # [B, L], true where there is a token and no padding, if a part has found out
    collected: dict[str, list[Tensor | tuple[Tensor, ...]]] = field(default_factory=dict)
    memo: dict[tuple, Any] = field(default_factory=dict)  # masks and tables shared by all layers

    past_length: int | Tensor = field(init=False)  # P: positions in the key/value cache before this pass; [] if fixed

    def __post_init__(self) -> None:
        self.past_length = 0 if self.past_key_values is None else self.past_key_values.length

    @property
    def fixed(self) -> bool:
        """Whether attention sees all places of a cache of fixed size, filled or not."""
        return isinstance(self.past_length, Tensor)

    def called(self, field: str) -> str:
        """The caller's name of a field."""
        return self.names.get(field, field)

    def collect(self, name: str, value: Tensor | tuple[Tensor, ...]) -> None:
        """Append to the output tuple `name` (hidden_states, attentions, cross_attentions, mems)."""
        self.collected.setdefault(name, []).append(value)


class Norm(Block, nn.Module):
    """Normalises the last dimension. *Shape:* [..., D] -> [..., D]."""

    def forward(self, hidden: Tensor) -> Tensor: ...


class Embedding(Block, nn.Module):
    """Makes vectors of one kind of ids. *Shape:* -> [B, L, D], or None when its ids are optional and absent."""

    longest: int | None = None  # L at most; None: any
    offset: int = 0  # what position_ids call the first position

    def forward(self, context: Context) -> Tensor | None: ...


class Sublayer(Block, nn.Module):
    """An operation inside a layer. The layer gives it its `norm`. *Shape:* [..., L, D] -> [..., L, D]."""

    norm: nn.Module
    requires: ClassVar[str | None] = None  # the layer skips the operation when this context field is None

    def forward(self, hidden: Tensor, context: Context) -> Tensor: ...


class Bias(Block, nn.Module):
    """What all self-attention of a stack adds to its scores. *Shape:* -> [1, heads, L, keys].

    The last query stands at the last key, unless `first` [] says where the first one stands.
    """

    def forward(self, length: int, keys: int, first: Tensor | None = None) -> Tensor: ...


class Rotation(Block, nn.Module):
    """Turns queries and keys by their positions, before they are compared. *Shape:* [B, heads, L, d] -> the same."""

    def forward(self, hidden: Tensor, context: Context) -> Tensor: ...


class Part(Block, nn.Module):
    """A named piece of the body. Parts run in the order of the spec; each takes the newest `last_hidden_state`."""

    output: ClassVar[str | None] = "last_hidden_state"  # the name of what forward returns; None: it fills the context
    provides: ClassVar[frozenset[str]] = frozenset({"last_hidden_state"})

    def forward(self, hidden: Tensor | None, context: Context) -> Tensor | None: ...


class Pooler(Part):
    """One vector for a sequence, as a part of the body or of a head. *Shape:* [B, L, D] -> [B, D]."""

    output: ClassVar = "pooler_output"
    reads: ClassVar = frozenset({"last_hidden_state"})
    provides: ClassVar = frozenset({"pooler_output"})

    def forward(self, hidden: Tensor, context: Context) -> Tensor: ...


class Head(Block, nn.Module):
    """Turns one of the body's outputs into logits, and labels into a loss."""

    source: str = "last_hidden_state"
    reads: ClassVar[frozenset[str]] = frozenset({"last_hidden_state"})
    labels: ClassVar[tuple[str, ...]] = ("labels",)
    target: ClassVar[str | None] = None  # the label that is the text which a decoder is to write
    wants_choices: ClassVar[bool] = False  # inputs of three dimensions [B, choices, L]

    def forward(self, hidden: Tensor, context: Context, **labels: Tensor | None) -> dict[str, Tensor | None]: ...


def positions(context: Context, length: int, device: torch.device) -> Tensor:
    """The caller's position ids, or P, P + 1, … *Shape:* [B or 1, L]."""
    if context.position_ids is not None:
        return context.position_ids
    return (torch.arange(length, device=device) + context.past_length).unsqueeze(0)
