"""How merging came to a piece, taken back step by step."""

from __future__ import annotations

from .bpe_merges import NEVER, SHIFT, Merges


class Derivation:
    """For orderly merges. A piece is `unsound` if merging its own text makes something else of it. Then merging never
    makes it: as long as nothing merges across its ends, what lies between them merges as if it were alone."""

    def __init__(self, merges: Merges) -> None:
        self._symbols = symbols = merges.symbols
        self._ranks = merges.ranks
        # By code, what it was made of; symbols are made of nothing.
        self._left = [*range(symbols), *merges.lefts]
        self._right = [*range(symbols), *merges.rights]
        self.unsound = frozenset(self._find_unsound())

    def apart(self, left: int, right: int, limit: int = NEVER) -> bool:
        """Whether nothing merges across the seam of two pieces before `limit`. Both are taken apart, the later made
        one first: a pair across the seam must not merge earlier than what it would have had to wait for."""
        rank_of, symbols, lefts, rights = self._ranks.get, self._symbols, self._left, self._right
        while rank_of(left << SHIFT | right, NEVER) >= limit:
            # The codes of pieces are in the order in which they were made.
            if left > right and left >= symbols:
                limit, left = left - symbols, rights[left]
            elif right >= symbols:
                limit, right = right - symbols + 1, lefts[right]
            else:
                return True
        return False

    def _find_unsound(self) -> set[int]:
        found: set[int] = set()
        for code in range(self._symbols, len(self._left)):
            left, right = self._left[code], self._right[code]
            if left in found or right in found or not self.apart(left, right, code - self._symbols):
                found.add(code)
        return found
