"""What stretches of text were cut into, put together for a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, count, repeat
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


def stretches(row: Sequence[int], mark: int) -> list[tuple[int, int]]:
    """The (start, end) of what lies before each mark, the last of which ends the row."""
    found: list[tuple[int, int]] = []
    start = 0
    while start < len(row):
        end = row.index(mark, start)
        found.append((start, end))
        start = end + 1
    return found


def cuts_of(
    ids: Iterable[int], sizes: Iterable[int], overlaps: Iterable[int], words: Sequence[tuple[int, int]]
) -> list[Cut]:
    """Of each of the `words`, which are stretches of a row of pieces: `sizes` is how many characters begin in a piece,
    and by `overlaps` it begins before the end of the last one. What lies between words has no size."""
    ids, sizes = list(ids), list(sizes)
    ends = list(accumulate(sizes))
    begins = [ends[start] - sizes[start] for start, _ in words]
    begin = list(chain.from_iterable(map(repeat, begins, [end + 1 - start for start, end in words])))
    ends = list(map(sub, ends, begin))
    starts = map(sub, map(sub, ends, sizes), overlaps)
    bounds = list(chain.from_iterable(zip(starts, ends, strict=True)))
    return [(tuple(ids[start:end]), tuple(bounds[2 * start:2 * end]), (end - start,)) for start, end in words]


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
