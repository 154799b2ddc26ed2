"""Sinusoids."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from .base import Context, Embedding, positions
from .registry import BlockError, Size, register


def sinusoids(
    position: Tensor, width: Size, *, layout: Literal["halves", "interleaved"] = "halves", dtype: torch.dtype
) -> Tensor:
    """sin and cos of position / 10000^(2i / width). Paper: Vaswani et al. 2017, arXiv:1706.03762.

    *Shape:* [...] -> [..., width]. `halves`: all sines, then all cosines; `interleaved`: sin, cos, sin, cos, …
    The angles are computed in float32 whatever `dtype` is: a position of 1000 has no bits left for them in bfloat16.
    """
    check_pairs(width)
    steps = torch.arange(0, width, 2, dtype=torch.float32, device=position.device) / width
    angles = position.to(torch.float32)[..., None] * (1 / 10000**steps)
    sines, cosines = angles.sin(), angles.cos()
    if layout == "halves":
        return torch.cat([sines, cosines], dim=-1).to(dtype)
    return torch.stack([sines, cosines], dim=-1).flatten(-2).to(dtype)


def check_pairs(width: Size) -> None:
    """BlockError if sinusoids cannot be that wide."""
    if width % 2:
        raise BlockError(f"sinusoids come in pairs; their width {width} is odd", "width")


@register("sinusoidal_positions")
class SinusoidalPositions(Embedding):
    """Fixed positions. Paper: Vaswani et al. 2017, arXiv:1706.03762. *Shape:* -> [B or 1, L, width].

    Args:
        width: width of the vectors, even.
        size: the longest sequence, if there is to be a longest.
        layout: `halves`, all sines before all cosines; or `interleaved`, in turn.
    """

    reads: ClassVar = frozenset({"position_ids"})

    def __init__(
        self, *, width: Size, size: Size | None = None, layout: Literal["halves", "interleaved"] = "interleaved"
    ) -> None:
        super().__init__()
        check_pairs(width)
        self.width = width
        self.longest = size
        self.layout = layout

    def forward(self, context: Context) -> Tensor:
        given = context.input_ids if context.inputs_embeds is None else context.inputs_embeds
        dtype = torch.get_default_dtype() if context.inputs_embeds is None else context.inputs_embeds.dtype
        return sinusoids(positions(context, given.shape[1], given.device), self.width, layout=self.layout, dtype=dtype)
