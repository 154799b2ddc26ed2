"""The unigram language model: the likeliest way to cut a word ("Subword Regularization", arXiv:1804.10959)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf

from ..errors import TokenizerError

_UNKNOWN_PENALTY = 10.0
_LONG = 1 << 12  # characters: from here on arrays hold what lists hold faster


class Unigram:
    """Cuts one word into pieces, given as (piece, log probability) in the order of their ids. Characters that no piece
    covers are `unknown` (an id), one for several in a row; with `byte_fallback` the pieces of their bytes."""

    def __init__(
        self, pieces: Sequence[tuple[str, float]], *, unknown: int | None = None, byte_fallback: bool = False
    ) -> None:
        if unknown is not None and not 0 <= unknown < len(pieces):
            raise TokenizerError(f"the unknown piece has the id {unknown}, but there are only {len(pieces)} pieces")
        self._ids = {piece: number for number, (piece, _) in enumerate(pieces)}
        self._unknown, self.byte_fallback = unknown, byte_fallback
        self._worst = min((score for _, score in pieces), default=0.0) - _UNKNOWN_PENALTY
        # Log probabilities, None for what pieces only begin with.
        self._scores: dict[str, float | None] = {
            piece[:size]: None for piece in self._ids for size in range(1, len(piece))
        }
        self._scores.update((piece, pieces[number][1]) for piece, number in self._ids.items())
        self._covered = set().union(*self._ids)  # characters that pieces have
        self._bytes = [self._ids.get(f"<0x{byte:02X}>") for byte in range(256)]

    def ids(self, word: str) -> tuple[int, ...]:
        begins = self._begins(word)
        ids = self._of_pieces(word, begins)
        if ids is None:
            ids = [
                number for start, end in self._backwards(word, begins)
                for number in reversed(self._numbers(word[start:end]))
            ]
        return tuple(reversed(ids))

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        begins = self._begins(word)
        ids = self._of_pieces(word, begins)
        if ids is not None:
            ends = [len(word)]
            while end := begins[ends[-1]]:
                ends.append(end)
            return tuple(reversed(ids)), tuple(pairwise(reversed([*ends, 0])))
        ids = []
        spans: list[tuple[int, int]] = []
        for start, end in self._backwards(word, begins):
            numbers = self._numbers(word[start:end])
            ids += reversed(numbers)
            spans += [(start, end)] * len(numbers)
        return tuple(reversed(ids)), tuple(reversed(spans))

    def _of_pieces(self, word: str, begins: Sequence[int]) -> list[int] | None:
        """The ids, the last first, of a word that pieces cover, as they do the usual one."""
        known = self._ids.get
        ids: list[int] = []
        end = len(word)
        while end:
            start = begins[end]
            number = known(word[start:end])
            if number is None or number == self._unknown:
                return None
            ids.append(number)
            end = start
        return ids

    def _numbers(self, text: str) -> Sequence[int]:
        """The ids of a piece, or of a stretch that none covers."""
        number = self._ids.get(text)
        if number is not None:
            return (number,)
        if self.byte_fallback:
            numbers = [self._bytes[byte] for byte in text.encode("utf-8", "replace")]
            if None not in numbers:
                return numbers
        if self._unknown is None:
            raise TokenizerError(f"the vocabulary has no piece for {text!r} and none for the unknown")
        return (self._unknown,)

    def _backwards(self, word: str, begins: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The best cut, the last piece first; unknown stretches in one."""
        known, unknown = self._ids.get, self._unknown
        end = len(word)
        last = 0  # the end of an unknown stretch that may go on
        while end:
            start = begins[end]
            if unknown is not None and known(word[start:end], unknown) == unknown:
                last = last or end
            else:
                if last:
                    yield end, last
                    last = 0
                yield start, end
            end = start
        if last:
            yield 0, last

    def _begins(self, word: str) -> Sequence[int]:
        """For each place in a word where the last piece begins in the best cut of what is before it. Characters that no
        piece has, and that become one unknown piece, are one stretch: no other cut leads across."""
        size = len(word)
        best: list[float] | array[float] = [-inf] * (size + 1)
        begins: list[int] | array[int] = [0] * (size + 1)
        if size > _LONG:
            best, begins = array("d", [-inf]) * (size + 1), array("q", [0]) * (size + 1)
        best[0] = 0.0
        score_of, worst, covered, fused = self._scores.get, self._worst, self._covered, self._unknown is not None
        start = 0
        while start < size:
            here = best[start]
            end = start + 1
            score = score_of(word[start], False)  # False: no piece begins so
            if fused and score is False and word[start] not in covered:
                here += worst
                while end < size and word[end] not in covered:
                    here += worst
                    end += 1
                best[end], begins[end] = here, start
                start = end
                continue
            if (score is None or score is False) and here + worst > best[end]:
                best[end], begins[end] = here + worst, start
            while score is not False:
                if score is not None and here + score > best[end]:
                    best[end], begins[end] = here + score, start
                end += 1
                if end > size:
                    break
                score = score_of(word[start:end], False)
            start += 1
        return begins
