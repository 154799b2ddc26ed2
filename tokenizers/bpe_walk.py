"""Byte-pair encoding from left to right, without merging: the longest pieces that can stand side by side.

A row of pieces is what merging would make of a text exactly if every piece is what merging makes of itself and no two
neighbours would have merged in another way. The second is seen by taking both apart again, the later made one first:
if a pair across the seam merges earlier than what it would have had to wait for, they cannot stand so.
"""

from __future__ import annotations

from functools import cached_property

from .bpe_derivation import Derivation
from .bpe_merges import NEVER, Merges
from .cache import Cache
from .longest import HEAD, SHORT, lengths_by_head


class Walk:
    """For orderly merges of symbols that are single characters."""

    def __init__(self, merges: Merges, derivation: Derivation) -> None:
        self._derivation = derivation
        self._codes = merges.codes
        if derivation.unsound:
            self._codes = {text: code for text, code in merges.codes.items() if code not in derivation.unsound}
        self._sizes = merges.sizes
        self._side_by_side = Cache(self._may_stand)  # whether (left code, right code) would not have merged otherwise

    @cached_property
    def _lengths(self) -> dict[str, tuple[int, ...]]:
        return lengths_by_head(self._codes)

    def pieces(self, text: str) -> list[int] | None:
        """The codes of the pieces of a text, whose characters must have one; None if they cannot be said here."""
        codes, sizes = self._codes.get, self._sizes
        lengths, side_by_side = self._lengths.get, self._side_by_side
        pieces: list[int] = []
        dead: set[int] = set()  # places from which there was no way on
        position, size, previous = 0, len(text), -1
        shorter_than = NEVER
        while position < size:
            for length in lengths(text[position:position + HEAD], SHORT):
                if length >= shorter_than:
                    continue
                code = codes(text[position:position + length])
                if code is None:
                    continue
                if (previous < 0 or side_by_side[previous, code]) and position + length not in dead:
                    pieces.append(code)
                    position += sizes[code]
                    previous = code
                    shorter_than = NEVER
                    break
            else:
                dead.add(position)
                if not pieces:
                    return None
                shorter_than = sizes[pieces.pop()]
                position -= shorter_than
                previous = pieces[-1] if pieces else -1
        return pieces

    def _may_stand(self, pair: tuple[int, int]) -> bool:
        return self._derivation.apart(*pair)
