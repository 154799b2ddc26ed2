"""WordPiece: the longest piece first, from left to right ("Google's Neural Machine Translation System",
arXiv:1609.08144).

The sentencepiece library finds the symbols that a user has defined in just this way. So each piece is such a symbol,
pieces that begin a word together with a mark, and a mark stands before each word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, islice, repeat

from ..errors import TokenizerError
from .cuts import PieceRow, Span, counts_between
from .library_model import CHARACTERS, FOUND_FIRST, UNKNOWN, processor

_TOGETHER = 64  # words
_NESTED = 64  # how many pieces that begin one another the library tells apart
_UNUSABLE = re.compile("[\0\ud800-\udfff]")  # what the library does not find in text


class WordPiece:
    """Cuts words into pieces of `vocabulary` (piece to id).

    Pieces after the first carry `continuing_prefix` in the vocabulary. A word that cannot be covered, or is longer
    than `max_word_length` characters, is the one piece `unknown`. TokenizerError if `unknown` is not in the
    vocabulary.
    """

    def __init__(
        self, vocabulary: Mapping[str, int], *, unknown: str = "[UNK]", continuing_prefix: str = "##",
        max_word_length: int = 100,
    ) -> None:
        if unknown not in vocabulary:
            raise TokenizerError(
                f"the unknown token `{unknown}` is not in the vocabulary of {len(vocabulary)} pieces",
                help="is this the right vocabulary file? `unk_token=…` names another token",
            )
        self.continuing_prefix = continuing_prefix
        self.max_word_length = max_word_length
        # Two characters that no piece has, so that no piece covers a word that has one of them.
        known = set().union(*vocabulary)
        self._begin, self._end = islice((c for c in map(chr, range(0xE000, 0xF900)) if c not in known), 2)
        first = {piece: number for piece, number in vocabulary.items() if piece and not _UNUSABLE.search(piece)}
        cut = len(continuing_prefix)
        later = {
            piece[cut:]: number for piece, number in first.items()
            if len(piece) > cut and piece.startswith(continuing_prefix)
        }
        for pieces in (first, later):
            _check_nesting(pieces)
        self._unknown_id = vocabulary[unknown]
        self._ids = [*first.values(), *later.values(), self._unknown_id]
        self._sizes = [*map(len, first), *map(len, later), 0]
        self._unknown, self._mark = len(self._ids) - 1, len(self._ids)
        texts = [text.encode() for text in (*map(self._begin.__add__, first), *later, self._begin, self._end)]
        odd = {self._unknown: (texts[self._unknown], UNKNOWN)}
        self._library = processor(CHARACTERS, texts, repeat(FOUND_FIRST), len(FOUND_FIRST), odd)

    def ids(self, word: str) -> tuple[int, ...]:
        """The ids of the pieces of `word`."""
        return tuple(self.row([word]).ids)

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """Them and the (start, end) of each piece in `word`."""
        ids, bounds, _ = self.row([word]).cuts_of([1])[0]
        return ids, tuple(zip(bounds[::2], bounds[1::2], strict=True))

    def row(self, words: Sequence[str]) -> PieceRow:
        """The pieces of many words, much faster than one by one."""
        marked: list[int] = []
        for start in range(0, len(words), _TOGETHER):
            marked += self._together(words[start:start + _TOGETHER])
        counts, codes = counts_between(marked, self._mark), list(filter(self._mark.__ne__, marked))
        ids, sizes = list(map(self._ids.__getitem__, codes)), list(map(self._sizes.__getitem__, codes))
        if self._unknown in codes:
            ends = list(accumulate(counts))
            for number in reversed(range(len(words))):  # backwards, so that places before stay what they are
                end = ends[number]
                start = end - counts[number]
                if self._unknown in codes[start:end]:
                    ids[start:end], sizes[start:end], counts[number] = [self._unknown_id], [len(words[number])], 1
        return PieceRow(ids, counts, sizes, repeat(0))

    def _together(self, words: Sequence[str]) -> list[int]:
        begin, end = self._begin, self._end
        text = f"{begin}{(end + begin).join(words)}{end}"
        if (
            max(map(len, words)) > self.max_word_length or text.count(begin) + text.count(end) > 2 * len(words)
            or _UNUSABLE.search(text)
        ):
            words = [begin if self._hopeless(word) else word for word in words]
            text = f"{begin}{(end + begin).join(words)}{end}"
        return self._library.encode(text)

    def _hopeless(self, word: str) -> bool:
        odd = self._begin in word or self._end in word or _UNUSABLE.search(word) is not None
        return odd or len(word) > self.max_word_length


def _check_nesting(pieces: Mapping[str, int]) -> None:
    for piece in pieces:
        if len(piece) > _NESTED and sum(piece[:size] in pieces for size in range(1, len(piece) + 1)) > _NESTED:
            raise TokenizerError(
                f"more than {_NESTED} pieces of the vocabulary begin one another, up to `{piece}`"[:200],
                help="is this a vocabulary of WordPiece?",
            )
