"""What sampling leaves to chance: (written [R, L], scores [R, V]) -> scores, minus infinity for what is out.

`keep`: tokens that always stay in, the likeliest.
"""

from __future__ import annotations

from torch import Tensor

NEVER = float("-inf")


class Temperature:
    """Scores divided: below 1 the likely becomes likelier."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return scores / self.temperature


class TopK:
    """The `count` likeliest, and what is as likely as the last of them. Fan et al. 2018, arXiv:1805.04833."""

    def __init__(self, count: int, keep: int = 1, out: float = NEVER) -> None:
        self.count, self.out = max(count, keep), out

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return scores.masked_fill(scores < least_of(scores, self.count), self.out)


class TopP:
    """The fewest that together have the probability `mass`. Holtzman et al. 2019, arXiv:1904.09751."""

    def __init__(self, mass: float, keep: int = 1, out: float = NEVER) -> None:
        self.mass, self.keep, self.out = mass, keep, out

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        rising, order = scores.sort(dim=-1)
        outside = rising.softmax(dim=-1).cumsum(dim=-1) <= 1 - self.mass
        outside[..., -self.keep :] = False
        return scores.masked_fill(outside.scatter(-1, order, outside), self.out)


class MinP:
    """Those with at least `share` of the likeliest one's probability. Nguyen et al. 2024, arXiv:2407.01082."""

    def __init__(self, share: float, keep: int = 1) -> None:
        self.share, self.keep = share, keep

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        probabilities = scores.softmax(dim=-1)
        outside = probabilities < self.share * probabilities.amax(dim=-1, keepdim=True)
        outside.scatter_(-1, probabilities.topk(min(self.keep, scores.shape[-1]), dim=-1).indices, False)
        return scores.masked_fill(outside, NEVER)


class Typical:
    """Those whose surprise is nearest to the expected, together of probability `mass`.
    Meister et al. 2022, arXiv:2202.00666."""

    def __init__(self, mass: float, keep: int = 1) -> None:
        self.mass, self.keep = mass, keep

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        logs = scores.log_softmax(dim=-1)
        expected = -(logs * logs.exp()).nansum(dim=-1, keepdim=True)
        distance, order = (-logs - expected).abs().sort(dim=-1)
        mass = scores.gather(-1, order).softmax(dim=-1).cumsum(dim=-1)
        last = (mass < self.mass).sum(dim=-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        outside = distance > distance.gather(-1, last)
        outside[..., : self.keep] = False
        return scores.masked_fill(outside.scatter(-1, order, outside), NEVER)


class Epsilon:
    """Those with at least this probability. Hewitt et al. 2022, arXiv:2210.15191."""

    def __init__(self, least: float, keep: int = 1) -> None:
        self.least, self.keep = least, keep

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        outside = scores.softmax(dim=-1) < self.threshold(scores)
        return scores.masked_fill(outside & (scores < least_of(scores, self.keep)), NEVER)

    def threshold(self, scores: Tensor) -> float | Tensor:
        return self.least


class Eta(Epsilon):
    """The same, with a lower bar where much is possible. Hewitt et al. 2022, arXiv:2210.15191."""

    def threshold(self, scores: Tensor) -> Tensor:
        logs = scores.log_softmax(dim=-1)
        entropy = -(logs * logs.exp()).nansum(dim=-1, keepdim=True)
        return (self.least**0.5 * (-entropy).exp()).clamp(max=self.least)


def least_of(scores: Tensor, count: int) -> Tensor:
    """The lowest of the `count` highest scores, [R, 1]."""
    return scores.topk(min(count, scores.shape[-1]), dim=-1).values[..., -1:]


def top_k_top_p_filtering(
    logits: Tensor,
    top_k: int = 0,
    top_p: float = 1.0,
    filter_value: float = NEVER,
    min_tokens_to_keep: int = 1,
) -> Tensor:
    """Logits [..., V] with `filter_value` for all but the `top_k` likeliest, and but the fewest of these that have the
    probability `top_p` together. A top_k of 0 and a top_p of 1 leave all."""
    rows = logits.reshape(-1, logits.shape[-1])
    if top_k > 0:
        rows = TopK(top_k, min_tokens_to_keep, filter_value)(rows, rows)
    if top_p < 1.0:
        rows = TopP(top_p, min_tokens_to_keep, filter_value)(rows, rows)
    return rows.view_as(logits)
