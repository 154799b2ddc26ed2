"""Byte-pair encoding: the pair that training merged first is merged first ("Neural Machine Translation of Rare Words
with Subword Units", arXiv:1508.07909)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, islice, repeat

from ..errors import TokenizerError
from .bpe_bytes import BytePieces
from .bpe_chunks import merged_by_chunks
from .bpe_merges import STRANGER, Merges
from .byte_alphabet import ALPHABET, to_alphabet
from .cuts import PieceRow, Span

_BEGINS = [int(byte & 0xC0 != 0x80) for byte in range(256)]  # whether a byte begins a character


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
        self._merges = Merges(merges, prefix, ALPHABET if byte_level else ())
        plain = byte_level and not (suffix or prefix or continued or byte_fallback)
        # Bytes are their own codes, where each of them is a piece and nothing is put to it.
        as_codes = plain and (unknown is not None or all(map(vocabulary.__contains__, ALPHABET)))
        texts = self._merges.texts
        within = [text + continued for text in texts] if continued else texts
        self._inner = list(map(vocabulary.get, within, repeat(self._unknown_id)))
        lost = None in self._inner and unknown is None and not continued
        used = self._merges.in_use() if lost else ()
        strange = next((texts[code] for code in used if self._inner[code] is None), None)
        if strange is not None:
            raise TokenizerError(
                f"the merges make or take `{strange}`, which is not in the vocabulary of {len(vocabulary)} pieces",
                help="are these the merges of this vocabulary?",
            )
        self._inner.append(self._unknown_id)  # for strangers, whose code is -1
        self._last = self._inner if not continued else [
            *map(vocabulary.get, (text.removesuffix(suffix) for text in texts), repeat(self._unknown_id)),
            self._unknown_id,
        ]
        self._bytes = BytePieces(self._merges, self._inner) if as_codes else None

    @property
    def byte_pieces(self) -> dict[int, str] | None:
        """The pieces by id, written as bytes, if each of a text has an id of its own."""
        pieces = {number: piece for piece, number in self._ids.items()}
        distinct = self._bytes is not None and None not in self._inner[:-1] and len(pieces) == len(self._ids)
        return pieces if distinct and self._ids.keys() >= set(ALPHABET) else None

    def ids(self, word: str) -> tuple[int, ...]:
        """The ids of the pieces of `word`."""
        if self.fuse_unknown or self.whole_words:
            return self.cut(word)[0]
        if self._bytes is not None:
            return self._bytes.ids(word)
        return tuple(self._cut_symbols(word)[0])

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """Them and the (start, end) of each piece in `word`."""
        if self.whole_words:
            number = self._ids.get(to_alphabet(word) if self.byte_level else word)
            if number is not None:
                return (number,), ((0, len(word)),)
        if self._bytes is not None:
            ids, spans = self._bytes.row([word]).whole()
        else:
            ids, widths, places = self._cut_symbols(word)
            ends = list(accumulate(widths))
            spans = [(places[start], places[end - 1] + 1) for start, end in zip([0, *ends], ends, strict=False)]
        return _fused(ids, spans, self._unknown_id) if self.fuse_unknown else (tuple(ids), tuple(spans))

    @property
    def row(self) -> Callable[[Sequence[str]], PieceRow] | None:
        """Cuts many words, much faster than one by one; None if there is no such way."""
        if self._bytes is None or self.fuse_unknown:
            return None
        return self._row_with_whole_words if self.whole_words else self._bytes.row

    def _row_with_whole_words(self, words: Sequence[str]) -> PieceRow:
        whole = list(map(self._ids.get, map(to_alphabet, words)))
        merged = self._bytes.row([word for word, number in zip(words, whole, strict=True) if number is None])
        counts = iter(merged.counts())
        pieces = zip(merged.ids, merged.sizes, merged.overlaps, strict=True)
        row: list[tuple[int, int, int]] = []
        ends = [0]
        for word, number in zip(words, whole, strict=True):
            row += [(number, len(word), 0)] if number is not None else islice(pieces, next(counts))
            ends.append(len(row))
        return PieceRow(
            [number for number, _, _ in row], ends, [size for _, size, _ in row], [overlap for _, _, overlap in row]
        )

    def _cut_symbols(self, word: str) -> tuple[list[int], list[int], Sequence[int]]:
        """Ids, how many symbols each stands for, and the character of the word that each symbol belongs to."""
        symbols, places = self._symbols(word)
        codes = array("i", map(self._merges.codes.get, symbols, repeat(STRANGER)))
        pieces, widths = merged_by_chunks(self._merges, codes)
        return self._numbers(pieces, widths, symbols), widths, places

    def _numbers(self, pieces: list[int], widths: list[int], symbols: Sequence[str]) -> list[int]:
        ids = list(map(self._inner.__getitem__, pieces[:-1]))
        ids += map(self._last.__getitem__, pieces[-1:])
        if STRANGER in pieces:
            for index, (piece, end) in enumerate(zip(pieces, accumulate(widths), strict=True)):
                if piece == STRANGER:
                    symbol, last = symbols[end - 1], end == len(symbols)
                    known = symbol.removesuffix(self.suffix) if last and self.continued else symbol + self.continued
                    ids[index] = self._ids.get(known, self._unknown_id)
        return ids

    def _symbols(self, word: str) -> tuple[list[str], Sequence[int]]:
        """What merging begins with, and the character of the word that each symbol belongs to."""
        places: Sequence[int] = range(len(word))
        if self.byte_level:
            data = word.encode("utf-8", "replace")
            symbols, places = list(to_alphabet(data)), _places(data)
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


def _places(data: bytes) -> Sequence[int]:
    """The character that each byte belongs to."""
    if data.isascii():
        return range(len(data))
    return array("q", accumulate(map(_BEGINS.__getitem__, data[1:]), initial=0))


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
