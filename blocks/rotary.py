"""Rotary positions: queries and keys turned by where they stand, so that their product tells the distance."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .base import Context, Rotation, positions
from .registry import BlockError, Size, register

Scaling = Literal["linear", "dynamic", "wavelength"]


@register("rotary")
class Rotary(Rotation):
    """Pairs of a head's values turned by angles that grow with the position, each pair at a speed of its own, theta
    to the power of -2i / width. Paper: Su et al. 2021, arXiv:2104.09864. *Shape:* [B, heads, L, d] -> the same.

    The table of sines and cosines is made once a pass. Scaling, for texts longer than those of the training:
    `linear`, positions are divided by the factor (Chen et al. 2023, arXiv:2306.15595); `dynamic`, theta grows with the
    text, once it is longer than `original_length`; `wavelength`, waves that turn less than `low_turns` times within
    `original_length` are slowed by the factor, those that turn more than `high_turns` times are not, and what lies
    between is blended (Grattafiori et al. 2024, arXiv:2407.21783).

    Args:
        width: values of a head that are turned, the first ones; even.
        theta: base of the wavelengths.
        layout: which values make a pair: one of the first half and one of the second (`halves`), or neighbours
            (`interleaved`).
        scaling: of the speeds, for longer texts; none if absent.
        factor: how much longer the texts may be.
        original_length: longest text without scaling; for `dynamic` and `wavelength`.
        low_turns: see `wavelength`.
        high_turns: see `wavelength`.
    """

    reads: ClassVar = frozenset({"position_ids"})

    def __init__(
        self,
        *,
        width: Size,
        theta: float = 10_000.0,
        layout: Literal["halves", "interleaved"] = "halves",
        scaling: Scaling | None = None,
        factor: float | None = None,
        original_length: Size | None = None,
        low_turns: float | None = None,
        high_turns: float | None = None,
    ) -> None:
        super().__init__()
        if width % 2 or (scaling == "dynamic" and width < 4):
            raise BlockError(f"pairs are turned, and {width} values do not make any that fit", "width")
        needed = {"factor": factor} if scaling else {}
        needed |= {"original_length": original_length} if scaling in ("dynamic", "wavelength") else {}
        needed |= {"low_turns": low_turns, "high_turns": high_turns} if scaling == "wavelength" else {}
        for name, value in needed.items():
            if value is None or value <= 0:
                raise BlockError(f"the scaling `{scaling}` needs a positive {name}", name, "scaling")
        if scaling == "wavelength" and high_turns <= low_turns:
            raise BlockError(f"high_turns {high_turns} must be more than low_turns {low_turns}", "high_turns")
        self.width = width
        self.theta = theta
        self.layout = layout
        self.scaling = scaling
        self.factor = factor
        self.original_length = original_length
        self.low_turns, self.high_turns = low_turns, high_turns
        self._key = ("rotary", width, theta, layout, scaling, factor, original_length, low_turns, high_turns)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        key = (*self._key, hidden.dtype)
        if key not in context.memo:
            context.memo[key] = self.table(positions(context, hidden.shape[-2], hidden.device), hidden.dtype)
        cosines, sines = context.memo[key]
        if self.width == hidden.shape[-1]:
            return self._turn(hidden, cosines, sines)
        turned, rest = hidden.split([self.width, hidden.shape[-1] - self.width], dim=-1)
        return torch.cat([self._turn(turned, cosines, sines), rest], dim=-1)

    def _turn(self, hidden: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        if self.layout == "halves":
            partners = hidden.roll(self.width // 2, dims=-1)
        else:
            partners = hidden.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return torch.addcmul(hidden * cosines, partners, sines)

    def table(self, position: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines, and sines with the sign of the partner's part. *Shape:* [B or 1, L] -> [B or 1, 1, L, width] each.

        The angles are computed in float32 whatever `dtype` is.
        """
        angles = position[:, None, :, None].to(torch.float32) * self.speeds(position)
        cosines, sines = angles.cos(), angles.sin()
        if self.layout == "halves":
            both = torch.cat([cosines, cosines], dim=-1), torch.cat([-sines, sines], dim=-1)
        else:
            both = cosines.repeat_interleave(2, dim=-1), torch.stack([-sines, sines], dim=-1).flatten(-2)
        return both[0].to(dtype), both[1].to(dtype)

    def speeds(self, position: Tensor) -> Tensor:
        """Angle between neighbouring positions, for each pair. *Shape:* [width / 2]."""
        exponents = torch.arange(0, self.width, 2, dtype=torch.float32, device=position.device) / self.width
        if self.scaling == "dynamic":
            length = (position.max() + 1).clamp(min=self.original_length)
            stretch = self.factor * length / self.original_length - (self.factor - 1)
            return 1 / (self.theta * stretch ** (self.width / (self.width - 2))) ** exponents
        speeds = 1 / self.theta**exponents
        if self.scaling == "linear":
            return speeds / self.factor
        if self.scaling == "wavelength":
            turns = self.original_length * speeds / (2 * math.pi)
            share = ((turns - self.low_turns) / (self.high_turns - self.low_turns)).clamp(0, 1)
            return speeds * (share + (1 - share) / self.factor)
        return speeds
