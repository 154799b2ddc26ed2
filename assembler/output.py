"""What a model returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from ..blocks import KeyValueCache


@dataclass(slots=True)
class ModelOutput:
    """Outputs by name. Those that are not None also unpack and index in this order, as a tuple would.

    Shapes: B batch, L positions, K attended positions, D hidden size, H heads, V vocabulary, C classes or choices.
    """

    loss: Tensor | None = None  # []
    mc_loss: Tensor | None = None  # []
    losses: Tensor | None = None  # [B, L - 1], by token
    logits: Tensor | None = None  # [B, L, V], [B, L, C] or [B, C], by head
    mc_logits: Tensor | None = None  # [B, C]
    prediction_logits: Tensor | None = None  # [B, L, V]
    seq_relationship_logits: Tensor | None = None  # [B, 2]
    sop_logits: Tensor | None = None  # [B, 2]
    start_logits: Tensor | None = None  # [B, L]
    end_logits: Tensor | None = None  # [B, L]
    start_top_log_probs: Tensor | None = None  # [B, starts]
    start_top_index: Tensor | None = None  # [B, starts]
    end_top_log_probs: Tensor | None = None  # [B, ends x starts]
    end_top_index: Tensor | None = None  # [B, ends x starts]
    cls_logits: Tensor | None = None  # [B]
    last_hidden_state: Tensor | None = None  # [B, L, D]; of a model without heads
    pooler_output: Tensor | None = None  # [B, D]; of a model without heads
    heads: dict[str, dict[str, Tensor | None]] | None = None  # of several heads, by name
    past_key_values: KeyValueCache | None = None
    mems: tuple[Tensor, ...] | None = None  # a layer: [memory, B, D]
    hidden_states: tuple[Tensor, ...] | None = None  # embeddings and each layer: [B, L, D]
    attentions: tuple[Any, ...] | None = None  # a layer: [B, H, L, K], or a pair of two streams
    decoder_hidden_states: tuple[Tensor, ...] | None = None  # the same, of the decoder beside an encoder
    decoder_attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None  # a layer: [B, H, L, S]
    encoder_last_hidden_state: Tensor | None = None  # [B, S, D]
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None

    def keys(self) -> tuple[str, ...]:
        """Names of the outputs that are there."""
        return tuple(name for name in NAMES if getattr(self, name) is not None)

    def to_tuple(self) -> tuple[Any, ...]:
        """The outputs that are there, in order."""
        return tuple(getattr(self, name) for name in self.keys())

    def items(self) -> tuple[tuple[str, Any], ...]:
        return tuple((name, getattr(self, name)) for name in self.keys())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_tuple())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, key: str | int | slice) -> Any:
        if not isinstance(key, str):
            return self.to_tuple()[key]
        if key not in self.keys():
            raise KeyError(key)
        return getattr(self, key)


NAMES = tuple(field.name for field in fields(ModelOutput))

# torch.compile, torch.export and the distributed engine look inside outputs through this registration.
pytree.register_pytree_node(
    ModelOutput,
    lambda output: (list(output.to_tuple()), output.keys()),
    lambda values, names: ModelOutput(**dict(zip(names, values, strict=True))),
    serialized_type_name="modelwright.ModelOutput",
    to_dumpable_context=list,
    from_dumpable_context=tuple,
)
