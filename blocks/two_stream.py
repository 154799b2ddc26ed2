"""Two streams over the same parameters: what stands at a position, and what could be said of it without looking."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Context, Norm
from .kernel import join_heads, split_heads
from .layer import Layer
from .leaf import begin
from .masks import self_attention_mask
from .registry import BlockError, Count, Factory, Probability, Size, register
from .relative_attention import RelativeAttention
from .stack import MemoryStack, Repeats


@register("two_stream_attention")
class TwoStreamAttention(RelativeAttention):
    """Attention of a content stream to itself and a memory, and of a query stream, if there is one, to the same.
    Paper: Yang et al. 2019, arXiv:1906.08237. *Shape:* [B, L + T, D] -> [B, L + T, D].

    The first L positions are the content, the last T the queries; T is 0 without `target_mapping` [B, T, L], which says
    where in the text each query stands. `perm_mask` [B, L, L] hides positions from others. The content of a position
    always sees itself, its query only what the masks leave. To the scores of `relative_attention` comes (query +
    segment_bias) · segments[0 where both are of one token type, else 1]; memory is of type 0.

    Args:
        hidden_size: D, width of the input and the output.
        num_heads: number of heads.
        head_size: width of a head; hidden_size / num_heads if absent.
        causal: whether a position sees only itself and earlier ones.
        same_length: whether all positions see as many, the own one and those of the memory's length before it.
        mirrored: whether the second half of the batch counts distances backwards, for text from right to left.
        bias: whether the projections have biases.
        dropout: probability of dropping an attention weight in training.
        position_dropout: probability of dropping a value of the sinusoids in training.
        clamp_length: distances beyond it, either way, count as it; no limit unless positive.
        init_scale: factor on the initial weights of the output projection.
    """

    reads: ClassVar = frozenset({"mems", "attention_mask", "token_type_ids", "perm_mask", "target_mapping"})

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_heads: Size,
        head_size: Size | None = None,
        causal: bool = False,
        same_length: bool = False,
        mirrored: bool = False,
        bias: bool = False,
        dropout: Probability = 0.0,
        position_dropout: Probability = 0.0,
        clamp_length: int = 0,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__(
            hidden_size=hidden_size, num_heads=num_heads, head_size=head_size, causal=causal, bias=bias,
            dropout=dropout, position_dropout=position_dropout, clamp_length=clamp_length, init_scale=init_scale,
        )  # fmt: skip
        self.one_sided = False  # a query that sees nothing gets the mean of all there is
        self.same_length = same_length
        self.mirrored = mirrored
        self.segment_bias = nn.Parameter(torch.empty(num_heads, self.head_size))
        self.segments = nn.Parameter(torch.empty(2, num_heads, self.head_size))
        begin(self)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        mapping = context.target_mapping
        length = hidden.shape[1] if mapping is None else mapping.shape[2]
        content = hidden[:, :length]
        seen = content if context.memory is None else torch.cat([context.memory, content], dim=1)
        keys = seen.shape[1]
        query = split_heads(self.query(hidden), self.num_heads)
        key, value = (split_heads(projection(seen), self.num_heads) for projection in (self.key, self.value))
        distances = self.distances(context, content, keys)
        content_mask, query_mask = self._masks(context, content, keys)

        def stream(of: Tensor, mask: Tensor | None, weights: bool) -> tuple[Tensor, Tensor | None]:
            more = self._segment_scores(of, context, keys)
            return self.relate(of, key, value, distances, mask, more=more, weights=weights)

        attended, weights = stream(query[:, :, :length], content_mask, context.output_attentions)
        if mapping is not None:
            spread = mapping[:, None].to(query.dtype)
            # The first in perm_mask's order sees nothing; fused kernels would get its gradient wrong (see `attend`).
            explicit = context.output_attentions or (context.perm_mask is not None and torch.is_grad_enabled())
            mine, my_weights = stream(spread.transpose(-1, -2) @ query[:, :, length:], query_mask, explicit)
            attended = torch.cat([attended, spread @ mine], dim=-2)
            weights = (weights, my_weights)
        if context.output_attentions:
            context.collect("attentions", weights)
        return self.output(join_heads(attended))

    def sinusoids(self, distance: Tensor, hidden: Tensor) -> Tensor:
        """[n] -> [n, D], or of both directions [2, n, D]."""
        if not self.mirrored:
            return super().sinusoids(distance, hidden)
        if hidden.shape[0] % 2:
            raise BlockError(
                f"half of the batch is text from right to left, and {hidden.shape[0]} has no half", "input_ids",
                help="give an even number of rows, or build the model for text of one direction",
            )  # fmt: skip
        return super().sinusoids(torch.stack([distance, -distance]), hidden)

    def _masks(self, context: Context, content: Tensor, keys: int) -> tuple[Tensor | None, Tensor | None]:
        """What the content sees, and what the queries see; None for everything."""
        memo = ("streams", self.causal, self.same_length)
        if memo not in context.memo:
            length = content.shape[1]
            visible = self_attention_mask(context, content, keys, causal=self.causal)
            if self.same_length:
                recent = torch.ones(length, keys, dtype=torch.bool, device=content.device).triu()
                visible = recent if visible is None else visible & recent
            if context.perm_mask is not None:
                allowed = F.pad(context.perm_mask == 0, (keys - length, 0), value=True)[:, None]
                visible = allowed if visible is None else visible & allowed
            own = torch.eye(length, dtype=torch.bool, device=content.device)
            mine = None if visible is None else visible | F.pad(own, (keys - length, 0))
            context.memo[memo] = mine, visible
        return context.memo[memo]

    def _segment_scores(self, query: Tensor, context: Context, keys: int) -> Callable[[int, int], Tensor] | None:
        """Scores of queries [B, H, L, d] by segment, some rows at a time; None without token types."""
        types = context.token_type_ids
        if types is None:
            return None
        memo = ("same segment",)
        if memo not in context.memo:
            seen = F.pad(types, (keys - types.shape[1], 0))
            context.memo[memo] = types[:, None, :, None] == seen[:, None, None, :]
        same = context.memo[memo]
        scores = (query + self.segment_bias[:, None]) @ self.segments.permute(1, 2, 0)
        here, elsewhere = scores.split(1, dim=-1)
        return lambda start, stop: torch.where(
            same[:, :, start:stop], here[:, :, start:stop], elsewhere[:, :, start:stop]
        )


@register("two_stream_stack")
class TwoStreamStack(MemoryStack):
    """Layers over a content stream and, with `target_mapping` [B, T, L], a query stream that starts from one vector.
    Paper: Yang et al. 2019, arXiv:1906.08237. *Shape:* [B, L, D] -> [B, L, D], or [B, T, D] with `target_mapping`.

    Layers see the streams as one sequence [B, L + T, D]. `mems` holds one [memory, B, D] a layer: what the content
    stream gave it in earlier calls, newest position last. Without any nothing is remembered. `hidden_states` are of
    the content and the queries in turn, `attentions` pairs of both.

    Args:
        layer: made `repeat` times, with `two_stream_attention`.
        repeat: number of layers.
        hidden_size: D, width of the states.
        memory_length: positions remembered; all if absent or 0.
        reuse_length: positions of a call, the first ones, that may be remembered; all if absent or 0.
        remember_in_training: whether `mems` are returned in training.
        remember_in_evaluation: whether they are in evaluation.
        norm: applied after the last layer.
        dropout: probability of dropping a value of the queries' start and of the result in training.
    """

    reads: ClassVar = frozenset({"last_hidden_state", "mems", "target_mapping", "perm_mask"})

    def __init__(
        self,
        *,
        layer: Factory[Layer],
        repeat: Repeats,
        hidden_size: Size,
        memory_length: Count | None = None,
        reuse_length: Count | None = None,
        remember_in_training: bool = True,
        remember_in_evaluation: bool = True,
        norm: Norm | None = None,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(layer=layer, repeat=repeat, memory_length=memory_length or 0, norm=norm, dropout=dropout)
        self.reuse_length = reuse_length or 0
        self.remember_in_training = remember_in_training
        self.remember_in_evaluation = remember_in_evaluation
        self.query_start = nn.Parameter(torch.empty(hidden_size))
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """A normal start of standard deviation `std`."""
        nn.init.normal_(self.query_start, std=std)

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        batch, length, _ = hidden.shape
        mapping, hides = context.target_mapping, context.perm_mask
        if hides is not None and (hides.dim() != 3 or hides.shape[1:] != (length, length)):
            raise _misfit("perm_mask", hides, f"[{batch}, {length}, {length}]")
        if mapping is None:
            return super().forward(hidden, context)
        if mapping.dim() != 3 or mapping.shape[0] != batch or mapping.shape[2] != length:
            raise _misfit("target_mapping", mapping, f"[{batch}, targets, {length}]")
        queries = F.dropout(self.query_start.expand(batch, mapping.shape[1], -1), self.dropout, self.training)
        return super().forward(torch.cat([hidden, queries.to(hidden.dtype)], dim=1), context)[:, length:]

    def collect_states(self, hidden: Tensor, context: Context) -> None:
        for stream in self._streams(hidden, context):
            super().collect_states(stream, context)

    def recall(self, hidden: Tensor, context: Context) -> Tensor | None:
        return None if context.mems is None else context.mems[context.layer].transpose(0, 1)

    def remember(self, memory: Tensor | None, hidden: Tensor, context: Context) -> Tensor | None:
        if not (self.remember_in_training if self.training else self.remember_in_evaluation):
            return None
        kept = self._streams(hidden, context)[0][:, : self.reuse_length or None]
        kept = kept if memory is None else torch.cat([memory, kept], dim=1)
        return kept[:, -self.memory_length :]  # -0: all

    @staticmethod
    def _streams(hidden: Tensor, context: Context) -> tuple[Tensor, ...]:
        """[B, L + T, D] -> [B, L, D] and, if there are queries, [B, T, D]."""
        mapping = context.target_mapping
        return (hidden,) if mapping is None else hidden.tensor_split([mapping.shape[2]], dim=1)


def _misfit(name: str, given: Tensor, wanted: str) -> BlockError:
    return BlockError(f"{name} of shape {list(given.shape)} does not fit: it must be {wanted}", name)
