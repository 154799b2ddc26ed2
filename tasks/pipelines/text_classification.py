"""Texts, or pairs of texts, to classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .base import Pipeline, check_mapping
from .batching import Batch, Row
from .options import one_of, whole

FUNCTIONS = ("softmax", "sigmoid", "none")


@dataclass(frozen=True, kw_only=True)
class TextClassificationOptions:
    """`top_k`: classes a text gets, None for all; "" for the best one alone, without a list around it."""

    top_k: int | str | None = ""
    return_all_scores: bool | None = None  # all, in the order of the labels
    function_to_apply: str | None = None  # by the model's labels and problem type if absent
    truncation: bool | str = False
    max_length: int | None = None


class TextClassification(Pipeline):
    """A text, `{"text": …, "text_pair": …}`, or many, to `{"label", "score"}`.

    One text gives a list of one, as it always has been; with `top_k` each input gives a list, the best first.
    """

    options_class = TextClassificationOptions

    def __call__(self, inputs: Any, **options: Any) -> Any:
        result = super().__call__(inputs, **options)
        return [result] if isinstance(inputs, str) and "top_k" not in options else result

    def is_one(self, inputs: Any) -> bool:
        return isinstance(inputs, str | Mapping)

    def check_input(self, item: Any, place: str) -> None:
        if not isinstance(item, str):
            check_mapping(item, place, ("text",), ("text_pair",))

    def prepared(self, options: TextClassificationOptions) -> TextClassificationOptions:
        if options.top_k not in ("", None):
            whole("top_k", options.top_k)
        if options.function_to_apply is not None:
            one_of("function_to_apply", options.function_to_apply, FUNCTIONS)
        return options

    def rows(self, items: list[Any], first: int, options: TextClassificationOptions) -> list[list[Row]]:
        texts = [item if isinstance(item, str) else self.pair(item["text"], item.get("text_pair")) for item in items]
        encoding = self.encoded(texts, first, truncation=options.truncation, max_length=options.max_length)
        return [[self.made(encoding, index)] for index in range(len(items))]

    def run(self, batch: Batch, options: TextClassificationOptions) -> list[list[float]]:
        logits = self.output(self.forward(batch), "logits").float()
        return scores(logits, options.function_to_apply or self._usual()).tolist()

    def result(
        self, item: Any, rows: list[Row], kept: list[list[float]], options: TextClassificationOptions
    ) -> dict[str, Any] | list[dict[str, Any]]:
        found = [{"label": label, "score": score} for label, score in zip(self.labels(), kept[0], strict=True)]
        if options.top_k == "" and options.return_all_scores:
            return found
        found.sort(key=lambda one: -one["score"])
        return found[0] if options.top_k == "" else found[: options.top_k]

    def _usual(self) -> str:
        problem = getattr(self.model.config, "problem_type", None)
        if problem == "regression":
            return "none"
        if problem == "multi_label_classification" or self.model.config.num_labels == 1:
            return "sigmoid"
        return "softmax"


def scores(logits: Tensor, function: str) -> Tensor:
    """[..., classes] -> the same."""
    return {"softmax": lambda: logits.softmax(dim=-1), "sigmoid": logits.sigmoid, "none": lambda: logits}[function]()
