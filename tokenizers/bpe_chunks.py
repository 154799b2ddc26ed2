"""Merging long rows of symbols in linear time: chunk by chunk, mending where two of them meet.

Pieces are those of a word exactly if each two neighbours are those of their common text. So what lies away from the
seams is right already.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from .bpe_merges import Merged, Merges
from .cache import Cache

CHUNK = 64  # symbols that are merged at once; the work for one grows with their square


def merged_by_chunks(merges: Merges, symbols: Sequence[int]) -> Merged:
    """The pieces of a row of symbols of any length; of long ones in arrays, which hold them in less memory."""
    if len(symbols) <= CHUNK:
        return merges.merge(symbols)
    seams = _Seams(merges, symbols)
    for start in range(0, len(symbols), CHUNK):
        seams.add(start)
    return seams.pieces, seams.widths


class _Seams:
    """The pieces of the symbols before a seam, to which those of the next chunk are added."""

    def __init__(self, merges: Merges, symbols: Sequence[int]) -> None:
        self._merge, self._symbols = merges.merge, symbols
        self.pieces, self.widths = array("i"), array("q")
        self._chunks = Cache(merges.merge, limit=1 << 10)
        self._firm = Cache(self._is_firm, limit=1 << 14)

    def add(self, seam: int) -> None:
        """Appends the pieces that begin at `seam`, with those around it merged anew as far as they change."""
        symbols, pieces, widths = self._symbols, self.pieces, self.widths
        more, more_widths = self._chunks[tuple(symbols[seam:seam + CHUNK])]
        left = right = 0  # how many pieces on each side are taken apart: the symbols [start, end)
        start = end = seam
        middle: list[int] = []
        between: list[int] = []
        while True:
            before = widths[-1 - left] if left < len(widths) else 0
            after = more_widths[right] if right < len(more) else 0
            first = between[0] if between else after
            last = between[-1] if between else before
            moves_left = before and first and not self._firm[tuple(symbols[start - before:start + first]), before]
            moves_right = after and last and not self._firm[tuple(symbols[end - last:end + after]), last]
            if not moves_left and not moves_right:
                break
            if moves_left:
                left, start = left + 1, start - before
            if moves_right:
                right, end = right + 1, end + after
            middle, between = self._merge(symbols[start:end])
        if left:
            del pieces[-left:], widths[-left:]
        pieces.extend(middle + more[right:])
        widths.extend(between + more_widths[right:])

    def _is_firm(self, key: tuple[tuple[int, ...], int]) -> bool:
        """Whether symbols merge into exactly two pieces, the left one of a given width."""
        symbols, width = key
        return self._merge(symbols)[1] == [width, len(symbols) - width]
