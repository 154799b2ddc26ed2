"""What stretches of text were cut into, put together for a text."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, compress, count, islice, pairwise, repeat
from operator import add, floordiv, itemgetter, sub

Span = tuple[int, int]
#: Of one stretch: ids; steps, for each id how far behind the end of the one before (or the beginning of the stretch) it
#: begins, and its length; and how many ids each word is. Both are arrays as bytes, which join quickly and cost the
#: garbage collector nothing.
Cut = tuple[tuple[int, ...], bytes, bytes]

_IDS, _STEPS, _SIZES = map(itemgetter, range(3))
_INTEGER = "q"
_SIZE = array(_INTEGER).itemsize
_PAIR = 2 * _SIZE  # bytes of the two steps of an id
_NOTHING = -1  # the id of what has none, the end of a stretch behind its last piece


class Details:
    """Ids with where they came from: `offsets` are (start, end) in characters of the text, `sizes` how many of the ids
    each word is, which may be given as bytes of an array."""

    def __init__(self, ids: list[int], offsets: list[Span], sizes: Iterable[int] | bytes) -> None:
        self.ids, self.offsets = ids, offsets
        self.packed_sizes = sizes if isinstance(sizes, bytes) else _packed(sizes)

    @property
    def sizes(self) -> list[int]:
        return array(_INTEGER, self.packed_sizes).tolist()

    @cached_property
    def words(self) -> list[int]:
        """For each id the number of its word."""
        return list(chain.from_iterable(map(repeat, count(), self.sizes)))


def joined_details(parts: Sequence[Details]) -> Details:
    """Of texts one behind the other."""
    if len(parts) == 1:
        return parts[0]
    ids = list(chain.from_iterable(part.ids for part in parts))
    offsets = list(chain.from_iterable(part.offsets for part in parts))
    return Details(ids, offsets, b"".join(part.packed_sizes for part in parts))


def cut_of(ids: Iterable[int], bounds: Sequence[int], sizes: Iterable[int]) -> Cut:
    """From the start and the end of each id within the stretch, all in one row."""
    return tuple(ids), _steps(bounds), _packed(sizes)


def with_bounds(cut: Cut, bounds: Sequence[int]) -> Cut:
    return cut[0], _steps(bounds), cut[2]


def bounds_of(cut: Cut) -> list[int]:
    return list(accumulate(array(_INTEGER, cut[1])))


def _spans(bounds: Iterator[int]) -> list[Span]:
    return list(zip(bounds, bounds, strict=True))


@dataclass
class PieceRow:
    """The pieces of many words in one row: `ids`; `ends`, where each word ends in it, with a zero in front; `sizes`,
    how many characters begin in each piece, and `overlaps`, by how many it begins before the end of the last one
    (None: by none)."""

    ids: Sequence[int]
    ends: Sequence[int]
    sizes: Iterable[int]
    overlaps: Iterable[int] | None = None

    def counts(self) -> list[int]:
        """How many pieces each word is."""
        return list(map(sub, self.ends[1:], self.ends))

    def ids_of(self, groups: Iterable[int]) -> list[tuple[int, ...]]:
        """The ids of so many words each."""
        ids = tuple(self.ids)
        pieces = list(map(self.ends.__getitem__, accumulate(groups, initial=0)))
        return [ids[a:b] for a, b in pairwise(pieces)]

    def whole(self) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """The ids and the spans of all words, one behind the other."""
        cut = self.cuts_of([len(self.ends) - 1])[0]
        bounds = bounds_of(cut)
        return cut[0], tuple(zip(bounds[::2], bounds[1::2], strict=True))

    def cuts_of(self, groups: Sequence[int], before: int = 0) -> list[Cut]:
        """Of stretches that are so many words each, one behind the other, and begin with so many other characters."""
        ids, counts = tuple(self.ids), _packed(self.counts())
        words = list(accumulate(groups, initial=0))
        pieces = list(map(self.ends.__getitem__, words))
        steps = [0] * (2 * len(ids))
        steps[1::2] = self.sizes
        if self.overlaps is not None:
            steps[::2] = [-overlap for overlap in self.overlaps]
            steps[1::2] = map(sub, steps[1::2], steps[::2])
        if before:
            for piece in set(pieces[:-1]) - {len(ids)}:
                steps[2 * piece] += before
        row = _packed(steps)
        return [
            (ids[a:b], row[_PAIR * a:_PAIR * b], counts[_SIZE * first:_SIZE * last])
            for a, b, first, last in zip(pieces, pieces[1:], words, words[1:], strict=False)
        ]


def gathered(cuts: Sequence[Cut], begins: Iterable[int]) -> Details:
    """Of stretches that begin at `begins` (which may be more)."""
    return Details(_ids(cuts), _spans(_bounds(cuts, begins)), b"".join(map(_SIZES, cuts)))


def moved(bounds: Sequence[int], origins: Sequence[int]) -> list[int]:
    """In the text whose characters `origins` are."""
    after = [0, *(origin + 1 for origin in origins)]
    found = list(map(origins.__getitem__, bounds[::2]))
    return list(chain.from_iterable(zip(found, map(after.__getitem__, bounds[1::2]), strict=True)))


def placed(found: Details, origins: Sequence[int], start: int = 0) -> Details:
    """The same with offsets in the text whose characters `origins` are, and which begins at `start`. What has no
    characters stands where those before it end."""
    found.offsets[:] = [
        (origins[first], origins[last - 1] + 1) if first < last
        else (at := origins[first - 1] + 1 if first else start, at)
        for first, last in found.offsets
    ]
    return found


def behind_blank(ids: Iterable[int], bounds: Sequence[int], sizes: Iterable[int], length: int) -> Cut:
    """Of a stretch of `length` characters together with a blank before it. It ends where the stretch does. What
    `cuts_behind_blanks` does for many would take half as long again for one."""
    steps = list(map(sub, bounds, chain((-1,), bounds)))
    rest = length - (bounds[-1] if bounds else -1)
    if rest:
        ids = (*ids, _NOTHING)
        steps += (rest, 0)
    return tuple(ids), _packed(steps), _packed(sizes)


def cuts_behind_blanks(
    words: Sequence[Cut], begins: Iterable[int], groups: Iterable[int], origins: Sequence[int], lengths: Iterable[int]
) -> list[Cut]:
    """Of stretches with a blank before each, that are so many words and characters each. `origins`: where the
    characters that words are made of come from in the text of all stretches; `begins`: where words begin among them."""
    bounds = moved(list(_bounds(words, begins)), origins)
    steps = array(_INTEGER, map(sub, bounds, chain((0,), bounds)))
    ids, sizes = tuple(_ids(words)), b"".join(map(_SIZES, words))
    ends = list(accumulate(map(len, map(_IDS, words)), initial=0))
    found: list[Cut] = []
    begin = 0
    for (first, last), length in zip(pairwise(accumulate(groups, initial=0)), lengths, strict=True):
        a, b = ends[first], ends[last]
        rest = length + 1
        if a < b:
            steps[2 * a] = bounds[2 * a] - begin + 1
            rest = begin + length - bounds[2 * b - 1]
        row = steps[2 * a:2 * b].tobytes()
        found.append((
            (*ids[a:b], _NOTHING) if rest else ids[a:b], row + _packed((rest, 0)) if rest else row,
            sizes[_SIZE * first:_SIZE * last],
        ))
        begin += length + 1
    return found


def gathered_behind_blanks(cuts: Sequence[Cut], start: int) -> Details:
    """Of stretches that have a blank before each, in a text that begins at `start` with the first stretch."""
    bounds = accumulate(array(_INTEGER, b"".join(map(_STEPS, cuts))), initial=start - 1)
    ids, spans = _ids(cuts), _spans(islice(bounds, 1, None))
    if _NOTHING in ids:
        kept = list(map(_NOTHING.__ne__, ids))
        ids, spans = list(compress(ids, kept)), list(compress(spans, kept))
    return Details(ids, spans, b"".join(map(_SIZES, cuts)))


def _steps(bounds: Sequence[int]) -> bytes:
    return _packed(map(sub, bounds, chain((0,), bounds)))


def _packed(numbers: Iterable[int]) -> bytes:
    return array(_INTEGER, numbers).tobytes()


def _ids(cuts: Sequence[Cut]) -> list[int]:
    return list(chain.from_iterable(map(_IDS, cuts)))


def _bounds(cuts: Sequence[Cut], begins: Iterable[int]) -> Iterator[int]:
    rows = list(map(_STEPS, cuts))
    counts = list(map(floordiv, map(len, rows), repeat(_SIZE)))
    run = list(accumulate(array(_INTEGER, b"".join(rows)), initial=0))  # with nothing between stretches
    shifts = map(sub, begins, map(run.__getitem__, accumulate(counts, initial=0)))
    return map(add, run[1:], chain.from_iterable(map(repeat, shifts, counts)))
