"""The one parity helper: a reference model and ours, from the same checkpoint, on the same inputs.

A case is data (see `cases/`). Tolerance: 2e-5 for outputs of order one in float32, the project's own limit. For
larger values, and for gradients (sums over all positions), it grows with their size, as rounding does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import modelwright as mw
from modelwright.assembler.weights.mapping import find_sources

TOLERANCE = 2e-5


@dataclass(frozen=True)
class Case:
    """A reference class with a small config, our spec and head, the inputs, and which outputs must agree."""

    name: str
    spec: str
    reference: str
    config: Mapping[str, Any]
    inputs: Callable[[], dict[str, Tensor]]
    head: str | None = None
    labels: Callable[[], dict[str, Tensor]] | None = None
    outputs: tuple[str, ...] = ()  # beside logits, hidden states and attentions
    states: tuple[str, ...] = ("hidden_states", "attentions")
    next: Callable[[], dict[str, Tensor]] | None = None  # inputs of a second call, which gets ...
    carry: tuple[str, ...] = ()  # ... these outputs of the first as inputs
    dropped: frozenset[str] = frozenset()  # stored by the reference though the network does not read it, or twice
    renamed: Mapping[str, str] = field(default_factory=dict)  # of tied tensors, the one we store -> the one it stores
    real: Callable[[dict[str, Tensor]], Tensor] | None = None  # rows that mean something, if not all
    exact: bool = False  # whether to compare with the reference's float64 outputs: its float32 ones are too far off

    def __str__(self) -> str:
        return f"{self.spec}-{self.name}"


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Weights, and stored buffers, large enough that each moves the output: a permuted or dropped one must show."""
    generator = torch.Generator().manual_seed(seed)
    stored = model.state_dict()
    buffers = [buffer for name, buffer in model.named_buffers() if name in stored and buffer.is_floating_point()]
    with torch.no_grad():
        for parameter in [*model.parameters(), *buffers]:
            around = 1.0 if parameter.dim() == 1 and bool((parameter == 1).all()) else 0.0
            parameter.copy_(around + 0.3 * torch.randn(parameter.shape, generator=generator))


def assert_close(ours: Tensor, theirs: Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    assert ours.shape == theirs.shape, f"{what}: {tuple(ours.shape)} and {tuple(theirs.shape)}"
    limit = tolerance * max(1.0, theirs.abs().max().item())
    gap = (ours - theirs).abs().max().item()
    assert gap <= limit, f"{what}: differs by {gap:.2e}, allowed {limit:.1e}"


def flat(values: Sequence[Tensor | Sequence[Tensor]]) -> list[Tensor]:
    """The tensors of a tuple which may hold pairs (of two streams)."""
    return [tensor for value in values for tensor in ([value] if isinstance(value, Tensor) else value)]


def float64_outputs(model: nn.Module, inputs: Mapping[str, Any], **switches: bool) -> Any:
    """Of a float32 model and its inputs."""

    def wide(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(wide, value))
        return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value

    return copy.deepcopy(model).double()(**{name: wide(value) for name, value in inputs.items()}, **switches)


def assert_outputs(
    ours: Any, theirs: Any, names: tuple[str, ...], rows: Tensor | None = None, exact: Any = None
) -> None:
    """`rows` [B, L] selects the positions to compare in tensors that begin with [B, L]. With `exact` outputs ours are
    to be within the tolerance of those, or as near to them as the reference's."""
    for name in names:
        if exact is not None:
            for a, b, c in zip(*(flat([getattr(x, name)]) for x in (ours, theirs, exact)), strict=True):
                own = (b - c).abs().max().item() / max(1.0, c.abs().max().item())
                assert_close(a, c, name, max(TOLERANCE, own))
            continue
        expected, found = theirs[name], getattr(ours, name)
        if not isinstance(expected, Tensor):
            expected, found = flat(expected), flat(found)
            assert len(expected) == len(found), f"{name}: {len(found)} and {len(expected)} layers"
            pairs = [(f"{name}[{i}]", a, b) for i, (a, b) in enumerate(zip(found, expected, strict=True))]
        else:
            pairs = [(name, found, expected)]
        for what, a, b in pairs:
            if b.dim() == a.dim() + 1:  # the reference unfolds choices in its last hidden state alone
                b = b.flatten(0, 1)
            if rows is not None and b.dim() >= 2 and b.shape[:2] == rows.shape:
                a, b = a[rows], b[rows]
            elif rows is not None and b.dim() == 4 and b.shape[2] == rows.shape[1]:  # attentions: query rows
                a, b = a.transpose(1, 2)[rows], b.transpose(1, 2)[rows]
            assert_close(a, b, what)


def stored_gradients(model: mw.Model, names: set[str]) -> dict[str, Tensor]:
    """Gradients in the reference's layout, by those of its names that the model's mapping leads to."""
    section = model.spec.interpolated(model.config.to_dict())["weights"]["huggingface"]
    twins = {name: twin for twin, name in section.get("duplicates", {}).items()}
    found = {}
    for source in find_sources(model, section, "huggingface"):
        gradients = [model.get_parameter(target).grad for target in source.targets]
        if any(gradient is None for gradient in gradients):
            continue
        for prefix in (section.get("prefix") or [""]) if source.body else [""]:
            for stored in (source.stored, twins.get(source.stored, source.stored)):
                if prefix + stored in names:
                    found[prefix + stored] = source.pipeline.inverse(gradients)
    return found
