"""Adaptive embedding and adaptive softmax: rarer words in clusters of narrower vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Context, Head
from .embeddings import Lookup, Table
from .leaf import begin
from .linear import Linear, linear
from .losses import IGNORED, classes, within
from .registry import Block, BlockError, Range, Size, register

Divisor = Annotated[float, Range(1, 2**28)]


def cluster_bounds(vocab_size: Size, cutoffs: Sequence[int]) -> list[tuple[int, int]]:
    """First id and end of each cluster. `cutoffs` are the inner ends, rising."""
    ends = [0, *cutoffs, vocab_size]
    if sorted(set(ends)) != ends:
        raise BlockError(
            f"cutoffs {list(cutoffs)} do not rise between 0 and the vocabulary's {vocab_size}",
            "cutoffs",
            "vocab_size",
        )
    return list(pairwise(ends))


def cluster_tables(vocab_size: Size, width: Size, cutoffs: Sequence[int], divisor: Size) -> list[tuple[int, int]]:
    """(rows, width) of each table: one for all words if `divisor` is 1, else one a cluster, width / divisor^i wide."""
    bounds = cluster_bounds(vocab_size, cutoffs)
    if divisor == 1:
        return [(vocab_size, width)]
    if width < divisor ** (len(bounds) - 1):
        times = len(bounds) - 1
        raise BlockError(f"vectors of {width} cannot be divided by {divisor} {times} times", "width", "divisor")
    return [(end - start, width // divisor**i) for i, (start, end) in enumerate(bounds)]


def log_probabilities(bounds: Sequence[tuple[int, int]], scores: Callable[[int], Tensor]) -> Tensor:
    """Of all words, [..., vocab_size], from the `scores` of each cluster's words, [..., words of the cluster]. Behind
    those of the first cluster come the scores of every other cluster as a whole."""
    first = bounds[0][1]
    head = scores(0).log_softmax(dim=-1)
    tails = [
        head[..., first + cluster - 1, None] + scores(cluster).log_softmax(dim=-1) for cluster in range(1, len(bounds))
    ]
    return torch.cat([head[..., :first], *tails], dim=-1)


class Projection(Block, nn.Module):
    """A matrix between the model's width and a cluster's, [hidden, cluster width]; used in both directions."""

    leaf = "projection"

    def __init__(self, hidden_size: Size, width: Size) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden_size, width))
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal of standard deviation `std`."""
        nn.init.normal_(self.weight, std=std)


@register("adaptive_lookup")
class AdaptiveLookup(Table):
    """Token vectors that are narrower in later clusters, projected to one width.
    Paper: Baevski and Auli 2019, arXiv:1809.10853. *Shape:* -> [B, L, hidden_size].

    Args:
        size: number of tokens.
        width: width of the first cluster's vectors.
        hidden_size: width of the result.
        cutoffs: first ids of the second and each later cluster.
        divisor: each cluster's vectors are narrower by it than the one before; 1 for one table and no clusters.
        scale: factor on the result.
    """

    reads: ClassVar = frozenset({"input_ids", "inputs_embeds"})

    def __init__(
        self, *, size: Size, width: Size, hidden_size: Size, cutoffs: list[int], divisor: Size = 1, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.size = size
        tables = cluster_tables(size, width, cutoffs, divisor)
        self.starts = [start for start, _ in cluster_bounds(size, cutoffs)] if divisor > 1 else [0]
        self.tables = nn.ModuleList(Lookup(rows, columns) for rows, columns in tables)
        projected = divisor > 1 or width != hidden_size
        self.projections = nn.ModuleList(Projection(hidden_size, columns) for _, columns in tables if projected)
        self.scale = scale

    def vectors(self, context: Context) -> Tensor:
        if context.inputs_embeds is not None:
            return context.inputs_embeds
        ids = context.input_ids
        if not self.projections:
            return self.tables[0].rows(ids) * self.scale
        # Every table answers for every id, zero where the id is another cluster's: no shape depends on the data.
        cluster = sum(((ids >= start).long() for start in self.starts[1:]), torch.zeros_like(ids))
        narrow = []
        for number, (start, table) in enumerate(zip(self.starts, self.tables, strict=True)):
            inside = cluster == number
            narrow.append(table.rows(torch.where(inside, ids - start, 0)) * inside[..., None])
        weight = torch.cat([projection.weight for projection in self.projections], dim=-1)
        return linear(torch.cat(narrow, dim=-1), weight) * self.scale


@register("adaptive_softmax_head")
class AdaptiveSoftmaxHead(Head):
    """Log probabilities of the next token, first over frequent words and clusters, then within the cluster.
    Paper: Grave et al. 2017, arXiv:1609.04309. *Shape:* [B, L, D] -> logits [B, L, vocab_size].

    `logits` are log probabilities, None with labels: then only each label's own cluster is computed, and `losses`
    [B, L - 1] holds the negative log probabilities of the shifted labels, 0 where one is -100; `loss` is their mean.

    Args:
        hidden_size: D, width of the input.
        vocab_size: number of tokens.
        width: width of the first cluster's vectors.
        cutoffs: first ids of the second and each later cluster.
        divisor: each cluster's vectors are narrower by it than the one before; 1 for equal widths.
    """

    reads: ClassVar = frozenset({"last_hidden_state"})

    def __init__(
        self, *, hidden_size: Size, vocab_size: Size, width: Size, cutoffs: list[int], divisor: Size = 1
    ) -> None:
        super().__init__()
        tables = cluster_tables(vocab_size, width, cutoffs, divisor)
        self.bounds = cluster_bounds(vocab_size, cutoffs)
        self.tables = nn.ModuleList(Linear(columns, rows) for rows, columns in tables)
        widths = [columns for _, columns in tables] * (len(self.bounds) if divisor == 1 else 1)
        projected = divisor > 1 or width != hidden_size
        self.projections = nn.ModuleList(Projection(hidden_size, columns) for columns in widths if projected)
        self.cluster_weight = nn.Parameter(torch.empty(len(cutoffs), width)) if cutoffs else None
        self.cluster_bias = nn.Parameter(torch.empty(len(cutoffs))) if cutoffs else None
        begin(self)

    def reset_parameters(self, std: float = 0.02) -> None:
        """Normal cluster vectors of standard deviation `std`, zero biases."""
        if self.cluster_weight is not None:
            nn.init.normal_(self.cluster_weight, std=std)
            nn.init.zeros_(self.cluster_bias)

    def forward(self, hidden: Tensor, context: Context, labels: Tensor | None = None) -> dict[str, Tensor | None]:
        if labels is None:
            return {"logits": self.log_probabilities(hidden)}
        name = context.called("labels")
        targets = classes(labels, hidden.shape[:-1], name, "token")[:, 1:]
        try:
            losses = self.losses(hidden[:, :-1].flatten(0, 1), targets.flatten()).view_as(targets)
        except IndexError:
            within(targets, self.bounds[-1][1], name)
            raise
        return {"loss": losses.sum() / (targets != IGNORED).sum(), "losses": losses, "logits": None}

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., vocab_size]."""
        return log_probabilities(self.bounds, lambda cluster: self._scores(hidden, cluster))

    def losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Negative log probabilities. *Shape:* [N, D], [N] -> [N]; 0 where the target is -100. IndexError for others
        that are no tokens."""
        first = self.bounds[0][1]
        head = self._scores(hidden, 0).log_softmax(dim=-1)
        cluster_of = sum((targets >= end).long() for _, end in self.bounds)
        column = torch.where(targets < first, targets, first - 1 + cluster_of)
        losses = F.nll_loss(head, column, ignore_index=IGNORED, reduction="none")
        for cluster, (start, end) in enumerate(self.bounds[1:], start=1):
            rows = ((targets >= start) & (targets < end)).nonzero().squeeze(1)
            tail = self._scores(hidden[rows], cluster).log_softmax(dim=-1)
            losses = losses.index_add(0, rows, tail.gather(1, (targets[rows] - start)[:, None]).squeeze(1), alpha=-1)
        return losses

    def _scores(self, hidden: Tensor, cluster: int) -> Tensor:
        """[..., D] -> [..., words of the cluster]; behind the first cluster's, an entry for each other cluster."""
        if len(self.tables) == 1:
            start, end = self.bounds[cluster]
            weight, bias = self.tables[0].weight[start:end], self.tables[0].bias[start:end]
        else:
            weight, bias = self.tables[cluster].weight, self.tables[cluster].bias
        if cluster == 0 and self.cluster_weight is not None:
            weight, bias = torch.cat([weight, self.cluster_weight]), torch.cat([bias, self.cluster_bias])
        if self.projections:
            hidden = hidden @ self.projections[cluster].weight
        return linear(hidden, weight, bias)


class ClusteredProjection(nn.Module):
    """Log probabilities of words, the rarer ones in clusters that are read from ever fewer dimensions.
    Paper: Grave et al. 2017, arXiv:1609.04309. *Shape:* [..., hidden_size] -> [..., vocab_size].

    Args:
        hidden_size: width of the input.
        vocab_size: number of words.
        cutoffs: first ids of the second and each later cluster.
        divisor: each cluster is read from a width smaller by it than the one before.
        bias: whether the words of the first cluster, and each other cluster as a whole, have a bias.
    """

    def __init__(
        self, *, hidden_size: Size, vocab_size: Size, cutoffs: Sequence[int], divisor: Divisor, bias: bool = True
    ) -> None:
        super().__init__()
        self.bounds = cluster_bounds(vocab_size, cutoffs)
        first, *others = (end - start for start, end in self.bounds)
        widths = [int(hidden_size // divisor**i) for i in range(1, len(self.bounds))]
        if 0 in widths:
            times = len(widths)
            raise BlockError(f"vectors of {hidden_size} cannot be divided by {divisor} {times} times", "divisor")
        self.first = Linear(hidden_size, first + len(others), bias=bias)
        self.tails = nn.ModuleList(
            nn.Sequential(Linear(hidden_size, width, bias=False), Linear(width, words, bias=False))
            for width, words in zip(widths, others, strict=True)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        clusters = [self.first, *self.tails]
        return log_probabilities(self.bounds, lambda cluster: clusters[cluster](hidden))
