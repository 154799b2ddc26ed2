"""Byte-pair encoding from left to right, without merging: the longest pieces that can stand side by side.

A row of pieces is what merging would make of a text exactly if every piece is what merging makes of itself and no two
neighbours would have merged in another way. The second is seen by taking both apart again, the later made one first:
if a pair across the seam merges earlier than what it would have had to wait for, they cannot stand so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .cache import Cache

_NEVER = 1 << 62
_ATOM = (-1, "", "")
_HEAD = 3
LONGEST_PIECE = 400  # characters: pieces are taken apart recursively


class Walk:
    """For merges that make each piece in one way only (`possible`), of symbols that are single characters."""

    def __init__(self, ranks: Mapping[tuple[str, str], int], products: Sequence[str]) -> None:
        self._ranks = ranks
        self._parts = {
            product: (rank, *pair) for rank, (pair, product) in enumerate(zip(ranks, products, strict=False))
        }  # when, and of what, each piece is made
        self.possible = len(self._parts) == len(ranks) == len(products) and all(
            len(product) <= LONGEST_PIECE for product in self._parts
        )
        self._sound = Cache(self._is_sound, limit=1 << 20)
        self._side_by_side = Cache(self._may_stand)
        self._shorter = Cache(self._next_shorter)
        self._reach: dict[str, int] = {}
        for product in self._parts if self.possible else ():
            head = product[:_HEAD]
            self._reach[head] = max(self._reach.get(head, 0), len(product))

    def pieces(self, text: str) -> list[str] | None:
        """The pieces of a text; None if that cannot be said here."""
        pieces: list[str] = []
        dead: set[int] = set()  # places from which there was no way on
        position, size = 0, len(text)
        piece: str | None = self._longest(text, 0)
        while piece is not None:
            end = position + len(piece)
            if end not in dead and (not pieces or self._side_by_side[pieces[-1], piece]):
                pieces.append(piece)
                if end == size:
                    return pieces
                position, piece = end, self._longest(text, end)
            elif (shorter := self._shorter[piece]) is not None:
                piece = shorter
            else:
                dead.add(position)
                piece = pieces.pop() if pieces else None
                position -= len(piece or "")
        return None

    def _longest(self, text: str, start: int) -> str:
        made, sound = self._parts, self._sound
        for end in range(min(len(text), start + self._reach.get(text[start:start + _HEAD], _HEAD - 1)), start + 1, -1):
            piece = text[start:end]
            if piece in made and sound[piece]:
                return piece
        return text[start]

    def _next_shorter(self, piece: str) -> str | None:
        return self._longest(piece[:-1], 0) if len(piece) > 1 else None

    def _is_sound(self, piece: str) -> bool:
        """Whether merging makes a piece of its own text."""
        made = self._parts.get(piece)
        if made is None:
            return len(piece) == 1
        rank, left, right = made
        return self._sound[left] and self._sound[right] and self._apart(left, right, rank)

    def _may_stand(self, pair: tuple[str, str]) -> bool:
        return self._apart(*pair, _NEVER)

    def _apart(self, left: str, right: str, limit: int) -> bool:
        """Whether nothing merges across the seam before `limit`."""
        ranks, parts = self._ranks, self._parts
        whence_left, whence_right = parts.get(left, _ATOM), parts.get(right, _ATOM)
        while True:
            if ranks.get((left, right), _NEVER) < limit:
                return False
            if whence_left[0] > whence_right[0]:
                limit, _, left = whence_left
                whence_left = parts.get(left, _ATOM)
            elif whence_right is not _ATOM:
                limit, right = whence_right[0] + 1, whence_right[1]
                whence_right = parts.get(right, _ATOM)
            else:
                return True
