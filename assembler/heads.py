"""The heads of a model: which run in a call, on which labels, and what their outputs are called there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..blocks import Context, Head
from ..errors import UsageError, did_you_mean
from .output import ModelOutput


@dataclass(frozen=True, slots=True)
class HeadRun:
    """One head within a call, and what its outputs and labels are called there."""

    name: str
    rename: Mapping[str, str] = field(default_factory=dict)

    def named(self, own: str) -> str:
        return self.rename.get(own, own)

    def called(self, own: str, by_head: bool) -> str:
        """The labels of this head, for messages."""
        return f'{self.named(own)}["{self.name}"]' if by_head else self.named(own)


def run_heads(
    heads: Mapping[str, Head], runs: Sequence[HeadRun], outputs: Mapping[str, Tensor], context: Context,
    labels: Mapping[str, Any], *, separate: bool,
) -> ModelOutput:
    """What heads make of the outputs of a body. `separate`: each keeps its outputs to itself, and labels may be given
    by head."""
    found: dict[str, dict[str, Tensor | None]] = {}
    names = context.names
    for run in runs:
        head = heads[run.name]
        context.names = {**names, **{own: run.called(own, separate) for own in head.labels}}
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


def check_labels(labels: Mapping[str, Any], runs: Sequence[HeadRun], *, separate: bool) -> None:
    """UsageError for labels, or labels by head, that are no numbers of texts or tokens, or of heads that are not
    there. Whether they fit is for each head to say."""
    heads = [run.name for run in runs]
    for name, given in labels.items():
        by_head = isinstance(given, Mapping)
        if by_head and not separate:
            raise UsageError(f"{name} by head are for a model of several heads", help=f"{name}=torch.tensor([…])")
        for head in given if by_head else ():
            if head not in heads:
                raise UsageError(f"{name} for `{head}`, which is no head here", help=did_you_mean(str(head), heads))
        for one in given.values() if by_head else (given,):
            if one is not None and (not isinstance(one, Tensor) or not one.dim()):
                what = "a tensor of shape []" if isinstance(one, Tensor) else type(one).__name__
                raise UsageError(
                    f"{name} must be a tensor with numbers of each text, not {what}",
                    help="torch.tensor([…]), [batch] or [batch, length]",
                )


def give_target(context: Context, target: tuple[HeadRun, str], labels: Mapping[str, Any], *, separate: bool) -> None:
    """The labels that are the text to write, if there are any, for the blocks to read. `target`: the head that has
    such labels, and its name of them."""
    run, own = target
    value = labels.get(run.named(own))
    context.target_ids = value.get(run.name) if isinstance(value, Mapping) else value
    context.names = {**context.names, "target_ids": run.called(own, separate)}
