"""Classes that are given in words: does the text entail that it is about one?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import UsageError
from .base import Pipeline
from .batching import Batch, Row


@dataclass(frozen=True, kw_only=True)
class ZeroShotOptions:
    candidate_labels: str | list[str] | None = None  # a list, or words between commas
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False  # whether each label is judged alone
    truncation: bool | str = "only_first"
    max_length: int | None = None


class ZeroShotClassification(Pipeline):
    """A text, or many, to `{"sequence", "labels", "scores"}`, the best label first."""

    options_class = ZeroShotOptions

    def __call__(self, inputs: Any, candidate_labels: Any = None, **options: Any) -> Any:
        if candidate_labels is not None:
            options["candidate_labels"] = candidate_labels
        if options.get("candidate_labels", self.defaults.candidate_labels) is None:
            raise UsageError("there are no candidate_labels", help='pipe(text, candidate_labels=["sports", "arts"])')
        return super().__call__(inputs, **options)

    def prepared(self, options: ZeroShotOptions) -> ZeroShotOptions:
        self._entailment()
        if not _has_place(options.hypothesis_template):
            raise UsageError(f"hypothesis_template={options.hypothesis_template!r} has no {{}} for the label")
        given = options.candidate_labels
        if given is None:  # a call will say them
            return options
        labels = [label.strip() for label in given.split(",") if label.strip()] if isinstance(given, str) else given
        texts = isinstance(labels, list | tuple) and all(isinstance(label, str) and label for label in labels)
        if not texts or not labels:
            raise UsageError(f"candidate_labels={given!r} must be texts, one at least")
        return replace(options, candidate_labels=labels)

    def rows(self, items: list[str], first: int, options: ZeroShotOptions) -> list[list[Row]]:
        claims = [options.hypothesis_template.format(label) for label in options.candidate_labels]
        texts = [(item, claim) for item in items for claim in claims]
        encoding = self.encoded(
            texts, 0, truncation=options.truncation, max_length=options.max_length, named="text with hypothesis"
        )
        rows = [self.made(encoding, index) for index in range(len(texts))]
        return [rows[start : start + len(claims)] for start in range(0, len(rows), len(claims))]

    def run(self, batch: Batch, options: ZeroShotOptions) -> list[Any]:
        return list(self.output(self.forward(batch), "logits").float())

    def result(self, item: str, rows: list[Row], kept: list[Any], options: ZeroShotOptions) -> dict[str, Any]:
        labels, logits, entails = options.candidate_labels, torch.stack(kept), self._entailment()
        if options.multi_label or len(labels) == 1:
            contradicts = len(self.labels()) - 1 if entails == 0 else 0
            found = logits[:, [contradicts, entails]].softmax(dim=-1)[:, 1]
        else:
            found = logits[:, entails].softmax(dim=-1)
        values = found.tolist()
        order = sorted(range(len(labels)), key=lambda index: -values[index])
        return {
            "sequence": item,
            "labels": [labels[index] for index in order],
            "scores": [values[index] for index in order],
        }

    def _entailment(self) -> int:
        """The number of the class that says that the hypothesis follows."""
        labels = self.labels()
        for number, label in enumerate(labels):
            if label.lower().startswith("entail"):
                return number
        raise UsageError(
            f"none of the model's classes ({', '.join(labels)}) is called entailment",
            help="zero-shot classification needs a model of natural language inference; if it is one, name its classes:"
            ' mw.build(…, id2label={0: "contradiction", 1: "neutral", 2: "entailment"})',
        )


def _has_place(template: str) -> bool:
    try:
        return template.format("label") != template
    except (LookupError, ValueError, AttributeError):
        return False
