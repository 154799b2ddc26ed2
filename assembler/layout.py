"""Weights laid out for how they are read."""

from __future__ import annotations

from ..blocks import Linear, Sublayer
from .model import Model


def arrange(model: Model, rows: int = 1) -> None:
    """Lay the matrices of a model on the CPU out for steps of `rows` texts (prompts times beams) at a time.

    Values, shapes and ties stay. One row reads a wide matrix fastest column by column, and projections of one input
    (query, key and value) as one product, so their weights become views of one matrix. Two or three rows read row by
    row. The matrices come into memory of their own, if they were a view of the file, and `state_dict()` may hold views
    that are not contiguous. For four to 32 rows each matrix is there once more, in panels. More rows want nothing.

    Training drops what was copied, and eager passes and `generate` use it only while the weights are what they were
    and no hook waits for a projection. Code of your own `torch.compile` cannot tell: arrange again after such a write.
    """
    sublayers = (module for module in model.modules() if isinstance(module, Sublayer))
    together = {projection for sublayer in sublayers for projection in sublayer.join(rows)}
    for module in model.modules():
        if isinstance(module, Linear) and module not in together and module.weight.is_cpu:
            module.arrange(rows)


def drop_stale(model: Model) -> None:
    """Forget what `arrange` copied from weights that were written to since."""
    for module in model.modules():
        if isinstance(module, (Linear, Sublayer)):
            module.drop_stale()
