"""Attention of a few queries by `few_queries.c`."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.nn import functional as F

from . import native
from .operation import operation

#: Queries up to which it is faster: torch's kernel reads keys and values once for all of them.
MOST_QUERIES = 4
#: Of a thread's scratch, beside two numbers for each key and those of a query.
SPARE = 16
_SIZES, _STRIDES = ctypes.c_int64 * 7, ctypes.c_int64 * 13


def pays(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether attention of queries [B, H, L, d] is faster so: few of them, and numbers side by side. What does not fit
    together is for torch to refuse, or to spread."""
    if query.dim() != 4 or not 0 < query.shape[2] <= MOST_QUERIES or not native.serves(query.dtype):
        return False
    for tensor in (query, key, value):
        if tensor.dtype != query.dtype or tensor.stride(-1) != 1:
            return False
    rows, heads, _, width = query.shape
    if key.shape[:3] != value.shape[:3] or key.shape[0] != rows or key.shape[3] != width or heads % key.shape[1]:
        return False
    return mask is None or mask.dtype in (torch.bool, query.dtype)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """In float32, rounded once."""
    batch, heads, queries, width = query.shape
    keys, threads = key.shape[-2], torch.get_num_threads()
    result = query.new_empty(batch, queries, heads, value.shape[-1], dtype=torch.float32)
    scratch = result.new_empty(threads, width + 2 * keys + SPARE)
    at, strides, added = None, (0, 0, 0, 0), False
    if mask is not None:
        wide = mask.expand(batch, heads, queries, keys)
        at, strides, added = wide.data_ptr(), wide.stride(), wide.dtype != torch.bool
    native.LIBRARY.few_queries(
        query.data_ptr(), key.data_ptr(), value.data_ptr(), at, result.data_ptr(), scratch.data_ptr(),
        _SIZES(batch, key.shape[1], heads // key.shape[1], queries, keys, width, value.shape[-1]),
        _STRIDES(*query.stride()[:3], *key.stride()[:3], *value.stride()[:3], *strides),
        scale, native.TYPES[query.dtype], added, threads, native.THREADS,
    )  # fmt: skip
    return result.to(query.dtype).transpose(1, 2)


def _shape(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    batch, heads, queries, _ = query.shape
    return query.new_empty(batch, queries, heads, value.shape[-1]).transpose(1, 2)


def _like(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale, enable_gqa=True)


#: softmax(query · keyᵀ · scale + mask) · value, on the CPU, without gradients. *Shape:* as `kernel.attend` has them.
attention = operation(
    "few_queries", "Tensor query, Tensor key, Tensor value, Tensor? mask, float scale", _attend, _shape, _like
)
