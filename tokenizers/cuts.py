"""What stretches of text were cut into, put together for a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, count, pairwise, repeat
from operator import add, itemgetter, sub

Span = tuple[int, int]
#: Of one stretch: ids; the start and the end of each within it, all in one row, which a cache holds for less than
#: pairs; and how many ids each word is.
Cut = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_IDS, _BOUNDS, _SIZES = map(itemgetter, range(3))


@dataclass
class Details:
    """Ids with where they came from: `offsets` are (start, end) in characters of the text, `sizes` how many of the ids
    each word is."""

    ids: list[int]
    offsets: list[Span]
    sizes: list[int]

    @cached_property
    def words(self) -> list[int]:
        """For each id the number of its word."""
        return list(chain.from_iterable(map(repeat, count(), self.sizes)))

    def extend(self, other: Details) -> None:
        """Puts another text behind this one."""
        self.ids += other.ids
        self.offsets += other.offsets
        self.sizes += other.sizes


def cut_of(ids: Iterable[int], spans: Iterable[Span], sizes: Iterable[int]) -> Cut:
    return tuple(ids), tuple(chain.from_iterable(spans)), tuple(sizes)


@dataclass
class PieceRow:
    """The pieces of many words in one row: `ids`, and `counts`, how many each word is; `sizes`, how many characters
    begin in each piece, and `overlaps`, by how many it begins before the end of the last one."""

    ids: list[int]
    counts: list[int]
    sizes: Iterable[int]
    overlaps: Iterable[int]

    def ids_of(self, groups: Iterable[int]) -> list[tuple[int, ...]]:
        """The ids of so many words each."""
        pieces = self._ends(groups)
        ids = self.ids
        return [tuple(ids[a:b]) for a, b in pairwise(pieces)]

    def cuts_of(self, groups: Sequence[int]) -> list[Cut]:
        """Of stretches that are so many words each, one behind the other."""
        ids, counts, sizes = self.ids, self.counts, list(self.sizes)
        pieces = self._ends(groups)
        totals = list(accumulate(sizes, initial=0))
        begins = chain.from_iterable(map(repeat, map(totals.__getitem__, pieces), map(sub, pieces[1:], pieces)))
        lasts = list(map(sub, totals[1:], begins))
        firsts = map(sub, map(sub, lasts, sizes), self.overlaps)
        bounds = list(chain.from_iterable(zip(firsts, lasts, strict=True)))
        return [
            (tuple(ids[a:b]), tuple(bounds[2 * a:2 * b]), tuple(counts[first:last]))
            for (a, b), (first, last) in zip(pairwise(pieces), pairwise(accumulate(groups, initial=0)), strict=True)
        ]

    def _ends(self, groups: Iterable[int]) -> list[int]:
        """Where groups of words end, with a zero in front."""
        ends = list(accumulate(self.counts, initial=0))
        return list(map(ends.__getitem__, accumulate(groups, initial=0)))


def counts_between(row: Sequence[int], mark: int) -> list[int]:
    """How many there are before each mark, the last of which ends the row."""
    counts: list[int] = []
    start = 0
    while start < len(row):
        end = row.index(mark, start)
        counts.append(end - start)
        start = end + 1
    return counts


def joined(cuts: Sequence[Cut], begins: Iterable[int]) -> Cut:
    """Of stretches that begin at `begins` (which may be more) as one."""
    ids, bounds, sizes = _rows(cuts, begins)
    return tuple(ids), tuple(bounds), tuple(sizes)


def gathered(cuts: Sequence[Cut], begins: Iterable[int]) -> Details:
    """Of stretches that begin at `begins` (which may be more)."""
    ids, bounds, sizes = _rows(cuts, begins)
    return Details(list(ids), list(zip(bounds, bounds, strict=True)), list(sizes))


def _rows(cuts: Sequence[Cut], begins: Iterable[int]) -> tuple[Iterable[int], Iterator[int], Iterable[int]]:
    within = list(map(_BOUNDS, cuts))
    shifts = chain.from_iterable(map(repeat, begins, map(len, within)))
    bounds = map(add, shifts, chain.from_iterable(within))
    return chain.from_iterable(map(_IDS, cuts)), bounds, chain.from_iterable(map(_SIZES, cuts))


def moved(cut: Cut, origins: Sequence[int]) -> Cut:
    """With bounds in the text whose characters `origins` are."""
    ids, bounds, sizes = cut
    after = [0, *(origin + 1 for origin in origins)]
    starts, ends = map(origins.__getitem__, bounds[::2]), map(after.__getitem__, bounds[1::2])
    return ids, tuple(chain.from_iterable(zip(starts, ends, strict=True))), sizes
