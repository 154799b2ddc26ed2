"""Positions as rows and columns of a grid."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import Context, positions
from .embeddings import Lookup, Table
from .registry import BlockError, Probability, Size, register


class Axis(Lookup):
    """Vectors of rows, or of columns. They begin with a standard deviation of their own."""

    def __init__(self, size: Size, width: Size, std: float) -> None:
        self.std = std
        super().__init__(size, width)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal rows; `std` has no part in it."""
        super().reset_parameters(self.std)


@register("axial_position_lookup")
class AxialPositionLookup(Table):
    """Vectors of positions, each the one of its row beside the one of its column: rows · columns positions from rows +
    columns vectors. Paper: Kitaev et al. 2020, arXiv:2001.04451; Ho et al. 2019, arXiv:1912.12180.
    *Shape:* -> [B or 1, L, width].

    In training a text must fill the grid, so that all vectors are trained alike.

    Args:
        shape: rows and columns of the grid; a row is filled before the next begins.
        widths: width of the vectors of rows, and of columns.
        width: of both together.
        std: standard deviation of the initial vectors.
        dropout: probability of dropping a column of the grid in training, all of its positions together.
    """

    reads: ClassVar = frozenset({"input_ids", "inputs_embeds", "position_ids"})
    ids: ClassVar = "position_ids"

    def __init__(
        self, *, shape: list[Size], widths: list[Size], width: Size, std: float = 1.0, dropout: Probability = 0.0
    ) -> None:
        super().__init__()
        for name, pair in (("shape", shape), ("widths", widths)):
            if len(pair) != 2:
                raise BlockError(f"a grid has rows and columns, but here are {len(pair)} numbers", name)
        if sum(widths) != width:
            message = f"vectors of {widths[0]} + {widths[1]} values, where {width} are wanted"
            raise BlockError(message, "width", "widths")
        self.rows, self.columns = shape
        self.longest = self.size = self.rows * self.columns
        self.row = Axis(shape[0], widths[0], std)
        self.column = Axis(shape[1], widths[1], std)
        self.dropout = dropout

    def vectors(self, context: Context) -> Tensor:
        given = context.input_ids if context.inputs_embeds is None else context.inputs_embeds
        length, grid = given.shape[1], self.size
        size = f"the model has {self.rows} x {self.columns} = {grid} positions"
        if length > grid:
            own = context.unpadded_length
            filled = "" if own is None else f" ({own} and what fills up the last chunk)"
            raise BlockError(
                f"a sequence of {length} tokens{filled}, but {size}", "input_ids",
                help="truncate the text: tokenizer(…, truncation=True)",
            )  # fmt: skip
        if self.training and length != grid:
            raise BlockError(
                f"a sequence of {length} tokens; {size}, and training needs them all", "input_ids",
                help=f"pad the text to {grid} tokens, or build the model with a smaller grid",
            )  # fmt: skip
        places = positions(context, length, given.device)
        columns = places % self.columns
        vectors = torch.cat([self.row.rows(places // self.columns), self.column.rows(columns)], dim=-1)
        if not self.training or self.dropout == 0:
            return vectors
        kept = F.dropout(vectors.new_ones(given.shape[0], self.columns), self.dropout)
        return vectors * kept.gather(1, columns.expand(given.shape[0], -1)).unsqueeze(-1)
