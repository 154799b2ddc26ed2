"""Beam search: several texts at a time for each prompt, of which the likeliest go on. With sampling, and in groups.

A text's score is the sum of its log probabilities divided by its length to the power of `length_penalty`, the length
being that of what is written, the end token included.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .greedy import chances, unsound
from .result import GenerateOutput, Record
from .room import room_for
from .rules import Rules
from .settings import Settings
from .steps import Steps
from .stopping import Stopping

IMPOSSIBLE = -1.0e9  # a score that no text reaches; finite, so that sums stay ordered


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of one search."""

    beams: int  # of a group
    prompt: int
    max_length: int
    candidates: int  # looked at in a step: enough to go on even if the best of each beam ends the text
    length_penalty: float
    early_stopping: bool | str
    sample: bool
    generator: torch.Generator | None

    def normalised(self, sums: Tensor, length: int) -> Tensor:
        return sums / (length - self.prompt) ** self.length_penalty


class Group:
    """Beams that compete: all of a prompt, or one of its groups. B prompts, K beams, C candidates, M full length."""

    def __init__(self, plan: Plan, ids: Tensor, padding: int, first: int, rows: int) -> None:
        """`first` is the row of its first beam within the `rows` of a prompt."""
        self.plan, self.first, self.rows = plan, first, rows
        batch, length = ids.shape
        device = ids.device
        self.running = ids.new_full((batch, plan.beams, plan.max_length), padding)
        self.running[:, :, :length] = ids[:, None]
        self.finished = self.running.clone()
        self.sums = torch.zeros(batch, plan.beams, device=device)
        self.sums[:, 1:] = IMPOSSIBLE  # all start alike: one of them is enough
        self.scores = torch.full((batch, plan.beams), IMPOSSIBLE, device=device)
        self.is_finished = torch.zeros(batch, plan.beams, dtype=torch.bool, device=device)
        self.open = torch.ones(batch, 1, dtype=torch.bool, device=device)  # whether anything better can still come
        self.origins = torch.full((batch, plan.beams, plan.max_length - length), -1, device=device)
        self.finished_origins = self.origins.clone()
        self.parents = torch.zeros(batch, plan.beams, dtype=torch.long, device=device)

    def advance(self, log_probabilities: Tensor, length: int, stopping: Stopping) -> Tensor:
        """Go on with the best words [B, K, V] for the position `length`. Returns whether that was the last one, []."""
        plan = self.plan
        vocabulary = log_probabilities.shape[-1]
        totals = (log_probabilities + self.sums[..., None]).flatten(1)
        sums, parents, words = self._candidates(totals, vocabulary)
        texts = _pick(self.running, parents)
        texts[:, :, length] = words
        origins = _pick(self.origins, parents)
        row = parents + self.first + torch.arange(parents.shape[0], device=parents.device)[:, None] * self.rows
        origins[:, :, length - plan.prompt] = row
        ended = stopping(texts[:, :, : length + 1].flatten(0, 1)).view_as(words)

        over = ended.all(dim=1, keepdim=True)  # then none goes on, and it is still known which were best
        self.sums, best = (sums + (ended & ~over) * IMPOSSIBLE).topk(plan.beams, dim=1)
        self.running, self.origins = _pick(texts, best), _pick(origins, best)
        self.parents = parents.gather(1, best)
        self._finish(sums, texts, origins, ended, length)
        return self._is_over(length + 1, ended)

    def _candidates(self, totals: Tensor, vocabulary: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sums, beams and words of the candidates, [B, C] each."""
        count = self.plan.candidates
        if self.plan.sample:
            places = chances(totals).multinomial(count, generator=self.plan.generator)
            sums = totals.gather(1, places)
        else:
            sums, places = totals.topk(count, dim=1)
        return sums, places // vocabulary, places % vocabulary

    def _finish(self, sums: Tensor, texts: Tensor, origins: Tensor, ended: Tensor, length: int) -> None:
        """Keep the best of all texts that are finished. Only the better half of the candidates may end."""
        plan = self.plan
        ended = ended.clone()
        ended[:, plan.beams :] = False
        full = self.is_finished.all(dim=1, keepdim=True) if plan.early_stopping is True else ~self.open
        counts = ended & ~full & self.open
        scores = plan.normalised(sums, length + 1) + ~counts * IMPOSSIBLE
        self.scores, best = torch.cat([self.scores, scores], dim=1).topk(plan.beams, dim=1)
        self.finished = _pick(torch.cat([self.finished, texts], dim=1), best)
        self.finished_origins = _pick(torch.cat([self.finished_origins, origins], dim=1), best)
        self.is_finished = torch.cat([self.is_finished, ended], dim=1).gather(1, best)

    def _is_over(self, length: int, ended: Tensor) -> Tensor:
        plan = self.plan
        # The best that may still come: a running text as long as it is, or, if length is a merit, as long as it gets.
        longest = plan.early_stopping == "never" and plan.length_penalty > 0
        hope = plan.normalised(self.sums[:, :1], plan.max_length if longest else length)
        worst = torch.where(self.is_finished, self.scores.min(dim=1, keepdim=True).values, IMPOSSIBLE)
        self.open = self.open & (hope > worst).any(dim=1, keepdim=True)
        over = ~self.open.any() | ended.all()
        return over | self.is_finished.all() if plan.early_stopping is True else over


def beam_search(
    steps: Steps,
    ids: Tensor,
    *,
    settings: Settings,
    rules: Rules,
    stopping: Stopping,
    generator: torch.Generator | None = None,
    record: Record,
) -> GenerateOutput:
    """The best `num_return_sequences` texts for each prompt, best first."""
    batch, length = ids.shape
    prompt, rows, groups = length, settings.num_beams, settings.num_beam_groups
    beams = rows // groups
    plan = Plan(
        beams=beams, prompt=prompt, max_length=stopping.max_length, length_penalty=settings.length_penalty,
        candidates=max(2, 1 + len(settings.ends)) * beams, early_stopping=settings.early_stopping,
        sample=settings.do_sample, generator=generator,
    )  # fmt: skip
    padding = settings.padding
    with room_for(batch, rows, "num_beams"):
        written = ids.repeat_interleave(rows, dim=0)
        competing = [Group(plan, ids, padding, first, rows) for first in range(0, rows, beams)]
    logits = steps(ids).repeat_interleave(rows, dim=0)
    steps.repeat(rows)
    offsets = torch.arange(batch, device=ids.device)[:, None] * rows
    while True:
        log_probabilities = logits.log_softmax(dim=-1).unflatten(0, (batch, rows))
        over, taken, processed = [], [], []
        for group in competing:
            mine = log_probabilities[:, group.first : group.first + beams]
            if taken:
                mine = mine - settings.diversity_penalty * frequency(taken, mine.shape[-1])[:, None]
            mine = rules(group.running[:, :, :length].flatten(0, 1), mine.flatten(0, 1)).view_as(mine)
            over.append(group.advance(mine, length, stopping))
            taken.append(group.running[:, :, length])
            processed.append(mine)
        record(logits, lambda processed=processed: torch.cat(processed, dim=1).flatten(0, 1))
        length += 1
        sound = torch.stack([group.sums[:, 0] for group in competing]).isfinite().all()
        done, all_sound = torch.stack([torch.stack(over).all(), sound]).tolist()
        if not all_sound:
            raise unsound(logits)
        if done:
            return _best(competing, settings, prompt, record)
        order = (torch.cat([group.parents + group.first for group in competing], dim=1) + offsets).flatten()
        steps.reorder(order, written)
        written = torch.cat([group.running for group in competing], dim=1).flatten(0, 1)[:, :length]
        logits = steps(written)


def frequency(taken: list[Tensor], vocabulary: int) -> Tensor:
    """How often each word is among those that other groups go on with, [B, V]."""
    words = torch.cat(taken, dim=1)
    counts = torch.zeros(words.shape[0], vocabulary, device=words.device)
    return counts.scatter_add_(1, words, torch.ones_like(words, dtype=counts.dtype))


def _best(competing: list[Group], settings: Settings, prompt: int, record: Record) -> GenerateOutput:
    """The best texts of all groups, cut behind the longest."""
    scores = torch.cat([group.scores for group in competing], dim=1)
    scores, best = scores.topk(settings.num_return_sequences, dim=1)
    origins = _pick(torch.cat([group.finished_origins for group in competing], dim=1), best).flatten(0, 1)
    texts = _pick(torch.cat([group.finished for group in competing], dim=1), best).flatten(0, 1)
    written = int((origins >= 0).sum(dim=1).max())
    return GenerateOutput(
        texts[:, : prompt + written], sequences_scores=scores.flatten(), beam_indices=origins[:, :written],
        **record.fields(),
    )  # fmt: skip


def _pick(values: Tensor, beams: Tensor) -> Tensor:
    """[B, K, n], [B, m] -> [B, m, n]."""
    return values.gather(1, beams[..., None].expand(-1, -1, values.shape[-1]))
