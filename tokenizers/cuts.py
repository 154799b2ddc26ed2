"""What stretches of text were cut into, put together for a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count, repeat
from operator import itemgetter

Span = tuple[int, int]
#: Of one stretch: ids, the (start, end) of each within it, and how many of them each word is.
Cut = tuple[Sequence[int], Sequence[Span], Sequence[int]]

_IDS, _SPANS, _SIZES = map(itemgetter, range(3))


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


def gathered(cuts: Sequence[Cut], begins: Iterable[int]) -> Details:
    """Of stretches that begin at `begins` (which may be more)."""
    return Details(
        list(chain.from_iterable(map(_IDS, cuts))),
        [(begin + start, begin + end) for begin, spans in zip(begins, map(_SPANS, cuts), strict=False)
         for start, end in spans],
        list(chain.from_iterable(map(_SIZES, cuts))),
    )
