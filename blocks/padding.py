"""Which positions hold tokens, and which padding."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .base import Context, Part
from .registry import Count, register


@register("real_tokens")
class RealTokens(Part):
    """Tells the blocks after it which positions are real, [B, L], and hides the others from attention.

    An attention_mask of two dimensions says it; else `lengths` [B], with the tokens first; else as many positions from
    the first on as there are ids other than padding; else, with vectors in place of ids, all are real. A mask of more
    dimensions only says who sees whom. Paper: Lample and Conneau 2019, arXiv:1901.07291.

    Args:
        padding_id: token that fills up short rows.
        hide: false where attention is causal and follows that rule alone, whatever mask is given.
    """

    output: ClassVar = None
    provides: ClassVar = frozenset()
    reads: ClassVar = frozenset({"input_ids", "attention_mask", "lengths"})

    def __init__(self, *, padding_id: Count, hide: bool = True) -> None:
        super().__init__()
        self.padding_id = padding_id
        self.hide = hide

    def forward(self, hidden: Tensor | None, context: Context) -> None:
        given = context.inputs_embeds if context.input_ids is None else context.input_ids
        mask = context.attention_mask
        if mask is None or mask.dim() != 2:
            context.real = self._counted(given, context)
        else:
            context.real = mask[:, -given.shape[1] :] != 0  # before them it covers what is cached
        if not self.hide and mask is not None and mask.dim() == 2:
            context.attention_mask = None
        elif self.hide and mask is None:
            context.attention_mask = context.real

    def _counted(self, given: Tensor, context: Context) -> Tensor | None:
        lengths = context.lengths
        if lengths is None and context.input_ids is not None:
            lengths = (context.input_ids != self.padding_id).sum(dim=-1)
        if lengths is None:
            return None
        return torch.arange(given.shape[1], device=given.device) < lengths[:, None]
