"""A stack that remembers no activations: backward computes them again from its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .base import Context, Norm, Sublayer
from .layer import Layer
from .registry import BlockError, Factory, Probability, register
from .stack import Kinds, Repeats, Stack

#: The type in which streams are added up. What was added can then be taken away again without a trace, so backward
#: computes from what forward computed from, bit for bit, and hashes fall into the same buckets.
WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.float32: torch.float64}


@register("reversible_stack")
class ReversibleStack(Stack):
    """Layers over two streams that begin equal; each operation reads one and is added to the other. The result is both,
    beside each other. Paper: Gomez et al. 2017, arXiv:1707.04585; Kitaev et al. 2020, arXiv:2001.04451.
    *Shape:* [B, L, D] -> [B, L, 2 · D].

    In training no activations are kept: backward takes each operation's result away from its stream and so finds what
    the operation was given. The memory for activations does not depend on the number of layers; the time for a step
    grows by about a third. Dropout and unseeded hashing are drawn alike both times. `hidden_states` collects the stream
    that each layer reads first and, last, what it is in the end, before the norm; no gradients flow through them in
    training.

    Args:
        layer: made `repeat` times; with `residual: pre`, and without cross-attention.
        repeat: number of layers.
        kinds: kind of each layer, from the beginning again if there are fewer; for `by_kind` in the layer.
        norm: applied to both streams beside each other, of width 2 · D.
        dropout: probability of dropping a value of the result in training.
    """

    def __init__(
        self,
        *,
        layer: Factory[Layer],
        repeat: Repeats,
        kinds: Kinds | None = None,
        norm: Norm | None = None,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(layer=layer, repeat=repeat, kinds=kinds, norm=norm, dropout=dropout)
        if any(layer.residual != "pre" for layer in self.layers):
            raise BlockError("layers of a reversible stack have the residual `pre`", "layer")
        if any(operation.requires is not None for layer in self.layers for operation in layer.children()):
            raise BlockError("a reversible stack cannot pass gradients on to an encoder", "layer")

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        context.position_bias = None
        if self.training and torch.is_grad_enabled():
            if context.past_key_values is not None:
                raise BlockError("reversible layers cannot extend a cache in training", "past_key_values")
            run = Run(self.steps(), replace(context, collected={}, memo={}), hidden)
            trained = [parameter for parameter in self.layers.parameters() if parameter.requires_grad]
            streams = Reversible.apply(run, context, hidden, hidden, *trained)
        else:
            streams = hidden, hidden
            for step in self.steps():
                streams = streams[1], streams[0] + step(streams[1], context)
        if context.output_hidden_states:
            context.collect("hidden_states", streams[1])
        return F.dropout(self.norm(torch.cat(streams, dim=-1)), self.dropout, self.training)

    def steps(self) -> list[Step]:
        return [
            Step(layer, operation, index, first=number == 0)
            for index, layer in enumerate(self.layers)
            for number, operation in enumerate(layer.children())
        ]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of one layer."""

    layer: Layer
    operation: Sublayer
    index: int  # of the layer
    first: bool  # of its operations

    def __call__(self, hidden: Tensor, context: Context) -> Tensor:
        """What is added to the other stream. *Shape:* [B, L, D] -> [B, L, D]."""
        context.layer = self.index
        if self.first and context.output_hidden_states:
            context.collect("hidden_states", hidden)
        return self.layer.change(self.operation, hidden, context)


class Run:
    """What both directions of one pass share: the steps, and what they are to find as it was."""

    def __init__(self, steps: list[Step], context: Context, hidden: Tensor) -> None:
        self.steps = steps
        self.context = context  # for the second time: nothing is collected then
        context.output_hidden_states = context.output_attentions = False
        self.dtype = hidden.dtype
        self.device = hidden.device
        self.seed = int(torch.empty((), dtype=torch.int64, device="cpu").random_())
        kind = hidden.device.type
        self.autocast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))

    @contextmanager
    def again(self, number: int) -> Iterator[None]:
        """The same random numbers each time the step of this number runs, and the precision of the first time."""
        generators, devices = [torch.default_generator], []
        if self.device.type != "cpu":
            devices = [self.device.index]
            generators.append(torch.get_device_module(self.device).default_generators[self.device.index])
        with torch.random.fork_rng(devices, device_type=self.device.type):
            for generator in generators:
                generator.manual_seed(self.seed + number)
            kind, dtype, enabled = self.autocast
            with torch.autocast(kind, dtype, enabled):
                yield


class Reversible(torch.autograd.Function):
    """Two streams through all steps; what is saved is their end."""

    @staticmethod
    def forward(
        ctx: Any, run: Run, context: Context, first: Tensor, second: Tensor, *trained: Tensor
    ) -> tuple[Tensor, Tensor]:
        wide = WIDER.get(run.dtype, run.dtype)
        first, second = first.to(wide), second.to(wide)
        for number, step in enumerate(run.steps):
            with run.again(number):
                first, second = second, first + step(second.to(run.dtype), context)
        ctx.run, ctx.trained = run, trained
        ctx.save_for_backward(first, second)
        return first.to(run.dtype), second.to(run.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_first: Tensor, grad_second: Tensor) -> tuple[Tensor | None, ...]:
        run = ctx.run
        first, second = ctx.saved_tensors
        total: dict[int, Tensor] = {}  # by identity: an operation may have parameters of another
        for number, step in reversed(list(enumerate(run.steps))):
            own = [parameter for parameter in step.operation.parameters() if parameter.requires_grad]
            with torch.enable_grad(), run.again(number):
                given = first.detach().to(run.dtype).requires_grad_()
                change = step(given, run.context)
            to_given, *to_own = torch.autograd.grad(
                change, [given, *own], grad_second.to(change.dtype), allow_unused=True
            )
            first, second = second - change.detach(), first
            grad_first, grad_second = grad_second, grad_first + to_given
            for key, gradient in zip(map(id, own), to_own, strict=True):
                if gradient is not None:
                    total[key] = total[key] + gradient if key in total else gradient
        return None, None, grad_first, grad_second, *(total.get(id(parameter)) for parameter in ctx.trained)
