"""One text for each row, a word at a time: the likeliest one, or one by chance."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...errors import UsageError
from .result import Record
from .room import room_for
from .rules import Rules
from .steps import Steps
from .stopping import Stopping


def one_by_one(
    steps: Steps,
    ids: Tensor,
    *,
    rules: Rules,
    stopping: Stopping,
    padding: int,
    sample: bool,
    copies: int = 1,
    generator: torch.Generator | None = None,
    record: Record,
) -> Iterator[Tensor]:
    """Yields the text so far [R, L] with each new word. `copies` rows start from each prompt.

    Rows that are finished get `padding`. What the host learns of each step is whether to go on.
    """
    length = ids.shape[1]
    with room_for(ids.shape[0], copies, "num_return_sequences"):
        written = ids.new_full((ids.shape[0] * copies, stopping.max_length), padding)
        written[:, :length] = ids.repeat_interleave(copies, dim=0)
    running = torch.ones(written.shape[0], dtype=torch.bool, device=ids.device)
    logits = steps(ids)
    if copies > 1:
        steps.repeat(copies)
        logits = logits.repeat_interleave(copies, dim=0)
    while True:
        scores = rules(written[:, :length], logits)
        record(logits, lambda scores=scores: scores)
        words, sound = drawn(scores, generator) if sample else likeliest(scores)
        written[:, length] = torch.where(running, words, padding)
        length += 1
        running = running & ~stopping(written[:, :length])
        go_on, all_sound = torch.stack([running.any(), sound.all()]).tolist()
        if not all_sound:
            raise unsound(logits)
        yield written[:, :length]
        if not go_on:
            return
        logits = steps(written[:, :length])


def likeliest(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The best word of each row, and whether its score is a number. *Shape:* [R, V] -> [R], [R]."""
    best, words = scores.max(dim=-1)
    return words, best.isfinite()


def drawn(scores: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """A word by chance. *Shape:* [R, V] -> [R], [R]."""
    return chances(scores).multinomial(1, generator=generator).squeeze(1), scores.amax(dim=-1).isfinite()


def chances(scores: Tensor) -> Tensor:
    """Probabilities, and the same one for all where scores give none. *Shape:* [R, n] -> [R, n]."""
    probabilities = scores.softmax(dim=-1)
    return torch.where(probabilities.sum(dim=-1, keepdim=True).isfinite(), probabilities, 1.0)


def unsound(logits: Tensor) -> UsageError:
    """What is wrong with the model's scores, or with what the rules have made of them, if the best is no number."""
    if logits.isnan().any() or (logits == float("inf")).any():
        return UsageError(
            "the model's scores of the next word are not finite (NaN or infinity)",
            help="check the weights: build(…, verify=True); in float16 try bfloat16 or float32",
        )
    return UsageError(
        "the options forbid every word that could come next",
        help="bad_words_ids, suppress_tokens, forced tokens and prefix_allowed_tokens_fn must leave one",
    )
