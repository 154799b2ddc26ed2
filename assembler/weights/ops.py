"""The closed set of tensor operations a weight mapping may name, each with its inverse and its shape function.

An operation turns one stored tensor into one or, last in a row, several of ours:
`h.{i}.attn.c_attn.weight | t | chunk`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]


class OpError(ValueError):
    """The operation does not exist, or cannot work on a tensor of that shape."""


@dataclass(frozen=True, slots=True)
class Op:
    """`forward` from stored to ours, `inverse` back, `shape` of what forward makes."""

    text: str
    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    shape: Callable[[Shape], Shape]


def _transpose(text: str) -> Op:
    def shape(stored: Shape) -> Shape:
        if len(stored) != 2:
            raise OpError(f"`{text}` wants two dimensions, not {list(stored)}")
        return stored[::-1]

    return Op(text, lambda tensor: tensor.t(), lambda tensor: tensor.t(), shape)


def _permute(text: str, *order: int) -> Op:
    if sorted(order) != list(range(len(order))):
        raise OpError(f"`{text}` does not name each dimension once")
    back = [order.index(dim) for dim in range(len(order))]

    def shape(stored: Shape) -> Shape:
        if len(order) != len(stored):
            raise OpError(f"`{text}` does not permute {list(stored)}")
        return tuple(stored[dim] for dim in order)

    return Op(text, lambda tensor: tensor.permute(order), lambda tensor: tensor.permute(back), shape)


def _squeeze(text: str, dim: int) -> Op:
    def shape(stored: Shape) -> Shape:
        if not dim < len(stored) or stored[dim] != 1:
            raise OpError(f"`{text}` wants a dimension {dim} of size 1 in {list(stored)}")
        return stored[:dim] + stored[dim + 1 :]

    return Op(text, lambda tensor: tensor.squeeze(dim), lambda tensor: tensor.unsqueeze(dim), shape)


def _flatten(text: str, dim: int, *sizes: int) -> Op:
    if len(sizes) < 2:
        raise OpError(f"`{text}` says no sizes; write flatten(dimension, size, size, …)")
    end = dim + len(sizes)

    def shape(stored: Shape) -> Shape:
        if stored[dim:end] != sizes:
            raise OpError(f"`{text}` wants sizes {list(sizes)} from dimension {dim} on in {list(stored)}")
        return (*stored[:dim], math.prod(sizes), *stored[end:])

    return Op(text, lambda tensor: tensor.flatten(dim, end - 1), lambda tensor: tensor.unflatten(dim, sizes), shape)


def _rope(text: str, heads: int) -> Op:
    """The rows of each head: pairs that are rotated together stored side by side -> all firsts, then all seconds."""

    def shape(stored: Shape) -> Shape:
        if not stored or not heads or stored[0] % (2 * heads):
            raise OpError(f"`{text}` wants rows for {heads} heads of even size in {list(stored)}")
        return stored

    def forward(tensor: Tensor) -> Tensor:
        return tensor.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)

    def inverse(tensor: Tensor) -> Tensor:
        return tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)

    return Op(text, forward, inverse, shape)


_OPS: dict[str, Callable[..., Op]] = {
    "t": _transpose, "permute": _permute, "squeeze": _squeeze, "flatten": _flatten, "rope": _rope,
}  # fmt: skip
#: What makes several tensors of one, along its first dimension: pieces of it, or what it has at each index.
CHUNK, UNSTACK = "chunk", "unstack"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Operations in a row; `chunk` or `unstack` at the end makes several tensors."""

    ops: tuple[Op, ...] = ()
    end: str = ""

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Pipeline:
        """From the texts between the bars."""
        ops = []
        for position, text in enumerate(texts):
            if text in (CHUNK, UNSTACK):
                if position != len(texts) - 1:
                    raise OpError(f"`{text}` makes several tensors and comes last")
                return cls(tuple(ops), text)
            match = re.fullmatch(r"(\w+)(?:\(([\d,\s]*)\))?", text)
            if match is None or match[1] not in _OPS:
                raise OpError(f"no operation `{text}`; there are {', '.join(sorted([*_OPS, CHUNK, UNSTACK]))}")
            numbers = [int(number) for number in (match[2] or "").split(",") if number.strip()]
            try:
                ops.append(_OPS[match[1]](text, *numbers))
            except TypeError:
                raise OpError(f"`{text}`: wrong number of arguments") from None
        return cls(tuple(ops))

    def shape(self, stored: Shape) -> Shape:
        """Of the tensor before it is cut; OpError if the operations cannot work on it."""
        for op in self.ops:
            stored = op.shape(stored)
        return stored

    def fits(self, stored: Shape, targets: Sequence[Shape]) -> bool:
        """Whether a stored shape makes just these of ours. OpError as for `shape`."""
        made = self.shape(stored)
        if self.end == CHUNK:
            return (sum(t[0] for t in targets), *made[1:]) == made and all(t[1:] == made[1:] for t in targets)
        if self.end == UNSTACK:
            return made[:1] == (len(targets),) and all(target == made[1:] for target in targets)
        return [made] == list(targets)

    def forward(self, stored: Tensor, targets: Sequence[Shape]) -> list[Tensor]:
        """Stored to ours, without copying where the operations allow."""
        for op in self.ops:
            stored = op.forward(stored)
        if self.end == UNSTACK:
            return list(stored.unbind())
        return list(stored.split([t[0] for t in targets])) if self.end else [stored]

    def inverse(self, ours: Sequence[Tensor]) -> Tensor:
        """Ours to stored."""
        import torch

        tensor = torch.stack(list(ours)) if self.end == UNSTACK else torch.cat(list(ours)) if self.end else ours[0]
        for op in reversed(self.ops):
            tensor = op.inverse(tensor)
        return tensor
