"""Byte-pair encoding from left to right, without merging: the longest pieces that can stand side by side.

A row of pieces is what merging would make of a text exactly if every piece is what merging makes of itself and no two
neighbours would have merged in another way. The second is seen by taking both apart again, the later made one first:
if a pair across the seam merges earlier than what it would have had to wait for, they cannot stand so.
"""

from __future__ import annotations

from .bpe_merges import NEVER, Merges
from .cache import Cache
from .longest import HEAD, SHORT, lengths_by_head

LONGEST_PIECE = 400  # characters: pieces are taken apart recursively


class Walk:
    """For merges that make each piece in one way only (`possible`), of symbols that are single characters."""

    def __init__(self, merges: Merges) -> None:
        self._merges = merges
        codes = merges.codes
        self._made, self._left, self._right = ([-1] * len(codes) for _ in range(3))  # when, and of what
        for key, rank in merges.ranks.items():
            product = merges.products[rank]
            self._made[product], self._left[product], self._right[product] = rank, key >> 32, key & 0xFFFFFFFF
        self.possible = len(set(merges.products)) == len(merges.ranks) == len(merges.products) and all(
            size == 1 if made < 0 else size <= LONGEST_PIECE
            for size, made in zip(merges.sizes, self._made, strict=True)
        )
        self._sound: list[bool | None] = [True if made < 0 else None for made in self._made]
        self.side_by_side = Cache(self._may_stand)  # whether (left code, right code) would not have merged otherwise
        self._lengths = lengths_by_head(codes)

    def pieces(self, text: str) -> list[int] | None:
        """The codes of the pieces of a text, whose characters must have one; None if they cannot be said here."""
        codes, sound, sizes = self._merges.codes.get, self._sound, self._merges.sizes
        lengths, side_by_side = self._lengths.get, self.side_by_side
        pieces: list[int] = []
        dead: set[int] = set()  # places from which there was no way on
        position, size, previous = 0, len(text), -1
        shorter_than = NEVER
        while position < size:
            for length in lengths(text[position:position + HEAD], SHORT):
                if length >= shorter_than:
                    continue
                code = codes(text[position:position + length])
                if code is None or not (sound[code] or (sound[code] is None and self._is_sound(code))):
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

    def piece(self, text: str) -> int | None:
        """The code of the one piece that merging makes of a text; None if there are several."""
        code = self._merges.codes.get(text)
        if code is None or not (self._sound[code] or (self._sound[code] is None and self._is_sound(code))):
            return None
        return code

    def _is_sound(self, code: int) -> bool:
        """Whether merging makes a piece of its own text."""
        left, right = self._left[code], self._right[code]
        known = self._sound
        found = (
            (known[left] or (known[left] is None and self._is_sound(left)))
            and (known[right] or (known[right] is None and self._is_sound(right)))
            and self._apart(left, right, self._made[code])
        )
        known[code] = found
        return found

    def _may_stand(self, pair: tuple[int, int]) -> bool:
        return self._apart(*pair, NEVER)

    def _apart(self, left: int, right: int, limit: int) -> bool:
        """Whether nothing merges across the seam before `limit`."""
        rank_of, made = self._merges.ranks.get, self._made
        before, after = made[left], made[right]
        while rank_of(left << 32 | right, NEVER) >= limit:
            if before > after:
                limit, left = before, self._right[left]
                before = made[left]
            elif after >= 0:
                limit, right = after + 1, self._left[right]
                after = made[right]
            else:
                return True
        return False
