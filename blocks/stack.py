"""Stacks: the loop over layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Bias, Context, Norm, Part
from .layer import Layer
from .registry import BlockError, Count, Factory, Probability, Range, register

Repeats = Annotated[int, Range(1, 10_000)]
Kinds = list[str]


def layers(layer: Factory[Layer], repeat: int, kinds: Kinds | None = None) -> Iterator[Layer]:
    """`repeat` layers of the kinds in turn."""
    if kinds is not None and not kinds:
        raise BlockError("no kinds of layers", "kinds")
    for index in range(repeat):
        if kinds is None:
            yield layer()
        else:
            made = layer(kinds[index % len(kinds)])
            made.kind = kinds[index % len(kinds)]
            yield made


class Loop(Part):
    """Hidden states through layers, one after the other, whatever modules those are."""

    reads: ClassVar = frozenset({"last_hidden_state"})

    def __init__(
        self, *, norm: Norm | None, dropout: Probability, position_bias: Bias | None = None, zero_padding: bool = False
    ) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm is None else norm
        self.dropout = dropout
        self.position_bias = position_bias
        self.zero_padding = zero_padding

    def passes(self) -> Iterable[Layer]:
        """The layers in the order in which they run; one may run several times."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        context.position_bias = self.position_bias
        hidden = self._clear(hidden, context)
        for index, layer in enumerate(self.passes()):
            context.layer = index
            self.collect_states(hidden, context)
            hidden = self._clear(self.run(layer, hidden, context), context)
        hidden = F.dropout(self.norm(hidden), self.dropout, self.training)
        self.collect_states(hidden, context)
        return hidden

    def collect_states(self, hidden: Tensor, context: Context) -> None:
        """What `hidden_states` gets, if asked for."""
        if context.output_hidden_states:
            context.collect("hidden_states", hidden)

    def run(self, layer: Layer, hidden: Tensor, context: Context) -> Tensor:
        """One layer; a place for what a kind of stack does around each."""
        return layer(hidden, context)

    def _clear(self, hidden: Tensor, context: Context) -> Tensor:
        if not self.zero_padding or context.real is None:
            return hidden
        return hidden.masked_fill(~context.real[..., None], 0)


@register("stack")
class Stack(Loop):
    """Layers one after the other. *Shape:* [B, L, D] -> [B, L, D].

    `hidden_states` collects what each layer gets and, last, what the stack returns.

    Args:
        layer: made `repeat` times.
        repeat: number of layers.
        kinds: kind of each layer, from the beginning again if there are fewer; for `by_kind` in the layer.
        norm: applied after the last layer.
        dropout: probability of dropping a value of the result in training.
        position_bias: added to the scores of self-attention in every layer.
        zero_padding: whether states of padding are set to zero, at first and after every layer, where a part has found
            out which are real.
    """

    def __init__(
        self,
        *,
        layer: Factory[Layer],
        repeat: Repeats,
        kinds: Kinds | None = None,
        norm: Norm | None = None,
        dropout: Probability = 0.0,
        position_bias: Bias | None = None,
        zero_padding: bool = False,
    ) -> None:
        super().__init__(norm=norm, dropout=dropout, position_bias=position_bias, zero_padding=zero_padding)
        self.layers = nn.ModuleList(layers(layer, repeat, kinds))

    def passes(self) -> Iterable[Layer]:
        return self.layers


@register("shared_stack")
class SharedStack(Loop):
    """Few layers, each run several times in a row. Paper: Lan et al. 2019, arXiv:1909.11942.
    *Shape:* [B, L, D] -> [B, L, D].

    The passes are divided among the groups: with 12 of them and 3 groups, each group makes 4 passes before the next
    begins. `hidden_states` and `attentions` are collected each time a layer runs.

    Args:
        layer: made `groups` times `group_size` times.
        repeat: number of passes.
        groups: number of groups of layers, each with parameters of its own.
        group_size: layers of a group; a pass runs all of them.
        norm: applied after the last pass.
        dropout: probability of dropping a value of the result in training.
    """

    def __init__(
        self,
        *,
        layer: Factory[Layer],
        repeat: Repeats,
        groups: Repeats = 1,
        group_size: Repeats = 1,
        norm: Norm | None = None,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(norm=norm, dropout=dropout)
        if groups > repeat:
            raise BlockError(f"{repeat} passes do not reach {groups} groups of layers", "groups", "repeat")
        self.repeat = repeat
        self.groups = nn.ModuleList(nn.ModuleList(layers(layer, group_size)) for _ in range(groups))

    def passes(self) -> Iterable[Layer]:
        for index in range(self.repeat):
            yield from self.groups[index * len(self.groups) // self.repeat]


@register("memory_stack")
class MemoryStack(Stack):
    """Layers that also see what they were given for earlier segments.
    Paper: Dai et al. 2019, arXiv:1901.02860. *Shape:* [B, L, D] -> [B, L, D].

    `mems` holds one [memory, B, D] a layer, newest position last, cut to `memory_length`. A fresh memory is
    `memory_length` zero vectors, and these are attended to, as the authors do.

    Args:
        layer: made `repeat` times.
        repeat: number of layers.
        memory_length: positions remembered; 0 for none.
        norm: applied after the last layer.
        dropout: probability of dropping a value of the embeddings and of the result in training.
    """

    reads: ClassVar = frozenset({"last_hidden_state", "mems"})
    provides: ClassVar = frozenset({"last_hidden_state", "mems"})

    def __init__(
        self,
        *,
        layer: Factory[Layer],
        repeat: Repeats,
        memory_length: Count,
        norm: Norm | None = None,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(layer=layer, repeat=repeat, norm=norm, dropout=dropout)
        self.memory_length = memory_length

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        if context.mems is not None and len(context.mems) != len(self.layers):
            raise BlockError(f"mems hold {len(context.mems)} layers, the model has {len(self.layers)}", "mems")
        if context.mems is not None and any(m.shape[1:] != (hidden.shape[0], hidden.shape[2]) for m in context.mems):
            shape = f"[positions, {hidden.shape[0]}, {hidden.shape[2]}]"
            raise BlockError(f"mems of shape {list(context.mems[0].shape)} do not fit: each must be {shape}", "mems")
        return super().forward(hidden, context)

    def run(self, layer: Layer, hidden: Tensor, context: Context) -> Tensor:
        memory = self.recall(hidden, context)
        kept = self.remember(memory, hidden, context)
        if kept is not None:
            context.collect("mems", kept.detach().transpose(0, 1))
        context.memory = memory
        hidden = layer(hidden, context)
        context.memory = None
        return hidden

    def recall(self, hidden: Tensor, context: Context) -> Tensor | None:
        """The memory [B, memory, D] of the layer that runs now."""
        if context.mems is not None:
            return context.mems[context.layer].transpose(0, 1)
        return hidden.new_zeros(hidden.shape[0], self.memory_length, hidden.shape[-1])

    def remember(self, memory: Tensor | None, hidden: Tensor, context: Context) -> Tensor | None:
        """The next memory of that layer, which is given `hidden`."""
        return torch.cat([memory, hidden], dim=1)[:, -self.memory_length :] if self.memory_length else None
