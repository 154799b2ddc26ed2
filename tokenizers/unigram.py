"""The unigram language model: the likeliest way to cut a word ("Subword Regularization", arXiv:1804.10959)."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import TokenizerError

_UNKNOWN_PENALTY = 10.0


class Unigram:
    """Cuts one word into pieces, given as (piece, log probability) in the order of their ids. Characters that no piece
    covers are `unknown` (an id), one for several in a row; with `byte_fallback` the pieces of their bytes."""

    def __init__(
        self, pieces: Sequence[tuple[str, float]], *, unknown: int | None = None, byte_fallback: bool = False
    ) -> None:
        if unknown is not None and not 0 <= unknown < len(pieces):
            raise TokenizerError(f"the unknown piece has the id {unknown}, but there are only {len(pieces)} pieces")
        self._ids = {piece: number for number, (piece, _) in enumerate(pieces)}
        self._scores = {piece: pieces[number][1] for piece, number in self._ids.items()}
        self._unknown, self.byte_fallback = unknown, byte_fallback
        self._longest = max(map(len, self._ids), default=0)
        self._beginnings = {piece[:size] for piece in self._ids for size in range(1, len(piece))}
        self._worst = min((score for _, score in pieces), default=0.0) - _UNKNOWN_PENALTY
        self._bytes = [self._ids.get(f"<0x{byte:02X}>") for byte in range(256)]

    def ids(self, word: str) -> tuple[int, ...]:
        return self.cut(word)[0]

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for start, end in self._path(word):
            number = self._ids.get(word[start:end])
            if number is not None:
                ids.append(number)
                spans.append((start, end))
                continue
            numbers = [self._bytes[byte] for byte in word[start:end].encode("utf-8", "replace")]
            if self.byte_fallback and None not in numbers:
                ids += numbers
                spans += [(start, end)] * len(numbers)
            elif self._unknown is not None:
                ids.append(self._unknown)
                spans.append((start, end))
            else:
                raise TokenizerError(f"the vocabulary has no piece for {word[start:end]!r} and none for the unknown")
        return tuple(ids), tuple(spans)

    def _path(self, word: str) -> list[tuple[int, int]]:
        """The best cut; unknown stretches in one."""
        size = len(word)
        best: list[float | None] = [0.0] + [None] * size
        begins = [0] * (size + 1)
        unknown = [False] * (size + 1)
        scores, beginnings = self._scores, self._beginnings
        for start in range(size):
            here = best[start]
            single = False
            for end in range(start + 1, min(size, start + self._longest) + 1):
                piece = word[start:end]
                score = scores.get(piece)
                if score is not None:
                    single = single or end == start + 1
                    if best[end] is None or here + score > best[end]:
                        best[end], begins[end] = here + score, start
                        unknown[end] = self._ids[piece] == self._unknown
                if piece not in beginnings:
                    break
            if not single and (best[start + 1] is None or here + self._worst > best[start + 1]):
                best[start + 1], begins[start + 1], unknown[start + 1] = here + self._worst, start, True
        path: list[tuple[int, int]] = []
        end = size
        while end:
            start = begins[end]
            if path and unknown[end] and unknown[path[-1][1]] and self._unknown is not None:
                path[-1] = start, path[-1][1]
            else:
                path.append((start, end))
            end = start
        return path[::-1]
