"""Rows of any length through a model: ordered by length, so that little or nothing is filled up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...assembler.model import Model
from ...tokenizers import Tokenizer

#: A row joins a batch if at most this share of it would be padding. On a CPU a position of padding costs as much as any
#: other; on other devices a larger batch is worth more than that.
SLACK = {"cpu": 0.05}
SLACK_ELSEWHERE = 0.25


@dataclass(slots=True)
class Row:
    """One row for the model: what it reads, all equally long; and what its task wants to know of it later."""

    inputs: dict[str, list[int]]
    about: Any = None

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


@dataclass(slots=True)
class Batch:
    """Rows that run together. `spans`: where in the tensors each row's own positions are."""

    rows: list[Row]
    inputs: dict[str, Tensor]
    spans: list[slice]

    def mask(self) -> Tensor:
        """[rows, positions]: 1 for a row's own positions."""
        return self.inputs["attention_mask"]


def groups(lengths: Sequence[int], size: int, slack: float | None) -> Iterator[list[int]]:
    """Indices of rows in batches of at most `size`, the longest first. A row is at most the share `slack` shorter than
    the longest of its batch; None: not at all."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) == size or lengths[index] < lengths[batch[0]] * (1 - (slack or 0.0))):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


class Runner:
    """Runs rows and brings what is kept of them back in their own order.

    Rows are filled up where the model can be told so: it takes an `attention_mask`, has a padding id, and its spec does
    not say `padding: false`. Otherwise only rows of one length run together.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, *, left: bool | None = None, padding_id: int | None = None
    ) -> None:
        """`left`: padding goes there, by default where the model was trained to have it. `padding_id`: what padding is,
        by default what the model knows as such."""
        self.model = model
        self.padding_id = getattr(model.config, "pad_token_id", None) if padding_id is None else padding_id
        self._padding = {"token_type_ids": tokenizer.settings.pad_token_type_id}
        section = model.spec.tokenizer_section() or {}
        self.left = section.get("padding_side") == "left" if left is None else left
        masked = "attention_mask" in model.inputs
        may_pad = (model.spec.sections["tasks"] or {}).get("padding", True)
        padded = masked and may_pad and self.padding_id is not None
        self._slack = SLACK.get(model.device.type, SLACK_ELSEWHERE) if padded else None
        self._masked = masked

    def run(
        self, rows: Sequence[Row], call: Callable[[Batch], list[Any]], batch_size: int,
        done: Callable[[int], None] | None = None,
    ) -> list[Any]:
        """What `call` makes of each row, at most `batch_size` at a time; `done` hears how many rows each batch had."""
        results: list[Any] = [None] * len(rows)
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                for indices in groups([len(row) for row in rows], batch_size, self._slack):
                    batch = self._batch([rows[index] for index in indices])
                    for index, result in zip(indices, call(batch), strict=True):
                        results[index] = result
                    if done is not None:
                        done(len(indices))
        finally:
            self.model.train(training)
        return results

    def _batch(self, rows: list[Row]) -> Batch:
        longest = max(map(len, rows))
        gaps = [longest - len(row) for row in rows]
        device = self.model.device
        inputs = {
            name: torch.tensor([self._filled(name, row.inputs[name], gap) for row, gap in zip(rows, gaps, strict=True)],
                               device=device)
            for name in rows[0].inputs
        }  # fmt: skip
        if self._masked:
            filled = [self._filled("attention_mask", [1] * len(row), gap) for row, gap in zip(rows, gaps, strict=True)]
            inputs["attention_mask"] = torch.tensor(filled, device=device)
        starts = [gap if self.left else 0 for gap in gaps]
        spans = [slice(start, start + len(row)) for start, row in zip(starts, rows, strict=True)]
        return Batch(rows, inputs, spans)

    def _filled(self, name: str, values: list[int], gap: int) -> list[int]:
        if not gap:
            return values
        padding = [self.padding_id if name == "input_ids" else self._padding.get(name, 0)] * gap
        return padding + values if self.left else values + padding
