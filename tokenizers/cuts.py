"""What stretches of text were cut into, put together for a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from operator import itemgetter
from typing import NamedTuple

Span = tuple[int, int]
#: Of one stretch: ids, the (start, end) of each within it, the number of its word, and how many words there are.
Cut = tuple[Sequence[int], Sequence[Span], Sequence[int], int]


class Details(NamedTuple):
    """Ids with where they came from: `offsets` are (start, end) in characters of the text, `words` count from 0."""

    ids: list[int]
    offsets: list[Span]
    words: list[int]


def gathered(cuts: Sequence[Cut], begins: Iterable[int]) -> Details:
    """Of stretches that begin at `begins` (which may be more)."""
    numbers = accumulate(map(itemgetter(3), cuts), initial=0)
    return Details(
        list(chain.from_iterable(map(itemgetter(0), cuts))),
        [(begin + start, begin + end) for begin, cut in zip(begins, cuts, strict=False) for start, end in cut[1]],
        [number + word for number, cut in zip(numbers, cuts, strict=False) for word in cut[2]],
    )


def joined(first: Details, second: Details) -> Details:
    """One behind the other; both begin to count words at 0."""
    words = first.words[-1] + 1 if first.words else 0
    return Details(
        first.ids + second.ids, first.offsets + second.offsets, first.words + [word + words for word in second.words]
    )
