"""Pairs of pieces and what they make, as numbers; merging one row of symbols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from itertools import chain, count, repeat
from operator import add, itemgetter, lshift, lt, or_

NEVER = 1 << 62
STRANGER = -1  # the code of a symbol that no merge knows
SHIFT = 32

Merged = tuple[MutableSequence[int], MutableSequence[int]]  # codes of pieces, and how many symbols each is made of


class Merges:
    """Each piece that a merge takes or makes has a code, those of `first` in their order.

    `texts`, `sizes`: a piece and its length by code. `ranks`: how early a pair is merged, by `left << SHIFT | right`;
    `products`: the code of what it makes, by rank. `prefix`: what the right one of a pair loses.

    `symbols`: how many pieces no merge makes, if merges are orderly: each makes a piece that was not there, of `first`
    and of what was made before, as in training. So the piece of rank 0 has the code `symbols`, and so on, and `lefts`
    and `rights` are the codes of what they are made of. Else None.
    """

    def __init__(self, merges: Iterable[tuple[str, str]], prefix: str = "", first: Iterable[str] = ()) -> None:
        merges = list(merges)
        self.codes: dict[str, int] = {text: code for code, text in enumerate(first)}
        self.symbols: int | None = len(self.codes)
        self.lefts: list[int] = []
        self.rights: list[int] = []
        if not self._in_order(merges, len(prefix)):
            self.symbols = None
            self._one_by_one(merges, len(prefix))
        self.texts = list(self.codes)
        self.sizes = list(map(len, self.codes))

    def _in_order(self, merges: Sequence[tuple[str, str]], cut: int) -> bool:
        """Whether they are orderly; they are read then."""
        symbols, size = len(self.codes), len(merges)
        lefts, rights = (list(map(itemgetter(side), merges)) for side in (0, 1))
        made = map(add, lefts, (right[cut:] for right in rights) if cut else rights)
        codes = dict(zip(chain(self.codes, made), count()))
        self.lefts, self.rights = (list(map(codes.get, side, repeat(symbols + size))) for side in (lefts, rights))
        own = range(symbols, symbols + size)
        if len(codes) < symbols + size or not (all(map(lt, self.lefts, own)) and all(map(lt, self.rights, own))):
            return False
        self.codes, self.products = codes, list(own)
        pairs = map(or_, map(lshift, self.lefts, repeat(SHIFT)), self.rights)
        self.ranks = dict(zip(pairs, range(size), strict=True))
        return True

    def _one_by_one(self, merges: Sequence[tuple[str, str]], cut: int) -> None:
        self.ranks: dict[int, int] = {}
        self.products: list[int] = []
        codes, ranks, products = self.codes, self.ranks, self.products
        for left, right in merges:
            one, other = codes.setdefault(left, len(codes)), codes.setdefault(right, len(codes))
            ranks[one << SHIFT | other] = len(products)
            products.append(codes.setdefault(left + right[cut:], len(codes)))

    def in_use(self) -> Iterator[int]:
        """The codes of what merges take and make."""
        for key, rank in self.ranks.items():
            yield from (key >> SHIFT, key & 0xFFFFFFFF, self.products[rank])

    def merge(self, symbols: Sequence[int]) -> Merged:
        """The work grows with the square of the number of symbols."""
        pieces, widths = list(symbols), [1] * len(symbols)
        rank_of, products = self.ranks.get, self.products
        ranks = [rank_of(left << SHIFT | right, NEVER) for left, right in zip(pieces, pieces[1:], strict=False)]
        while ranks:
            best = min(ranks)
            if best == NEVER:
                break
            index = ranks.index(best)
            made = pieces[index] = products[best]
            del pieces[index + 1], ranks[index]
            widths[index] += widths.pop(index + 1)
            if index:
                ranks[index - 1] = rank_of(pieces[index - 1] << SHIFT | made, NEVER)
            if index < len(ranks):
                ranks[index] = rank_of(made << SHIFT | pieces[index + 1], NEVER)
        return pieces, widths
