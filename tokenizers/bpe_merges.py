"""Pairs of pieces and what they make, as numbers; merging one row of symbols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence, Sequence

NEVER = 1 << 62
STRANGER = -1  # the code of a symbol that no merge knows
_SHIFT = 32

Merged = tuple[MutableSequence[int], MutableSequence[int]]  # codes of pieces, and how many symbols each is made of


class Merges:
    """Each piece that a merge takes or makes has a code, those of `first` in their order.

    `texts`, `sizes`: a piece and its length by code. `ranks`: how early a pair is merged, by `left << 32 | right`;
    `products`: the code of what it makes, by rank. `prefix`: what the right one of a pair loses.
    """

    def __init__(self, merges: Iterable[tuple[str, str]], prefix: str = "", first: Iterable[str] = ()) -> None:
        self.codes: dict[str, int] = {text: code for code, text in enumerate(first)}
        self.ranks: dict[int, int] = {}
        self.products: list[int] = []
        codes, ranks, products, cut = self.codes, self.ranks, self.products, len(prefix)
        for left, right in merges:
            one, other = codes.setdefault(left, len(codes)), codes.setdefault(right, len(codes))
            ranks[one << _SHIFT | other] = len(products)
            products.append(codes.setdefault(left + right[cut:], len(codes)))
        self.texts = list(codes)
        self.sizes = list(map(len, codes))

    def in_use(self) -> Iterator[int]:
        """The codes of what merges take and make."""
        for key, rank in self.ranks.items():
            yield from (key >> _SHIFT, key & 0xFFFFFFFF, self.products[rank])

    def merge(self, symbols: Sequence[int]) -> Merged:
        """The work grows with the square of the number of symbols."""
        pieces, widths = list(symbols), [1] * len(symbols)
        rank_of, products = self.ranks.get, self.products
        ranks = [rank_of(left << _SHIFT | right, NEVER) for left, right in zip(pieces, pieces[1:], strict=False)]
        while ranks:
            best = min(ranks)
            if best == NEVER:
                break
            index = ranks.index(best)
            made = pieces[index] = products[best]
            del pieces[index + 1], ranks[index]
            widths[index] += widths.pop(index + 1)
            if index:
                ranks[index - 1] = rank_of(pieces[index - 1] << _SHIFT | made, NEVER)
            if index < len(ranks):
                ranks[index] = rank_of(made << _SHIFT | pieces[index + 1], NEVER)
        return pieces, widths
