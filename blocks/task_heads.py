"""Heads for classification and question answering."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import Context, Head
from .linear import Linear
from .registry import BlockError, Count, Probability, Size, register

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


def classification_loss(logits: Tensor, labels: Tensor, problem_type: ProblemType | None) -> Tensor:
    """Mean loss of logits [B, C]. Without a type: one column is a regression, integer labels are classes, others
    several labels at once.

    Labels: [B] numbers or [B, C] (regression), [B] classes (single label), [B, C] of 0 and 1 (multi-label).
    """
    if problem_type is None:
        if logits.shape[-1] == 1:
            problem_type = "regression"
        else:
            whole = not labels.dtype.is_floating_point
            problem_type = "single_label_classification" if whole else "multi_label_classification"
    if problem_type == "regression":
        return F.mse_loss(logits.squeeze(-1), labels.view_as(logits.squeeze(-1)).to(logits.dtype))
    if problem_type == "single_label_classification":
        return F.cross_entropy(logits, labels.flatten())
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


@register("sequence_classification_head")
class SequenceClassificationHead(Head):
    """Scores of a whole text's classes, from the pooled vector. *Shape:* pooled [B, D] -> logits [B, num_labels].

    Args:
        hidden_size: D, width of the input.
        num_labels: number of classes; 1 for a regression.
        bias: whether each class has a bias.
        dropout: probability of dropping a value of the input in training.
        problem_type: which loss labels get; by number of classes and type of the labels if absent.
    """

    source: ClassVar = "pooler_output"
    reads: ClassVar = frozenset({"pooler_output"})

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_labels: Size = 2,
        bias: bool = True,
        dropout: Probability = 0.0,
        problem_type: ProblemType | None = None,
    ) -> None:
        super().__init__()
        self.projection = Linear(hidden_size, num_labels, bias=bias)
        self.dropout = dropout
        self.problem_type = problem_type

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        logits = self.projection(F.dropout(hidden, self.dropout, self.training))
        loss = None if labels is None else classification_loss(logits, labels, self.problem_type)
        return {"loss": loss, "logits": logits}


@register("last_token_classification_head")
class LastTokenClassificationHead(SequenceClassificationHead):
    """Scores of a whole text's classes, from its last token that is not padding.
    *Shape:* [B, L, D] -> logits [B, num_labels].

    Padding is found by `padding_id`, else by the attention mask [B, L]; without either the last position is taken.

    Args:
        hidden_size: D, width of the input.
        num_labels: number of classes; 1 for a regression.
        bias: whether each class has a bias.
        dropout: probability of dropping a value of the input in training.
        problem_type: which loss labels get; by number of classes and type of the labels if absent.
        padding_id: token that fills up short rows.
    """

    source: ClassVar = "last_hidden_state"
    reads: ClassVar = frozenset({"last_hidden_state", "input_ids", "attention_mask"})

    def __init__(
        self,
        *,
        hidden_size: Size,
        num_labels: Size = 2,
        bias: bool = True,
        dropout: Probability = 0.0,
        problem_type: ProblemType | None = None,
        padding_id: Count | None = None,
    ) -> None:
        super().__init__(
            hidden_size=hidden_size, num_labels=num_labels, bias=bias, dropout=dropout, problem_type=problem_type
        )
        self.padding_id = padding_id

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        rows = torch.arange(len(hidden), device=hidden.device)
        return super().forward(hidden[rows, self._last(hidden, context)], context, labels)

    def _last(self, hidden: Tensor, context: Context) -> Tensor | int:
        """[B] indices of the rightmost real token, whichever side the padding is on."""
        mask = context.attention_mask
        if context.input_ids is not None and self.padding_id is not None:
            real = context.input_ids != self.padding_id
        elif mask is not None and mask.dim() == 2:
            real = mask[:, -hidden.shape[1] :] != 0
        elif len(hidden) > 1 and context.inputs_embeds is None:
            raise BlockError(
                "cannot tell the last token of each row: the model has no padding id and there is no attention_mask",
                "attention_mask",
                help="pass attention_mask, or build the model with pad_token_id=…",
            )
        else:
            return -1
        return (torch.arange(hidden.shape[1], device=hidden.device) * real).argmax(dim=-1)


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
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return {"loss": loss, "logits": logits}


@register("question_answering_head")
class QuestionAnsweringHead(Head):
    """Where the answer starts and ends. *Shape:* [B, L, D] -> start_logits, end_logits [B, L]; positions [B].

    Positions outside the text do not count in the loss, the mean of both ends' cross entropies.

    Args:
        hidden_size: D, width of the input.
    """

    labels: ClassVar = ("start_positions", "end_positions")

    def __init__(self, *, hidden_size: Size) -> None:
        super().__init__()
        self.projection = Linear(hidden_size, 2)

    def forward(
        self,
        hidden: Tensor,
        context: Context,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
    ) -> dict[str, Tensor | None]:
        start, end = self.projection(hidden).unbind(dim=-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            outside = start.shape[1]
            losses = [
                F.cross_entropy(logits, positions.flatten().clamp(0, outside), ignore_index=outside)
                for logits, positions in ((start, start_positions), (end, end_positions))
            ]
            loss = (losses[0] + losses[1]) / 2
        return {"loss": loss, "start_logits": start.contiguous(), "end_logits": end.contiguous()}


@register("multiple_choice_head")
class MultipleChoiceHead(Head):
    """A score for each choice, from its pooled vector.
    *Shape:* pooled [B · choices, D] -> logits [B, choices]; labels [B].

    Args:
        hidden_size: D, width of the input.
        dropout: probability of dropping a value of the input in training.
    """

    source: ClassVar = "pooler_output"
    reads: ClassVar = frozenset({"pooler_output"})
    wants_choices: ClassVar = True

    def __init__(self, *, hidden_size: Size, dropout: Probability = 0.0) -> None:
        super().__init__()
        self.projection = Linear(hidden_size, 1)
        self.dropout = dropout

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        scores = self.projection(F.dropout(hidden, self.dropout, self.training))
        logits = scores.view(-1, context.choices or 1)
        return {"loss": None if labels is None else F.cross_entropy(logits, labels.flatten()), "logits": logits}


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
        loss = None if mc_labels is None else F.cross_entropy(logits.view(-1, logits.shape[-1]), mc_labels.flatten())
        return {"mc_loss": loss, "mc_logits": logits}
