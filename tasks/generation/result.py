"""What generation returns when it is asked for more than ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(slots=True)
class GenerateOutput:
    """Shapes: N texts, L tokens, R rows that are written at the same time, V vocabulary, T steps."""

    sequences: Tensor  # [N, L]
    sequences_scores: Tensor | None = None  # [N], of searches with beams
    scores: tuple[Tensor, ...] | None = None  # a step: [R, V], after all rules
    logits: tuple[Tensor, ...] | None = None  # a step: [R, V], the model's own
    beam_indices: Tensor | None = None  # [N, T], the row each token comes from; -1 behind the end

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


class Record:
    """Collects scores and logits of each step, as far as they are asked for."""

    def __init__(self, scores: bool, logits: bool) -> None:
        self.scores: list[Tensor] | None = [] if scores else None
        self.logits: list[Tensor] | None = [] if logits else None

    def __call__(self, logits: Tensor, scores: Callable[[], Tensor]) -> None:
        if self.logits is not None:
            self.logits.append(logits)
        if self.scores is not None:
            self.scores.append(scores())

    def fields(self) -> dict[str, tuple[Tensor, ...] | None]:
        return {
            "scores": None if self.scores is None else tuple(self.scores),
            "logits": None if self.logits is None else tuple(self.logits),
        }
