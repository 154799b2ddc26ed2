"""Parameters that are one: the `tie:` tables of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import Diagnostic, Place, SpecError, did_you_mean
from .weights.patterns import Pattern, PatternError, expand, fill, first_that_holds


@dataclass(frozen=True, slots=True)
class Tie:
    """`name` is the parameter `target`, both full names."""

    name: str
    target: str


def find_ties(
    model: nn.Module, owner: str, table: Mapping[str, Any], place: Place | None
) -> Iterator[Tie]:
    """The ties one node states. Left sides are relative to `owner`, the node's name; of alternatives the first holds.

    `where` is a list of booleans, one for each index. SpecError if a target does not exist.
    """
    parameters = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    for left, value in table.items():
        chosen = first_that_holds(value, "to")
        if chosen is None:
            continue
        try:
            pairs = expand(f"{owner}.{left}", chosen["to"])
        except PatternError as error:
            raise SpecError(Diagnostic(str(error), place)) from None
        for one, to in pairs:
            pattern = Pattern(one)
            for name in parameters:
                values = pattern.match(name)
                if values is None or not _selected(values, chosen.get("where")):
                    continue
                target = fill(to, values)
                if target not in parameters:
                    raise SpecError(
                        Diagnostic(f"`{name}` is tied to `{target}`, which does not exist", place,
                                   label=did_you_mean(target, parameters))
                    )  # fmt: skip
                if target != name:
                    yield Tie(name, target)


def _selected(values: Mapping[str, str], where: list[bool] | None) -> bool:
    if where is None:
        return True
    index = int(next(iter(values.values())))
    return index < len(where) and where[index]


def apply_ties(model: nn.Module, ties: list[Tie]) -> None:
    """Make the tied names share one parameter. SpecError if their shapes differ."""
    for tie in ties:
        owner, _, leaf = tie.name.rpartition(".")
        target_owner, _, target_leaf = tie.target.rpartition(".")
        module, target = model.get_submodule(owner), model.get_submodule(target_owner)._parameters[target_leaf]
        ours = module._parameters[leaf]
        if ours.shape != target.shape:
            raise SpecError(
                f"`{tie.name}` {list(ours.shape)} cannot be tied to `{tie.target}` {list(target.shape)}",
                help="give both the same sizes, or delete the tie with null",
            )
        module._parameters[leaf] = target
