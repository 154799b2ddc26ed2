"""The question answering head that searches: starts, ends for each start, and whether there is an answer at all."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import Context, Head, Norm
from .linear import Linear, linear
from .losses import truths
from .registry import BlockError, Size, register
from .task_heads import span_loss, span_positions


@register("beam_question_answering_head")
class BeamQuestionAnsweringHead(Head):
    """The likeliest starts of an answer, for each of them the likeliest ends, and a score that there is none.
    Paper: Yang et al. 2019, arXiv:1906.08237. *Shape:* [B, L, D] -> start_top_log_probs, start_top_index [B, starts],
    end_top_log_probs, end_top_index [B, ends · starts], cls_logits [B].

    The `log_probs` hold probabilities; their name is an old one. Those of the ends are [ends, starts], flattened.
    Whether there is an answer is read from the start's state and the token at `cls_index`, the last if absent.
    Positions where `p_mask` is not 0 are no start and no end.

    With both labels [B] there is `loss` alone: the mean of both cross entropies, the ends' given the true start.
    Positions outside the text do not count. With `is_impossible` [B] and `cls_index` half the binary cross entropy of
    the answer's absence is added.

    Args:
        hidden_size: D, width of the input.
        norm: applied to what the ends are read from.
        starts: how many starts are kept.
        ends: how many ends are kept for each start.
    """

    reads: ClassVar = frozenset({"last_hidden_state", "cls_index", "p_mask"})
    labels: ClassVar = ("start_positions", "end_positions", "is_impossible")

    def __init__(self, *, hidden_size: Size, norm: Norm, starts: Size = 5, ends: Size = 5) -> None:
        super().__init__()
        self.starts = starts
        self.ends = ends
        self.start = Linear(hidden_size, 1)
        self.end_dense = Linear(2 * hidden_size, hidden_size)
        self.norm = norm
        self.end = Linear(hidden_size, 1)
        self.answer_dense = Linear(2 * hidden_size, hidden_size)
        self.answer = Linear(hidden_size, 1, bias=False)

    def forward(
        self,
        hidden: Tensor,
        context: Context,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        is_impossible: Tensor | None = None,
    ) -> dict[str, Tensor | None]:
        scores = self._hide(self.start(hidden), context).squeeze(-1)
        if start_positions is None or end_positions is None:
            return self._search(hidden, scores, context)
        starts, stops = span_positions(context, hidden.shape[0], start_positions, end_positions)
        known = _at(hidden, starts.clamp(0, hidden.shape[1] - 1))
        ends = self._end_scores(hidden, known[:, None], context).squeeze(-1)
        loss = span_loss(scores, ends, starts, stops)
        if is_impossible is not None and context.cls_index is not None:
            absent = self._absent(hidden, known, context)
            wanted = truths(is_impossible, absent, context.called("is_impossible"), "text")
            loss = loss + F.binary_cross_entropy_with_logits(absent, wanted) / 2
        return {"loss": loss}

    def _search(self, hidden: Tensor, scores: Tensor, context: Context) -> dict[str, Tensor | None]:
        most = max(self.starts, self.ends)
        if hidden.shape[1] < most:
            raise BlockError(f"{most} positions are to be kept, but the text has only {hidden.shape[1]}", "input_ids")
        probabilities = scores.softmax(dim=-1)
        start, start_index = probabilities.topk(self.starts, dim=-1)
        states = hidden.gather(1, start_index[..., None].expand(-1, -1, hidden.shape[-1]))
        end, end_index = self._end_scores(hidden, states, context).softmax(dim=1).topk(self.ends, dim=1)
        expected = (probabilities[:, None] @ hidden).squeeze(1)
        return {
            "loss": None,
            "start_top_log_probs": start,
            "start_top_index": start_index,
            "end_top_log_probs": end.flatten(1),
            "end_top_index": end_index.flatten(1),
            "cls_logits": self._absent(hidden, expected, context),
        }

    def _end_scores(self, hidden: Tensor, starts: Tensor, context: Context) -> Tensor:
        """[B, L, D] and S starts [B, S, D] -> [B, L, S]."""
        # The projection of each pair of states is the sum of two, so no pair needs to be written out.
        of_end, of_start = self.end_dense.weight.chunk(2, dim=-1)
        pairs = linear(hidden, of_end)[:, :, None] + linear(starts, of_start, self.end_dense.bias)[:, None]
        return self._hide(self.end(self.norm(pairs.tanh())).squeeze(-1), context)

    def _absent(self, hidden: Tensor, start: Tensor, context: Context) -> Tensor:
        """[B, L, D] and a start's state [B, D] -> [B]."""
        last = hidden[:, -1] if context.cls_index is None else _at(hidden, context.cls_index.flatten())
        return self.answer(self.answer_dense(torch.cat([start, last], dim=-1)).tanh()).squeeze(-1)

    def _hide(self, scores: Tensor, context: Context) -> Tensor:
        """[B, L, any]: very low where `p_mask` is not 0, yet such that the loss of a hidden label stays finite."""
        if context.p_mask is None:
            return scores
        return scores.masked_fill(context.p_mask[..., None] != 0, max(-1e30, torch.finfo(scores.dtype).min))


def _at(hidden: Tensor, index: Tensor) -> Tensor:
    """[B, L, D], [B] -> [B, D]."""
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), index]
