"""When a text is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...errors import UsageError

Decode = Callable[[list[int]], str]
Criterion = Callable[[Tensor, object], "Tensor | bool"]  # (written [R, L], scores) -> [R], or one for all


class Stopping:
    """Which rows are finished: by an end token, their length, a stop string, the time, or as the caller says."""

    def __init__(
        self,
        *,
        max_length: int,
        ends: Sequence[int] = (),
        max_time: float | None = None,
        strings: Sequence[str] = (),
        decode: Decode | None = None,
        more: Sequence[Criterion] = (),
    ) -> None:
        self.max_length = max_length
        self.ends = tuple(ends)
        self.until = None if max_time is None else time.monotonic() + max_time
        self.strings = tuple(strings)
        self.decode = decode
        self.more = tuple(more)
        self._reach = 2 + max((len(string.encode()) for string in strings), default=0)

    def __call__(self, ids: Tensor) -> Tensor:
        """[R, L], the last token being the newest -> [R]."""
        done = self.ended(ids[:, -1])
        if ids.shape[1] >= self.max_length or (self.until is not None and time.monotonic() > self.until):
            return torch.ones_like(done)
        if self.strings:
            done = done | torch.tensor([self._says(row) for row in ids.tolist()], device=ids.device)
        for criterion in self.more:
            done = done | self._said(criterion(ids, None), done)
        return done

    @staticmethod
    def _said(answer: object, done: Tensor) -> Tensor:
        """A caller's criterion about all rows, or each. UsageError if it says neither."""
        if isinstance(answer, bool) or (isinstance(answer, Tensor) and answer.shape in ((), (1,), done.shape)):
            return torch.as_tensor(answer, device=done.device, dtype=torch.bool)
        what = f"a tensor of shape {list(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise UsageError(f"a stopping criterion gave {what}, not a truth value, or one for each of {len(done)} rows")

    def ended(self, tokens: Tensor) -> Tensor:
        """Which of these tokens end a text."""
        done = torch.zeros_like(tokens, dtype=torch.bool)
        for end in self.ends:
            done |= tokens == end
        return done

    def _says(self, row: list[int]) -> bool:
        """Whether the newest token has completed a stop string. One takes at most as many tokens as bytes."""
        tail = row[-self._reach :]
        before, text = len(self.decode(tail[:-1])), self.decode(tail)
        return any(string in text[max(0, before - len(string) + 1) :] for string in self.strings)
