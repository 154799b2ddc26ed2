"""Multi-head attention over the own positions, and over an encoder's."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from .base import Context, Norm, Rotation, Sublayer
from .kernel import attend, join_heads, split_heads
from .linear import Linear
from .masks import cross_attention_mask, self_attention_mask
from .registry import Divides, Probability, Size, register

DIVIDED = Divides("hidden_size", "num_heads", "heads", unless="head_size")
GROUPED = Divides("num_heads", "num_key_value_heads", "heads of keys and values")


class MultiHead(Sublayer):
    """The four projections every kind of multi-head attention has."""

    constraints: ClassVar = (DIVIDED,)

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_heads: Size,
        num_key_value_heads: Size | None = None,
        head_size: Size | None = None,
        bias: bool = True,
        dropout: Probability = 0.0,
        init_scale: float = 1.0,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        numbers = {
            "hidden_size": hidden_size, "num_heads": num_heads, "num_key_value_heads": num_key_value_heads,
            "head_size": head_size,
        }  # fmt: skip
        for constraint in self.constraints:
            constraint.check(numbers)
        self.num_heads = num_heads
        self.num_key_value_heads = num_heads if num_key_value_heads is None else num_key_value_heads
        self.head_size = hidden_size // num_heads if head_size is None else head_size
        self.scale = 1 / math.sqrt(self.head_size) if scale is None else scale
        self.dropout = dropout
        inner = num_heads * self.head_size
        self.query = Linear(hidden_size, inner, bias=bias)
        self.key = Linear(hidden_size, self.num_key_value_heads * self.head_size, bias=bias)
        self.value = Linear(hidden_size, self.num_key_value_heads * self.head_size, bias=bias)
        self.output = Linear(inner, hidden_size, bias=bias, init_scale=init_scale)

    @property
    def active_dropout(self) -> float:
        return self.dropout if self.training else 0.0


@register("attention")
class Attention(MultiHead):
    """Multi-head self-attention. Paper: Vaswani et al. 2017, arXiv:1706.03762. *Shape:* [B, L, D] -> [B, L, D].

    Args:
        hidden_size: D, width of the input and the output.
        num_heads: number of heads.
        num_key_value_heads: number of heads of keys and values, each shared by as many heads of queries; num_heads if
            absent. Paper: Ainslie et al. 2023, arXiv:2305.13245.
        head_size: width of a head; hidden_size / num_heads if absent.
        causal: whether a position sees only itself and earlier ones.
        bias: whether the four projections have biases.
        dropout: probability of dropping an attention weight in training.
        init_scale: factor on the initial weights of the output projection.
        scale: factor on the scores; 1 / sqrt(head_size) if absent.
        rotary: turns queries and keys by their positions.
        query_norm: applied to the queries of each head, before they are turned.
        key_norm: applied to the keys of each head, before they are turned.
    """

    constraints: ClassVar = (DIVIDED, GROUPED)

    reads: ClassVar = frozenset({"attention_mask", "past_key_values"})

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_heads: Size,
        num_key_value_heads: Size | None = None,
        head_size: Size | None = None,
        causal: bool = False,
        bias: bool = True,
        dropout: Probability = 0.0,
        init_scale: float = 1.0,
        scale: float | None = None,
        rotary: Rotation | None = None,
        query_norm: Norm | None = None,
        key_norm: Norm | None = None,
    ) -> None:
        super().__init__(
            hidden_size=hidden_size, num_heads=num_heads, num_key_value_heads=num_key_value_heads, head_size=head_size,
            bias=bias, dropout=dropout, init_scale=init_scale, scale=scale,
        )  # fmt: skip
        self.causal = causal
        self.rotary = rotary
        self.query_norm = nn.Identity() if query_norm is None else query_norm
        self.key_norm = nn.Identity() if key_norm is None else key_norm

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        query = self.query_norm(split_heads(self.query(hidden), self.num_heads))
        key = self.key_norm(split_heads(self.key(hidden), self.num_key_value_heads))
        value = split_heads(self.value(hidden), self.num_key_value_heads)
        if self.rotary is not None:
            query, key = self.rotary(query, context), self.rotary(key, context)
        if context.past_key_values is not None:
            key, value = context.past_key_values.extend(context.layer, key, value)
        length, keys = query.shape[-2], key.shape[-2]
        # Without a mask the fused kernels know causality themselves; a single newest position sees everything.
        plain = False
        unmasked = context.attention_mask is None and context.position_bias is None and not context.fixed
        if self.causal and unmasked and context.past_length == 0:  # no symbol: the kernel asks
            plain = True
        hidden_by_rule = self.causal and not plain and (length > 1 or context.fixed)
        mask = None if plain else self_attention_mask(context, hidden, keys, causal=hidden_by_rule)
        attended, weights = attend(
            query, key, value, mask=mask, causal=plain, scale=self.scale, dropout=self.active_dropout,
            weights=context.output_attentions,
        )  # fmt: skip
        if weights is not None:
            context.collect("attentions", weights)
        return self.output(join_heads(attended))


@register("cross_attention")
class CrossAttention(MultiHead):
    """Multi-head attention over an encoder's hidden states; skipped when there are none.
    Paper: Vaswani et al. 2017, arXiv:1706.03762. *Shape:* [B, L, D] (and [B, S, D] in the context) -> [B, L, D].

    There may be fewer sources than rows, if each is that of as many rows in turn (the beams of a search).

    Args:
        hidden_size: D, width of the input, the encoder's states and the output.
        num_heads: number of heads.
        num_key_value_heads: number of heads of keys and values, each shared by as many heads of queries; num_heads if
            absent. Paper: Ainslie et al. 2023, arXiv:2305.13245.
        head_size: width of a head; hidden_size / num_heads if absent.
        bias: whether the four projections have biases.
        dropout: probability of dropping an attention weight in training.
        init_scale: factor on the initial weights of the output projection.
        scale: factor on the scores; 1 / sqrt(head_size) if absent.
    """

    constraints: ClassVar = (DIVIDED, GROUPED)
    reads: ClassVar = frozenset({"encoder_hidden_states", "encoder_attention_mask", "past_key_values"})
    requires: ClassVar = "encoder_hidden_states"

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        query = split_heads(self.query(hidden), self.num_heads)
        key, value = self._keys_and_values(context)
        mask = cross_attention_mask(context, hidden, key.shape[-2])
        rows, sources, length = query.shape[0], key.shape[0], query.shape[-2]
        if sources < rows:  # the rows of one source ask as one longer row: nothing is copied, and it is read once
            query = query.unflatten(0, (sources, -1)).transpose(1, 2).flatten(2, 3)
        attended, weights = attend(
            query, key, value, mask=mask, scale=self.scale, dropout=self.active_dropout,
            weights=context.output_attentions,
        )  # fmt: skip
        if sources < rows:
            attended, weights = (
                None if t is None else t.unflatten(2, (-1, length)).transpose(1, 2).flatten(0, 1)
                for t in (attended, weights)
            )
        if weights is not None:
            context.collect("cross_attentions", weights)
        return self.output(join_heads(attended))

    def _keys_and_values(self, context: Context) -> tuple[Tensor, Tensor]:
        cache = context.past_key_values
        known = None if cache is None else cache.cross(context.layer)
        if known is not None:
            return known
        key = split_heads(self.key(context.encoder_hidden_states), self.num_key_value_heads)
        value = split_heads(self.value(context.encoder_hidden_states), self.num_key_value_heads)
        if cache is not None:
            cache.keep_cross(context.layer, key, value)
        return key, value
