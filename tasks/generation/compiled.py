"""The step of one token, compiled: shapes that never change, and nothing that depends on data but the tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor
from torch.nn import functional as F

from ...assembler.model import Model
from ...assembler.output import ModelOutput
from .steps import CachedSteps

#: Capacities are multiples of it, so that texts of similar length share compiled code.
ROUND = 64
#: Without the compiler's own tests of each intermediate shape in every step.
OPTIONS = {"size_asserts": False, "alignment_asserts": False}
_COMPILED: WeakKeyDictionary[Model, dict[tuple[Any, ...], Callable[..., Any]]] = WeakKeyDictionary()


class CompiledSteps(CachedSteps):
    """Carries keys and values in buffers of fixed size. The prompt runs as usual, each word after it compiled."""

    def __init__(self, model: Model, inputs: Mapping[str, Any], *, capacity: int, states: bool = False) -> None:
        vectors = inputs.get("inputs_embeds")
        ahead = 0 if vectors is None else vectors.shape[1]
        self.capacity = -(-(capacity + ahead) // ROUND) * ROUND
        super().__init__(model, inputs, capacity=self.capacity, states=states)
        self.fixed: Any = None  # the cache, from the first compiled step on

    def __call__(self, ids: Tensor) -> Tensor:
        if self.cache.get_seq_length() == 0:
            return super().__call__(ids)
        if self.fixed is None:
            self.fixed = self.cache.fixed()
        # Strides are part of what is compiled, and those of a column tell how wide the whole was.
        inputs = {
            name: value.clone(memory_format=torch.contiguous_format) if isinstance(value, Tensor) else value
            for name, value in self.step(ids).items()
        }
        inputs |= {"past_key_values": self.fixed, "logits_to_keep": 1, "output_hidden_states": self.states}
        output = compiled(self.model, (ids.shape[0], self.capacity, *inputs))(inputs)
        self.fixed.advance()
        return self.scores(output)

    def shown(self, visible: Tensor) -> Tensor:
        """Over all places: those not written yet are hidden by the order of positions."""
        return visible if self.fixed is None else F.pad(visible, (0, self.capacity - visible.shape[1]), value=1)


def compiled(model: Model, shapes: tuple[Any, ...]) -> Callable[[dict[str, Any]], ModelOutput]:
    """The model's forward pass as compiled code, once for each kind of step.

    Each has a code object of its own, because the compiler keeps only so many versions of one.
    """
    known = _COMPILED.setdefault(model, {})
    if shapes not in known:
        weak = ref(model)

        def step(inputs: dict[str, Any]) -> ModelOutput:
            return weak()(**inputs)

        step.__code__ = step.__code__.replace()
        known[shapes] = torch.compile(step, fullgraph=True, dynamic=False, options=OPTIONS)
    return known[shapes]
