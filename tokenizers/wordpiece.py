"""WordPiece: the longest piece first, from left to right ("Google's Neural Machine Translation System",
arXiv:1609.08144).

The sentencepiece library finds the symbols that a user has defined in just this way. So each piece is such a symbol,
pieces that begin a word together with a mark, and the mark stands before each word. It is a symbol, too, found where
no piece begins the word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, compress, count, repeat
from operator import not_

from ..errors import TokenizerError
from .cuts import PieceRow, Span
from .library_model import CHARACTERS, FOUND_FIRST, UNKNOWN, processor

_TOGETHER = 512  # words
_NESTED = 63  # how many pieces that begin one another the library tells apart, with the mark as one more
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
        # A character that no piece has, and so no word that pieces cover.
        known = set().union(*vocabulary)
        self._mark = next(c for c in map(chr, range(0xE000, 0xF900)) if c not in known)
        first = {piece: number for piece, number in vocabulary.items() if piece and not _UNUSABLE.search(piece)}
        cut = len(continuing_prefix)
        later = {
            piece[cut:]: number for piece, number in first.items()
            if len(piece) > cut and piece.startswith(continuing_prefix)
        }
        for pieces in (first, later):
            _check_nesting(pieces)
        # Codes: pieces that begin a word, a mark that begins none, pieces that go on, what no piece covers.
        self._unknown_id = vocabulary[unknown]
        self._bare, self._lost = len(first), len(first) + 1 + len(later)
        self._ids = [*first.values(), self._unknown_id, *later.values(), self._unknown_id]
        self._sizes = [*map(len, first), 0, *map(len, later), 0]
        self._begins = [*repeat(True, len(first) + 1), *repeat(False, len(later) + 1)]
        texts = [text.encode() for text in (*map(self._mark.__add__, ("", *first)), *later, 2 * self._mark)]
        texts.insert(self._bare, texts.pop(0))
        odd = {self._lost: (texts[self._lost], UNKNOWN)}
        self._library = processor(CHARACTERS, texts, repeat(FOUND_FIRST), len(FOUND_FIRST), odd)

    def ids(self, word: str) -> tuple[int, ...]:
        """The ids of the pieces of `word`."""
        return tuple(self.row([word]).ids)

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """Them and the (start, end) of each piece in `word`."""
        return self.row([word]).whole()

    def row(self, words: Sequence[str]) -> PieceRow:
        """The pieces of many words, much faster than one by one."""
        codes: list[int] = []
        mark, hopeful = self._mark, self._hopeful(words)
        for start in range(0, len(words), _TOGETHER):
            codes += self._library.encode(mark + mark.join(hopeful[start:start + _TOGETHER]))
        ids, sizes = list(map(self._ids.__getitem__, codes)), list(map(self._sizes.__getitem__, codes))
        ends = [*compress(count(), map(self._begins.__getitem__, codes)), len(codes)]
        if self._lost not in codes and self._bare not in codes:
            return PieceRow(ids, ends, sizes)
        # A word of which something is not covered, and has no size, is one unknown piece.
        begins = list(map(self._begins.__getitem__, codes))
        for word in set(compress(accumulate(begins), map(not_, sizes))):
            start = ends[word - 1]
            ids[start], sizes[start] = self._unknown_id, len(words[word - 1])
            for place in range(start + 1, ends[word]):
                sizes[place] = 0
        ends = [*compress(count(), compress(begins, sizes)), len(sizes) - sizes.count(0)]
        return PieceRow(list(compress(ids, sizes)), ends, list(filter(None, sizes)))

    def _hopeful(self, words: Sequence[str]) -> Sequence[str]:
        """The words, empty ones in place of those that pieces cannot cover, or that the library cannot take."""
        longest, mark, text = self.max_word_length, self._mark, "".join(words)
        if max(map(len, words), default=0) <= longest and mark not in text and not _UNUSABLE.search(text):
            return words
        return [
            "" if len(word) > longest or mark in word or _UNUSABLE.search(word) is not None else word for word in words
        ]


def _check_nesting(pieces: Mapping[str, int]) -> None:
    for piece in pieces:
        if len(piece) > _NESTED and sum(piece[:size] in pieces for size in range(1, len(piece) + 1)) > _NESTED:
            raise TokenizerError(
                f"more than {_NESTED} pieces of the vocabulary begin one another, up to `{piece}`"[:200],
                help="is this a vocabulary of WordPiece?",
            )
