"""Heads for classification and question answering."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .activation import ACTIVATIONS, Activation
from .base import Context, Head, Pooler
from .linear import Linear
from .losses import IGNORED, classes, cross_entropy, fitting, truths
from .registry import Probability, Size, register

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


def classification_loss(logits: Tensor, labels: Tensor, problem_type: ProblemType | None, name: str) -> Tensor:
    """Mean loss of logits [B, C]. Without a type: one column is a regression, integer labels are classes, others
    several labels at once. BlockError for labels, which the caller calls `name`, that do not fit.

    Labels: [B] numbers or [B, C] (regression), [B] classes (single label), [B, C] of 0 and 1 (multi-label).
    """
    if problem_type is None:
        if logits.shape[-1] == 1:
            problem_type = "regression"
        else:
            whole = not labels.dtype.is_floating_point
            problem_type = "single_label_classification" if whole else "multi_label_classification"
    if problem_type == "regression":
        logits = logits.squeeze(-1)
        each = "text" if logits.dim() == 1 else "number of each text"
        return F.mse_loss(logits, fitting(labels, logits.shape, name, each).to(logits.dtype))
    if problem_type == "single_label_classification":
        return cross_entropy(logits, labels, name)
    one = "labels that are classes, one a text, are whole numbers: labels.long()"
    return F.binary_cross_entropy_with_logits(logits, truths(labels, logits, name, "class of each text", one))


class PooledHead(Head):
    """A head on one vector a text: the body's pooled one, or what a pooler of its own makes of all positions."""

    source = "pooler_output"
    reads: ClassVar = frozenset({"pooler_output"})

    def __init__(self, pooler: Pooler | None, dropout: Probability) -> None:
        super().__init__()
        self.dropout = dropout
        self.pooler = pooler
        if pooler is not None:
            self.source = "last_hidden_state"

    def pooled(self, hidden: Tensor, context: Context) -> Tensor:
        """[B, D], or [B, L, D] with a pooler -> [B, D]."""
        pooled = hidden if self.pooler is None else self.pooler(hidden, context)
        return F.dropout(pooled, self.dropout, self.training)


@register("sequence_classification_head")
class SequenceClassificationHead(PooledHead):
    """Scores of a whole text's classes. *Shape:* pooled [B, D] (or [B, L, D] with a pooler) -> logits [B, num_labels].

    Args:
        hidden_size: D, width of the pooled vector.
        num_labels: number of classes; 1 for a regression.
        pooler: makes the vector from all positions; the body's `pooler_output` if absent.
        bias: whether each class has a bias.
        dropout: probability of dropping a value of the pooled vector in training.
        problem_type: which loss labels get; by number of classes and type of the labels if absent.
    """

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_labels: Size = 2,
        pooler: Pooler | None = None,
        bias: bool = True,
        dropout: Probability = 0.0,
        problem_type: ProblemType | None = None,
    ) -> None:
        super().__init__(pooler, dropout)
        self.projection = Linear(hidden_size, num_labels, bias=bias)
        self.problem_type = problem_type

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        logits = self.projection(self.pooled(hidden, context))
        name = context.called("labels")
        loss = None if labels is None else classification_loss(logits, labels, self.problem_type, name)
        return {"loss": loss, "logits": logits}


@register("token_classification_head")
class TokenClassificationHead(Head):
    """Scores of each token's classes. *Shape:* [B, L, D] -> logits [B, L, num_labels]; labels [B, L], -100: ignored.

    Args:
        hidden_size: D, width of the input.
        num_labels: number of classes.
        dropout: probability of dropping a value of the input in training.
    """

    def __init__(self, *, hidden_size: Size, num_labels: Size = 2, dropout: Probability = 0.0) -> None:
        super().__init__()
        self.projection = Linear(hidden_size, num_labels)
        self.dropout = dropout

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        logits = self.projection(F.dropout(hidden, self.dropout, self.training))
        loss = None if labels is None else cross_entropy(logits, labels, context.called("labels"))
        return {"loss": loss, "logits": logits}


@register("replaced_token_head")
class ReplacedTokenHead(Head):
    """How likely each token was put in place of another: positive scores say that it was.
    Paper: Clark et al. 2020, arXiv:2003.10555. *Shape:* [B, L, D] -> logits [B, L]; labels [B, L], 1: replaced.

    The loss is the mean binary cross entropy. Positions that the attention mask [B, L] hides do not count, nor do
    labels of -100.

    Args:
        hidden_size: D, width of the input and of a projection that comes first.
        activation: function after that projection.
    """

    reads: ClassVar = frozenset({"last_hidden_state", "attention_mask"})

    def __init__(self, *, hidden_size: Size, activation: Activation = "gelu") -> None:
        super().__init__()
        self.dense = Linear(hidden_size, hidden_size)
        self.activation = ACTIVATIONS[activation]
        self.projection = Linear(hidden_size, 1)

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        logits = self.projection(self.activation(self.dense(hidden))).squeeze(-1)
        if labels is None:
            return {"loss": None, "logits": logits}
        name = context.called("labels")
        labels = fitting(labels, logits.shape, name, "token")
        counts = labels != IGNORED
        labels = truths(labels.masked_fill(~counts, 0), logits, name, "token")
        if context.attention_mask is not None and context.attention_mask.dim() == 2:
            counts = counts & (context.attention_mask != 0)
        losses = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return {"loss": torch.where(counts, losses, 0).sum() / counts.sum(), "logits": logits}


def span_positions(context: Context, texts: int, *positions: Tensor) -> list[Tensor]:
    """Starts and ends of answers, one for each text, [B]. BlockError."""
    names = ("start_positions", "end_positions")
    return [classes(p, (texts,), context.called(own), "text") for own, p in zip(names, positions, strict=True)]


def span_loss(start: Tensor, end: Tensor, start_positions: Tensor, end_positions: Tensor) -> Tensor:
    """Mean cross entropy of both ends, without positions outside the text. *Shape:* scores [B, L], positions [B]."""
    outside = start.shape[1]
    losses = [
        F.cross_entropy(scores, positions.clamp(0, outside), ignore_index=outside)
        for scores, positions in ((start, start_positions), (end, end_positions))
    ]
    return (losses[0] + losses[1]) / 2


@register("question_answering_head")
class QuestionAnsweringHead(Head):
    """Where the answer starts and ends. *Shape:* [B, L, D] -> start_logits, end_logits [B, L]; positions [B].

    Positions outside the text do not count in the loss, the mean of both ends' cross entropies.

    Args:
        hidden_size: D, width of the input.
        dropout: probability of dropping a value of the input in training.
    """

    labels: ClassVar = ("start_positions", "end_positions")

    def __init__(self, *, hidden_size: Size, dropout: Probability = 0.0) -> None:
        super().__init__()
        self.projection = Linear(hidden_size, 2)
        self.dropout = dropout

    def forward(
        self,
        hidden: Tensor,
        context: Context,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
    ) -> dict[str, Tensor | None]:
        start, end = self.projection(F.dropout(hidden, self.dropout, self.training)).unbind(dim=-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start, end, *span_positions(context, start.shape[0], start_positions, end_positions))
        return {"loss": loss, "start_logits": start.contiguous(), "end_logits": end.contiguous()}


@register("multiple_choice_head")
class MultipleChoiceHead(PooledHead):
    """A score for each choice. *Shape:* pooled [B · choices, D] (or [B · choices, L, D] with a pooler) -> logits
    [B, choices]; labels [B].

    Args:
        hidden_size: D, width of the pooled vector.
        pooler: makes the vector from all positions; the body's `pooler_output` if absent.
        dropout: probability of dropping a value of the pooled vector in training.
    """

    wants_choices: ClassVar = True

    def __init__(self, *, hidden_size: Size, pooler: Pooler | None = None, dropout: Probability = 0.0) -> None:
        super().__init__(pooler, dropout)
        self.projection = Linear(hidden_size, 1)

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        scores = self.projection(self.pooled(hidden, context))
        logits = scores.view(-1, context.choices or 1)
        loss = None if labels is None else cross_entropy(logits, labels, context.called("labels"))
        return {"loss": loss, "logits": logits}


@register("choice_head")
class ChoiceHead(Head):
    """A score for each choice, from the position `mc_token_ids` names (the last one if absent).
    Paper: Radford et al. 2018. *Shape:* [B · choices, L, D] -> mc_logits [B, choices]; mc_labels [B].

    Args:
        hidden_size: D, width of the input.
        dropout: probability of dropping a value of the input in training.
    """

    reads: ClassVar = frozenset({"last_hidden_state", "mc_token_ids"})
    labels: ClassVar = ("mc_labels",)
    wants_choices: ClassVar = True

    def __init__(self, *, hidden_size: Size, dropout: Probability = 0.0) -> None:
        super().__init__()
        self.projection = Linear(hidden_size, 1)
        self.dropout = dropout

    def forward(self, hidden: Tensor, context: Context, mc_labels: Tensor | None = None) -> dict[str, Tensor | None]:
        at = -1 if context.mc_token_ids is None else context.mc_token_ids.flatten()
        chosen = hidden[torch.arange(len(hidden), device=hidden.device), at]
        scores = self.projection(F.dropout(chosen, self.dropout, self.training))
        logits = scores.view(-1, context.choices) if context.choices is not None else scores.squeeze(-1)
        if mc_labels is None:
            return {"mc_loss": None, "mc_logits": logits}
        loss = cross_entropy(logits.view(-1, logits.shape[-1]), mc_labels, context.called("mc_labels"))
        return {"mc_loss": loss, "mc_logits": logits}
