"""Several projections of one input as one product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from .linear import Linear
from .panels import only_values, state_of


class Joined:
    """Projections whose weights are views of one matrix, side by side, for steps of one row: memory is read in longer
    runs, and what is around a product is done once. (More rows gain nothing.)

    Each stays a module with its weight and bias, and is used by itself wherever the matrix must not be.
    """

    def __init__(self, projections: Sequence[Linear]) -> None:
        self.projections = tuple(projections)
        self.sizes = [projection.weight.shape[0] for projection in projections]
        with torch.device("meta"):
            self.whole = Linear(projections[0].weight.shape[1], sum(self.sizes), bias=projections[0].bias is not None)
        for name, _ in self.whole.named_parameters():
            parts = [getattr(projection, name).detach() for projection in projections]
            setattr(self.whole, name, nn.Parameter(torch.cat(parts), requires_grad=False))
        self.whole.eval().arrange(rows=1)
        for projection, *parts in zip(projections, *map(self._split, self.whole.parameters()), strict=True):
            projection.panels = None
            for parameter, part in zip(projection.parameters(), parts, strict=True):
                parameter.data = part
        self.states = list(self._states())

    @staticmethod
    def fits(projections: Sequence[nn.Module]) -> bool:
        """Whether they are several plain projections of one kind, on the CPU."""
        kinds = {(type(p), getattr(p, "bias", None) is None, *(v.dtype for v in p.parameters())) for p in projections}
        alike = len(projections) > 1 and len(kinds) == 1 and type(projections[0]) is Linear
        return alike and all(projection.weight.is_cpu for projection in projections)

    def serve(self, hidden: Tensor, projections: Sequence[nn.Module]) -> bool:
        """Whether these projections of [..., in] may be one product. Compiled code cannot ask whether they are still
        those that were joined."""
        if not only_values(hidden) or torch.compiler.is_exporting() or hidden.dtype != self.whole.weight.dtype:
            return False
        return torch.compiler.is_compiling() or self.current(projections)

    def current(self, projections: Sequence[nn.Module]) -> bool:
        """Whether these are the modules that were joined, nothing was written to them, and no hook waits for them."""
        same = all(ours is given for ours, given in zip(self.projections, projections, strict=True))
        hooks = any(p._forward_hooks or p._forward_pre_hooks for p in self.projections)
        return same and not hooks and all(ours == now for ours, now in zip(self.states, self._states(), strict=True))

    def __call__(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """*Shape:* [..., in] -> [..., out] each."""
        return self.whole(hidden).split(self.sizes, dim=-1)

    def _split(self, whole: Tensor) -> tuple[Tensor, ...]:
        return whole.detach().split(self.sizes)

    def _states(self) -> Iterator[tuple[int, int, torch.dtype]]:
        values = (value for projection in self.projections for value in projection._parameters.values())
        return (state_of(value) for value in values if value is not None)
