"""Which parts and heads of a spec a checkpoint has, told from names and shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..assemble import Skeleton
from ..stores import TensorInfo
from .mapping import Source
from .patterns import HEADS, owner_of
from .plan import misfit, read_through
from .stored import Stored


def find_parts(whole: Skeleton, tensors: Mapping[str, TensorInfo], format: str) -> list[str]:
    """The parts of a body: all but those that may start untrained and of which nothing is stored."""
    _, _, stored, sources = read_through(whole, tensors, format)
    return [
        part for part in whole.model.part_names
        if part not in whole.fresh or any(_is_there(one, stored) for one in _of(part, sources))
    ]  # fmt: skip


def find_heads(
    whole: Skeleton, tensors: Mapping[str, TensorInfo], format: str, named: Collection[str] | None = None
) -> list[str]:
    """The heads whose tensors are all there, and in their shapes. Of heads that are stored under the same names the
    first in `whole` counts.

    A head of which nothing has to be stored is there if it is among `named`, which the checkpoint says it has; if that
    is None, the first such head is.
    """
    _, _, stored, sources = read_through(whole, tensors, format)
    shapes = {name: tuple(parameter.shape) for name, parameter in whole.model.named_parameters()}
    found: list[str] = []
    free = True
    for head in whole.model.heads:
        own = _of(f"{HEADS}{head}", sources)
        parameters = {name for name in shapes if owner_of(name) == f"{HEADS}{head}"}
        there = [one for one in own if _is_there(one, stored, shapes)]
        assumed = [one for one in own if one.absent and not _is_there(one, stored)]
        complete = parameters <= {target for one in (*there, *assumed) for target in one.targets}
        if complete and (there or (free if named is None else head in named)):
            found.append(head)
            free = free and bool(there)
    return found


def _of(owner: str, sources: Sequence[Source]) -> list[Source]:
    return [one for one in sources if owner_of(one.targets[0]) == owner]


def _is_there(source: Source, stored: Stored, shapes: Mapping[str, tuple[int, ...]] | None = None) -> bool:
    """Whether its tensor is stored, and in the shape that makes these of ours."""
    return any(
        name in stored.actual
        and (shapes is None or misfit(source, stored.shape(name), [shapes[one] for one in source.targets]) is None)
        for name in stored.names(source)
    )
