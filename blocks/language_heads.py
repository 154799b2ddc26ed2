"""Heads that predict words."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from .activation import ACTIVATIONS, Activation
from .adaptive import ClusteredProjection, Divisor
from .base import Context, Head, Norm
from .feed_forward import in_chunks
from .linear import Linear
from .losses import cross_entropy
from .registry import Count, Size, register


@register("lm_head")
class LanguageModelHead(Head):
    """Scores of every word at every position. *Shape:* [B, L, D] -> logits [B, L, vocab_size].

    Labels [B, L] are words, -100 where they do not count; `loss` is the mean cross entropy. With `cutoffs` the softmax
    is adaptive, and `logits` are log probabilities. Paper: Grave et al. 2017, arXiv:1609.04309.

    Args:
        hidden_size: D, width of the input.
        vocab_size: number of words.
        bias: whether each word has a bias.
        transform: whether a projection comes first.
        transform_size: width of that projection, where the words' vectors are narrower; hidden_size if absent.
        activation: function after that projection.
        norm: applied after the activation.
        shift: whether position i predicts label i + 1, for causal models.
        scale: factor on the states before the words are scored.
        train_bias: false for a bias that no gradient changes.
        chunk_size: positions scored at a time, 0 for all: the same numbers with a lower peak of memory.
        cutoffs: first words of the second and each later cluster, for an adaptive softmax.
        divisor: each cluster is scored from a width smaller by it than the one before.
    """

    target: ClassVar = "labels"

    def __init__(
        self,
        *,
        hidden_size: Size,
        vocab_size: Size,
        bias: bool = True,
        transform: bool = False,
        transform_size: Size | None = None,
        activation: Activation = "identity",
        norm: Norm | None = None,
        shift: bool = False,
        scale: float = 1.0,
        train_bias: bool = True,
        chunk_size: Count = 0,
        cutoffs: list[int] | None = None,
        divisor: Divisor = 4,
    ) -> None:
        super().__init__()
        width = transform_size if transform and transform_size is not None else hidden_size
        self.dense = Linear(hidden_size, width) if transform else nn.Identity()
        self.activation = ACTIVATIONS[activation]
        self.norm = nn.Identity() if norm is None else norm
        if cutoffs is None:
            self.projection = Linear(width, vocab_size, bias=bias)
        else:
            self.projection = ClusteredProjection(
                hidden_size=width, vocab_size=vocab_size, cutoffs=cutoffs, divisor=divisor, bias=bias
            )
        for name, parameter in self.projection.named_parameters():
            parameter.requires_grad_(train_bias or not name.endswith("bias"))
        self.shift = shift
        self.scale = scale
        self.chunk_size = chunk_size

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        logits = in_chunks(self._scores, hidden, self.chunk_size)
        if labels is None:
            return {"loss": None, "logits": logits}
        return {"loss": cross_entropy(logits, labels, context.called("labels"), shift=self.shift), "logits": logits}

    def _scores(self, hidden: Tensor) -> Tensor:
        states = self.norm(self.activation(self.dense(hidden)))
        return self.projection(states if self.scale == 1.0 else states * self.scale)


@register("next_sentence_head")
class NextSentenceHead(Head):
    """Whether the second text follows the first (0) or not (1). Paper: Devlin et al. 2018, arXiv:1810.04805.
    *Shape:* pooled [B, D] -> logits [B, 2]; labels [B].

    Args:
        hidden_size: D, width of the input.
    """

    source: ClassVar = "pooler_output"
    reads: ClassVar = frozenset({"pooler_output"})

    def __init__(self, *, hidden_size: Size) -> None:
        super().__init__()
        self.projection = Linear(hidden_size, 2)

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        logits = self.projection(hidden)
        loss = None if labels is None else cross_entropy(logits, labels, context.called("labels"))
        return {"loss": loss, "logits": logits}
