"""Scaled dot product attention. The kernel is chosen here, at run time; no block and no spec knows which."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from . import few_queries
from .operation import only_values


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float,
    dropout: float = 0.0,
    weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """softmax(query · keyᵀ · scale + mask) · value. Paper: Vaswani et al. 2017, arXiv:1706.03762.

    *Shape:* query [B, H, L, d], key and value [B, H, K, d], mask broadcastable to [B, H, L, K]: boolean, true where
    visible, or additive. Keys and values may have fewer heads, which divide H: each is shared by neighbouring heads of
    the query. `causal` is for square attention without a mask. With `weights` the probabilities [B, H, L, K] come back
    too (after dropout), otherwise None, and fused kernels run: ours for a few queries, else torch's.

    A row that sees nothing yields zeros from the fused kernels and the mean of all values with `weights`; it is never
    NaN. (An additive mask cannot stand for a boolean one: for such rows the fused kernels' gradients would be wrong.)
    """
    groups = query.shape[-3] // key.shape[-3]
    plain = not (weights or causal or dropout) and only_values(query, key, value)
    if plain and few_queries.pays(query, key, value, mask):
        return few_queries.attention(query, key, value, mask, scale), None
    if not weights:
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal, scale=scale, enable_gqa=groups > 1
        )
        return attended, None
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=-3), value.repeat_interleave(groups, dim=-3)
    scores = (query * scale) @ key.transpose(-1, -2)
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, torch.finfo(scores.dtype).min)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    probabilities = F.dropout(scores.softmax(dim=-1), dropout, training=dropout > 0)
    return probabilities @ value, probabilities


def split_heads(hidden: Tensor, heads: int) -> Tensor:
    """[B, L, heads · d] -> [B, heads, L, d]."""
    return hidden.unflatten(-1, (heads, -1)).transpose(-2, -3)


def join_heads(hidden: Tensor) -> Tensor:
    """[B, heads, L, d] -> [B, L, heads · d]."""
    return hidden.transpose(-2, -3).flatten(-2)
