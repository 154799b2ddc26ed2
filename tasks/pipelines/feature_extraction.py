"""Texts to vectors: of each token, or one for the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from .base import Pipeline
from .batching import Batch, Row
from .options import one_of

POOLING = ("none", "cls", "mean")


@dataclass(frozen=True, kw_only=True)
class FeatureExtractionOptions:
    pooling: str = "none"  # a vector for each token; that of the first; their mean, special tokens included
    normalize: bool = False  # whether pooled vectors have length 1
    return_tensors: bool = False
    truncation: bool | str = False
    max_length: int | None = None


class FeatureExtraction(Pipeline):
    """A text to the last states of its tokens: a nested list, or with `return_tensors` a tensor [1, tokens, D]. With
    `pooling` one vector, [D]. What was filled up in a batch is not among them."""

    options_class = FeatureExtractionOptions

    def prepared(self, options: FeatureExtractionOptions) -> FeatureExtractionOptions:
        one_of("pooling", options.pooling, POOLING)
        if options.normalize and options.pooling == "none":
            raise UsageError("normalize=True is for pooled vectors", help='pooling="mean" or "cls"')
        return options

    def rows(self, items: list[str], first: int, options: FeatureExtractionOptions) -> list[list[Row]]:
        encoding = self.encoded(items, first, truncation=options.truncation, max_length=options.max_length)
        return [[self.made(encoding, index)] for index in range(len(items))]

    def run(self, batch: Batch, options: FeatureExtractionOptions) -> list[Any]:
        hidden = self.states(batch)
        if options.pooling == "none":
            return [hidden[index, span][None] for index, span in enumerate(batch.spans)]
        vectors = pooled(hidden, batch.spans, options.pooling)
        return list(torch.nn.functional.normalize(vectors, dim=-1) if options.normalize else vectors)

    def result(self, item: str, rows: list[Row], kept: list[Tensor], options: FeatureExtractionOptions) -> Any:
        return kept[0] if options.return_tensors else kept[0].float().tolist()  # lists take many times the memory


def pooled(hidden: Tensor, spans: list[slice], pooling: str) -> Tensor:
    """[rows, positions, D] -> [rows, D], in float32."""
    if pooling == "cls":
        return torch.stack([hidden[index, span.start] for index, span in enumerate(spans)]).float()
    return torch.stack([hidden[index, span].float().mean(dim=0) for index, span in enumerate(spans)])
