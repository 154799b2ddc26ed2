"""Rules about the next word: (what is written [R, L], scores [R, V]) -> scores [R, V].

Scores are logits, or log probabilities in searches with beams. A rule never changes what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UsageError

Processor = Callable[[Tensor, Tensor], Tensor]
NEVER = float("-inf")


def with_ids(vocabulary: int, ids: Sequence[int], device: torch.device) -> Tensor:
    """[V], true at `ids`. Ids beyond the vocabulary are passed over: they are never written."""
    mask = torch.zeros(vocabulary, dtype=torch.bool, device=device)
    mask[[i for i in ids if i < vocabulary]] = True
    return mask


class Among:
    """A rule about certain tokens, of which it has a mask when it first sees scores."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = ids
        self._mask: Tensor | None = None

    def mask(self, scores: Tensor) -> Tensor:
        if self._mask is None:
            self._mask = with_ids(scores.shape[-1], self.ids, scores.device)
        return self._mask


class Suppress(Among):
    """These tokens are never written."""

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return scores.masked_fill(self.mask(scores), NEVER)


class SuppressAt(Among):
    """These are not written where the text is `length` long."""

    def __init__(self, ids: Sequence[int], length: int) -> None:
        super().__init__(ids)
        self.length = length

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return scores.masked_fill(self.mask(scores), NEVER) if ids.shape[1] == self.length else scores


class NoEndBefore(Among):
    """The text does not end before it is `length` long."""

    def __init__(self, ends: Sequence[int], length: int) -> None:
        super().__init__(ends)
        self.length = length

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return scores.masked_fill(self.mask(scores), NEVER) if ids.shape[1] < self.length else scores


class ForceAt(Among):
    """One of these is written where the text is `length` long."""

    def __init__(self, ids: Sequence[int], length: int) -> None:
        super().__init__(ids)
        self.length = length

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        if ids.shape[1] != self.length:
            return scores
        return torch.zeros_like(scores).masked_fill(~self.mask(scores), NEVER)


class EndGrows(Among):
    """From `start` on the scores of ends grow by a power of `factor`."""

    def __init__(self, ends: Sequence[int], start: int, factor: float) -> None:
        super().__init__(ends)
        self.start, self.factor = start, factor

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        steps = ids.shape[1] - self.start
        if steps <= 0:
            return scores
        grown = scores + scores.abs() * (self.factor**steps - 1)
        return torch.where(self.mask(scores) & scores.isfinite(), grown, scores)


class PenaliseRepetition:
    """Tokens that are in the row already: positive scores are divided by `penalty`, negative ones multiplied.

    The first `skip` [R] tokens of each row, padding, do not count.
    """

    def __init__(self, penalty: float, skip: Tensor | None = None) -> None:
        self.penalty, self.skip = penalty, skip

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        spare = scores.shape[1]  # a column more, for what does not count
        ids = ids.clamp(max=spare)
        if self.skip is not None:
            skip = self.skip.repeat_interleave(ids.shape[0] // self.skip.shape[0])
            ids = ids.masked_fill(torch.arange(ids.shape[1], device=ids.device) < skip[:, None], spare)
        return penalised(scores, ids, self.penalty)


class PreferSource:
    """The same for tokens of the source: a `penalty` above 1 makes them likelier."""

    def __init__(self, penalty: float, source: Tensor) -> None:
        self.penalty, self.source = 1 / penalty, source

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        source = self.source.repeat_interleave(ids.shape[0] // self.source.shape[0], dim=0)
        return penalised(scores, source, self.penalty)


def penalised(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Scores at `ids` [R, n] made smaller by a factor. Ids that are V stand for none."""
    wide = F.pad(scores, (0, 1))
    there = wide.gather(1, ids)
    return wide.scatter(1, ids, torch.where(there < 0, there * penalty, there / penalty))[:, :-1]


class NoRepeatedNgram:
    """No `size` tokens in a row that are in the row already, the prompt included."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return without_ngrams(scores, ids, ids, self.size)


class NoNgramOfSource:
    """No `size` tokens in a row that are in the source [B, S]."""

    def __init__(self, size: int, source: Tensor) -> None:
        self.size, self.source = size, source

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        source = self.source.repeat_interleave(ids.shape[0] // self.source.shape[0], dim=0)
        return without_ngrams(scores, ids, source, self.size)


def without_ngrams(scores: Tensor, ids: Tensor, known: Tensor, size: int) -> Tensor:
    """What would make the last tokens of `ids` and the next one an n-gram of `known` is never written."""
    if known.shape[1] < size or ids.shape[1] < size - 1:
        return scores
    windows = known.unfold(1, size, 1)
    last = ids[:, ids.shape[1] - size + 1 :]
    repeats = (windows[..., :-1] == last[:, None]).all(dim=-1)
    spare = scores.shape[1]
    banned = torch.zeros(scores.shape[0], spare + 1, dtype=torch.bool, device=scores.device)
    banned.scatter_(1, torch.where(repeats, windows[..., -1].clamp(max=spare), spare), True)
    return scores.masked_fill(banned[:, :spare], NEVER)


class SequenceBias:
    """A number added to the last token of a sequence where the tokens before it have just been written."""

    def __init__(self, biases: Mapping[tuple[int, ...], float]) -> None:
        self.biases = {tuple(sequence): float(bias) for sequence, bias in biases.items()}
        self._tables: tuple[Tensor, list[tuple[Tensor, int, float]]] | None = None

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        if self._tables is None:
            self._tables = self._prepare(scores)
        singles, longer = self._tables
        bias = singles.expand_as(scores)
        if longer:
            bias = bias.clone()
        for before, token, number in longer:
            if len(before) <= ids.shape[1]:
                bias[:, token] += torch.where((ids[:, -len(before) :] == before).all(dim=-1), number, 0.0)
        return scores + bias

    def _prepare(self, scores: Tensor) -> tuple[Tensor, list[tuple[Tensor, int, float]]]:
        singles = scores.new_zeros(scores.shape[-1])
        longer = []
        for sequence, bias in self.biases.items():
            if sequence[-1] >= scores.shape[-1]:
                continue
            if len(sequence) == 1:
                singles[sequence[0]] += bias
            else:
                longer.append((torch.tensor(sequence[:-1], device=scores.device), sequence[-1], bias))
        return singles, longer


class Own:
    """A rule of the caller's, whose result must be scores. UsageError if it is none."""

    def __init__(self, rule: Processor) -> None:
        self.rule = rule

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        found = self.rule(ids, scores)
        if not isinstance(found, Tensor) or found.shape != scores.shape or found.is_complex():
            tensor = isinstance(found, Tensor)
            what = f"a tensor of shape {list(found.shape)}, {found.dtype}" if tensor else type(found).__name__
            raise UsageError(f"a logits_processor gave {what}, not scores of shape {list(scores.shape)}")
        return found


class Allowed:
    """Only what `allowed(prompt's number, written [L])` lists may follow."""

    def __init__(self, allowed: Callable[[int, Tensor], Sequence[int]], rows: int) -> None:
        """`rows`: how many belong to a prompt."""
        self.allowed, self.rows = allowed, rows

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        mask = torch.full_like(scores, NEVER)
        for row, written in enumerate(ids):
            mask[row, self._tokens(row // self.rows, written, scores.shape[-1])] = 0
        return scores + mask

    def _tokens(self, prompt: int, written: Tensor, vocabulary: int) -> list[int]:
        """What the caller's function lists. UsageError if that is not ids."""
        given = self.allowed(prompt, written)
        tokens = given.tolist() if isinstance(given, Tensor) else given
        tokens = [*tokens] if isinstance(tokens, Iterable) else [None]
        if not all(isinstance(i, int) and i is not True and i is not False and 0 <= i < vocabulary for i in tokens):
            raise UsageError(f"prefix_allowed_tokens_fn gave {given!r}, not a list of ids from 0 to {vocabulary - 1}")
        return tokens


def without_invalid(ids: Tensor, scores: Tensor) -> Tensor:
    """NaN becomes 0, infinity the largest number."""
    return torch.nan_to_num(scores, nan=0.0)


def normalised(ids: Tensor, scores: Tensor) -> Tensor:
    """Log probabilities again, after what the rules have left."""
    return scores.log_softmax(dim=-1)


def biases_of(given: Any) -> dict[tuple[int, ...], float]:
    """A mapping, or pairs of sequence and bias as JSON has them."""
    return dict(given) if isinstance(given, Mapping) else {tuple(sequence): bias for sequence, bias in given}
