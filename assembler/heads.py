"""The heads of a model: which run in a call, on which labels, and what their outputs are called there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..blocks import Context, Head
from .output import ModelOutput


@dataclass(frozen=True, slots=True)
class HeadRun:
    """One head within a call, and what its outputs and labels are called there."""

    name: str
    rename: Mapping[str, str] = field(default_factory=dict)

    def named(self, own: str) -> str:
        return self.rename.get(own, own)


def run_heads(
    heads: Mapping[str, Head], runs: Iterable[HeadRun], outputs: Mapping[str, Tensor], context: Context,
    labels: Mapping[str, Any], *, separate: bool,
) -> ModelOutput:
    """What heads make of the outputs of a body. `separate`: each keeps its outputs to itself, and labels may be given
    by head."""
    found: dict[str, dict[str, Tensor | None]] = {}
    for run in runs:
        head = heads[run.name]
        given = {own: labels.get(run.named(own)) for own in head.labels}
        if separate:  # labels by head
            given = {own: v.get(run.name) if isinstance(v, Mapping) else v for own, v in given.items()}
        result = head(outputs[head.source], context, **given)
        if context.choices is not None and not head.wants_choices:  # such a head has seen rows, not choices
            rows = (-1, context.choices)
            result = {own: v.unflatten(0, rows) if v is not None and v.dim() else v for own, v in result.items()}
        found[run.name] = result
    losses = [result["loss"] for result in found.values() if "loss" in result]
    loss = sum(losses) if losses and all(loss is not None for loss in losses) else None
    if separate:
        return ModelOutput(loss=loss, heads=found)
    named = {run.named(own): value for run in runs for own, value in found[run.name].items() if own != "loss"}
    return ModelOutput(loss=loss, **named)


def target_ids(targets: Iterable[tuple[str, str]], labels: Mapping[str, Any]) -> Tensor | None:
    """The labels that are the text to write, if there are any. `targets`: heads, and the names of such labels."""
    for head, name in targets:
        value = labels.get(name)
        return value.get(head) if isinstance(value, Mapping) else value
    return None
