"""Weights laid out for how they are read."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...assembler.model import Model


def arrange(model: Model, rows: int = 1) -> None:
    """Lay the matrices of a model on the CPU out for steps of `rows` texts (prompts times beams) at a time.

    Values, shapes and ties stay. One row reads a wide matrix fastest column by column, two or three read it row by
    row; the matrices come into memory of their own, if they were a view of the file, and `state_dict()` may hold views
    that are not contiguous. For four to 32 rows each matrix is there once more, in panels; training and
    `load_state_dict` drop these copies, and eager passes and `generate` do not read the copy of a weight that was
    written to. Code of your own `torch.compile` cannot tell: arrange again after such a write. More rows want nothing.
    """
    for module in _projections(model):
        if module.weight.is_cpu:
            module.arrange(rows)


def drop_stale(model: Model) -> None:
    """Forget what `arrange` copied from weights that were written to since."""
    for module in _projections(model):
        module.drop_stale()


def _projections(model: Model) -> Iterator[nn.Module]:
    return (module for module in model.modules() if getattr(module, "leaf", None) == "linear")
