"""Contrastive search: of the likeliest words, the one whose state is least like those of the text so far.
Paper: Su et al. 2022, arXiv:2202.06417."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from .greedy import unsound
from .result import Record
from .rules import Rules
from .steps import Steps
from .stopping import Stopping


def contrastive_search(
    steps: Steps,
    ids: Tensor,
    *,
    rules: Rules,
    stopping: Stopping,
    padding: int,
    candidates: int,
    alpha: float,
    record: Record,
) -> Iterator[Tensor]:
    """Yields the text so far [B, L] with each new word.

    Each of the `candidates` likeliest words is tried: (1 - alpha) · its probability - alpha · the greatest cosine
    between its hidden state and an earlier one. The winner's keys and values stay.
    """
    batch, length = ids.shape
    written = ids.new_full((batch, stopping.max_length), padding)
    written[:, :length] = ids
    running = torch.ones(batch, dtype=torch.bool, device=ids.device)
    logits = steps(ids)
    seen = F.normalize(steps.hidden, dim=-1)
    steps.repeat(candidates)
    first = torch.arange(batch, device=ids.device) * candidates
    while True:
        scores = rules(written[:, :length], logits)
        record(logits, lambda scores=scores: scores)
        probabilities, words = scores.softmax(dim=-1).topk(candidates, dim=-1)
        tried = torch.cat([written[:, :length].repeat_interleave(candidates, dim=0), words.view(-1, 1)], dim=1)
        logits = steps(tried)
        state = F.normalize(steps.hidden[:, -1], dim=-1).unflatten(0, (batch, candidates))
        likeness = (state @ seen.transpose(1, 2)).amax(dim=-1)
        chosen = ((1 - alpha) * probabilities - alpha * likeness).argmax(dim=-1)
        rows = first + chosen
        steps.reorder(rows.repeat_interleave(candidates), tried)
        logits = logits[rows]
        seen = torch.cat([seen, state.flatten(0, 1)[rows][:, None]], dim=1)
        written[:, length] = torch.where(running, tried[rows, -1], padding)
        length += 1
        running = running & ~stopping(written[:, :length])
        go_on, sound = torch.stack([running.any(), probabilities[:, 0].isfinite().all()]).tolist()
        if not sound:
            raise unsound(logits)
        yield written[:, :length]
        if not go_on:
            return
