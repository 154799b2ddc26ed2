"""Which positions see which: the caller's masks and the architecture's rules joined into one, true where visible."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Context
from .registry import BlockError


def self_attention_mask(
    context: Context, hidden: Tensor, keys: int, *, causal: bool, window: int | None = None
) -> Tensor | None:
    """What the positions of `hidden` [B, L, D] see of `keys` positions that end with the same one.

    Returns [B or 1, heads or 1, L, keys], or None when everything is visible. A mask of the caller's with three or
    four dimensions says everything itself; one with two hides keys, on top of `causal` and `window`. Where the stack
    has a position bias, it is that bias, with what is hidden far below it.
    """
    # Without lengths, which are the same in all layers of a pass, and may be symbols.
    key = ("mask", causal, window, context.position_bias)
    if key not in context.memo:
        first = context.past_length if context.fixed else None
        visible = _given(context, "attention_mask", hidden, keys)
        if visible is None or context.attention_mask.dim() == 2:
            rule = _rule(hidden.shape[-2], keys, causal or context.fixed, window, hidden.device, first)
            visible = rule if visible is None else visible if rule is None else visible & rule
        if context.position_bias is not None:
            bias = context.position_bias(hidden.shape[-2], keys, first).to(hidden.dtype)
            visible = bias if visible is None else bias.masked_fill(~visible, torch.finfo(bias.dtype).min)
        context.memo[key] = visible
    return context.memo[key]


def cross_attention_mask(context: Context, hidden: Tensor, keys: int) -> Tensor | None:
    """What they see of the encoder's positions, [B, 1, L or 1, keys], or None for everything."""
    key = ("cross mask",)
    if key not in context.memo:
        context.memo[key] = _given(context, "encoder_attention_mask", hidden, keys)
    return context.memo[key]


def _rule(
    queries: int, keys: int, causal: bool, window: int | None, device: torch.device, first: Tensor | None
) -> Tensor | None:
    """[queries, keys]: the last query stands at the last key, unless `first` says where the first one stands."""
    if not causal and window is None:
        return None
    places = torch.arange(queries, device=device) + (keys - queries if first is None else first)
    distance = places[:, None] - torch.arange(keys, device=device)
    if not causal:
        return distance.abs() < window
    return distance >= 0 if window is None else (distance >= 0) & (distance < window)


def _given(context: Context, field: str, hidden: Tensor, keys: int) -> Tensor | None:
    mask, name = getattr(context, field), context.called(field)
    if mask is None:
        return None
    if mask.dim() not in (2, 3, 4):
        raise BlockError(f"{name} has {mask.dim()} dimensions; it may have two [batch, keys], three or four", name)
    visible = mask if mask.dtype == torch.bool else mask != 0
    if mask.dim() < 4:
        visible = visible[:, None, None] if mask.dim() == 2 else visible[:, None]
    if visible.shape[-1] < keys and mask.dim() == 2 and field == "attention_mask":
        missing = keys - visible.shape[-1]
        if visible.shape[-1] != hidden.shape[-2] or missing != keys - hidden.shape[-2]:
            raise _mismatch(name, mask, keys)
        visible = torch.nn.functional.pad(visible, (missing, 0), value=True)  # memory and cache are all visible
    if visible.shape[-1] != keys or visible.shape[-2] not in (1, hidden.shape[-2]):
        raise _mismatch(name, mask, keys)
    return visible


def _mismatch(name: str, mask: Tensor, keys: int) -> BlockError:
    return BlockError(f"{name} of shape {tuple(mask.shape)} does not fit: attention sees {keys} positions here", name)
