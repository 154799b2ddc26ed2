"""How alike sentences are: cosines of their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import UsageError
from .base import Pipeline, check_mapping, kind
from .batching import Batch, Row
from .feature_extraction import POOLING, pooled
from .options import one_of


@dataclass(frozen=True, kw_only=True)
class SentenceSimilarityOptions:
    pooling: str = "mean"  # of the last states; or `cls`, the first token's
    truncation: bool | str = True
    max_length: int | None = None


class SentenceSimilarity(Pipeline):
    """`{"source_sentence": …, "sentences": […]}` to a list of cosines, one for each of the sentences."""

    options_class = SentenceSimilarityOptions

    def __call__(self, inputs: Any, sentences: Any = None, **options: Any) -> Any:
        """`pipe(source, sentences)` is the mapping in short."""
        if sentences is not None:
            inputs = {"source_sentence": inputs, "sentences": sentences}
        return super().__call__(inputs, **options)

    def is_one(self, inputs: Any) -> bool:
        return isinstance(inputs, str | Mapping)

    def check_input(self, item: Any, place: str) -> None:
        check_mapping(item, place, ("source_sentence", "sentences"))
        sentences = item["sentences"]
        if isinstance(sentences, str) or not isinstance(sentences, list | tuple) or not sentences:
            raise UsageError(f"`sentences` of {place} must be a list with at least one")
        for value in (item["source_sentence"], *sentences):
            if not isinstance(value, str):
                raise UsageError(f"a sentence of {place} is {kind(value)}, not a text")

    def prepared(self, options: SentenceSimilarityOptions) -> SentenceSimilarityOptions:
        one_of("pooling", options.pooling, POOLING[1:])
        return options

    def rows(self, items: list[Any], first: int, options: SentenceSimilarityOptions) -> list[list[Row]]:
        texts = [text for item in items for text in (item["source_sentence"], *item["sentences"])]
        encoding = self.encoded(
            texts, 0, truncation=options.truncation, max_length=options.max_length, named="sentence"
        )
        rows = iter([self.made(encoding, index) for index in range(len(texts))])
        return [[next(rows) for _ in range(1 + len(item["sentences"]))] for item in items]

    def run(self, batch: Batch, options: SentenceSimilarityOptions) -> list[Any]:
        vectors = pooled(self.states(batch), batch.spans, options.pooling)
        return list(torch.nn.functional.normalize(vectors, dim=-1))

    def result(self, item: Any, rows: list[Row], kept: list[Any], options: SentenceSimilarityOptions) -> list[float]:
        return (torch.stack(kept[1:]) @ kept[0]).tolist()
