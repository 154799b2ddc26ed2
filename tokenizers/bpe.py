"""Byte-pair encoding: the pair that training merged first is merged first ("Neural Machine Translation of Rare Words
with Subword Units", arXiv:1508.07909)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, repeat

from ..errors import TokenizerError
from .bpe_walk import Walk
from .byte_alphabet import to_alphabet
from .cache import Cache

CHUNK = 64  # symbols that are merged at once; the work for one grows with their square
_NEVER = 1 << 62

Span = tuple[int, int]
Merged = tuple[list[str], list[int]]  # pieces, and how many symbols each is made of


class BytePairs:
    """Cuts one word into pieces of `vocabulary` (piece to id).

    * `merges`: pairs of pieces, the most important first,
    * `byte_level`: the symbols of a word are its bytes, written as 256 printable characters, not its characters,
    * `suffix`: what the last symbol of a word ends with,
    * `prefix`: what all symbols but the first begin with,
    * `continued`: what pieces end with in the vocabulary if another follows; the last is there without `suffix`,
    * `unknown`: the piece that stands for one outside the vocabulary; None: symbols outside are dropped,
    * `fuse_unknown`: one `unknown` for several in a row,
    * `byte_fallback`: a character outside becomes the pieces `<0x00>` … of its bytes if they are all there,
    * `whole_words`: a word that is in the vocabulary is one piece, whatever the merges say.
    """

    def __init__(
        self, vocabulary: Mapping[str, int], *, merges: Iterable[tuple[str, str]], unknown: str | None = None,
        byte_level: bool = False, suffix: str = "", prefix: str = "", continued: str = "", fuse_unknown: bool = False,
        byte_fallback: bool = False, whole_words: bool = False,
    ) -> None:
        if unknown is not None and unknown not in vocabulary:
            raise TokenizerError(
                f"the unknown token `{unknown}` is not in the vocabulary of {len(vocabulary)} pieces",
                help="is this the right vocabulary file? `unk_token=…` names another token",
            )
        self.byte_level, self.suffix, self.prefix, self.continued = byte_level, suffix, prefix, continued
        self.fuse_unknown, self.byte_fallback, self.whole_words = fuse_unknown, byte_fallback, whole_words
        self._ids = vocabulary
        self._unknown_id = None if unknown is None else vocabulary[unknown]
        self._ranks: dict[tuple[str, str], int] = {}
        self._products: list[str] = []
        for pair in merges:
            self._ranks[pair] = len(self._products)
            self._products.append(pair[0] + pair[1][len(prefix):])
        walk = Walk(self._ranks, self._products) if byte_level else None
        self._walk = walk if walk is not None and walk.possible else None
        self._chunks = Cache(self._merge, limit=1 << 10)
        self._firm = Cache(self._is_firm, limit=1 << 14)

    def ids(self, word: str) -> tuple[int, ...]:
        """The ids of the pieces of `word`."""
        if self.whole_words and (number := self._whole(word)) is not None:
            return (number,)
        if self.fuse_unknown:
            return self.cut(word)[0]
        if self._walk is not None and not self.byte_fallback:
            pieces = self._walk.pieces(to_alphabet(word))
            if pieces is not None and None not in (ids := self._numbers(pieces)):
                return tuple(ids)
        return tuple(self._numbers(self._merged(self._symbols(word)[0])[0]))

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """Them and the (start, end) of each piece in `word`."""
        if self.whole_words and (number := self._whole(word)) is not None:
            return (number,), ((0, len(word)),)
        symbols, places = self._symbols(word)
        pieces, widths = self._merged(symbols)
        ends = list(accumulate(widths))
        spans = [(places[start], places[end - 1] + 1) for start, end in zip([0, *ends], ends, strict=False)]
        ids = self._numbers(pieces)
        return _fused(ids, spans, self._unknown_id) if self.fuse_unknown else (tuple(ids), tuple(spans))

    def _whole(self, word: str) -> int | None:
        return self._ids.get(to_alphabet(word) if self.byte_level else word)

    def _numbers(self, pieces: list[str]) -> list[int]:
        if self.continued and pieces:
            pieces = [piece + self.continued for piece in pieces[:-1]] + [pieces[-1].removesuffix(self.suffix)]
        return list(map(self._ids.get, pieces, repeat(self._unknown_id)))

    def _symbols(self, word: str) -> tuple[list[str], Sequence[int]]:
        """What merging begins with, and the character of the word that each symbol belongs to."""
        places: Sequence[int] = range(len(word))
        if self.byte_level:
            symbols = list(to_alphabet(word))
            if len(symbols) > len(word):
                places = array("q", (i for i, c in enumerate(word) for _ in range(_bytes_of(c))))
        else:
            symbols = [word[0], *(self.prefix + c for c in word[1:])] if self.prefix else list(word)
            symbols[-1] += self.suffix
        if self.byte_fallback:
            symbols, places = self._with_bytes(symbols, places)
        if self._unknown_id is None and not all(map(self._ids.__contains__, symbols)):
            kept = [(symbol, place) for symbol, place in zip(symbols, places, strict=True) if symbol in self._ids]
            symbols, places = [symbol for symbol, _ in kept], [place for _, place in kept]
        return symbols, places

    def _with_bytes(self, symbols: list[str], places: Sequence[int]) -> tuple[list[str], Sequence[int]]:
        result: list[str] = []
        origins = array("q")
        for symbol, place in zip(symbols, places, strict=True):
            parts = [symbol]
            if symbol not in self._ids:
                bytes_ = [f"<0x{byte:02X}>" for byte in symbol.encode("utf-8", "replace")]
                parts = bytes_ if all(map(self._ids.__contains__, bytes_)) else parts
            result += parts
            origins.extend([place] * len(parts))
        return result, origins

    # Merging -----------------------------------------------------------------------------------------------------

    def _merged(self, symbols: list[str]) -> Merged:
        if self._walk is not None and (pieces := self._walk.pieces("".join(symbols))) is not None:
            return pieces, list(map(len, pieces))
        return self._merged_by_chunks(symbols)

    def _merged_by_chunks(self, symbols: list[str]) -> Merged:
        """In linear time: chunk by chunk, mending where two of them meet.

        Pieces are those of a word exactly if each two neighbours are those of their common text. So what lies
        away from the seams is right already.
        """
        if len(symbols) <= CHUNK:
            return self._merge(symbols)
        pieces: list[str] = []
        widths: list[int] = []
        for seam in range(0, len(symbols), CHUNK):
            self._join(pieces, widths, *self._chunks[tuple(symbols[seam:seam + CHUNK])], symbols, seam)
        return pieces, widths

    def _join(
        self, pieces: list[str], widths: list[int], more: list[str], more_widths: list[int], symbols: list[str],
        seam: int,
    ) -> None:
        """Appends the pieces that begin at `seam`, with those around it merged anew as far as they change."""
        left = right = 0  # how many pieces on each side are taken apart: the symbols [start, end)
        start = end = seam
        middle: list[str] = []
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
        pieces += middle + more[right:]
        widths += between + more_widths[right:]

    def _is_firm(self, key: tuple[tuple[str, ...], int]) -> bool:
        """Whether symbols merge into exactly two pieces, the left one of a given width."""
        symbols, width = key
        return self._merge(symbols)[1] == [width, len(symbols) - width]

    def _merge(self, symbols: Sequence[str]) -> Merged:
        pieces, widths = list(symbols), [1] * len(symbols)
        rank_of, products = self._ranks.get, self._products
        ranks = list(map(rank_of, zip(pieces, pieces[1:], strict=False), repeat(_NEVER)))
        while ranks:
            best = min(ranks)
            if best == _NEVER:
                break
            index = ranks.index(best)
            pieces[index:index + 2] = (products[best],)
            widths[index] += widths.pop(index + 1)
            del ranks[index]
            if index:
                ranks[index - 1] = rank_of((pieces[index - 1], pieces[index]), _NEVER)
            if index < len(ranks):
                ranks[index] = rank_of((pieces[index], pieces[index + 1]), _NEVER)
        return pieces, widths


def _fused(
    ids: list[int], spans: list[Span], unknown: int | None
) -> tuple[tuple[int, ...], tuple[Span, ...]]:
    kept: list[int] = []
    places: list[Span] = []
    for number, span in zip(ids, spans, strict=True):
        if number == unknown and kept and kept[-1] == number:
            places[-1] = (places[-1][0], span[1])
        else:
            kept.append(number)
            places.append(span)
    return tuple(kept), tuple(places)


def _bytes_of(character: str) -> int:
    return len(character.encode("utf-8", "replace"))
