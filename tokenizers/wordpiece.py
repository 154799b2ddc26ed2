"""WordPiece: the longest piece first, from left to right ("Google's Neural Machine Translation System",
arXiv:1609.08144).

The sentencepiece library finds the symbols that a user has defined in just this way. So each piece is such a symbol,
pieces that begin a word together with a mark, and a mark stands before each word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice, repeat
from typing import TypeVar

from ..errors import TokenizerError
from .cuts import Cut, Span, cuts_of, stretches
from .library_model import CHARACTERS, FOUND_FIRST, UNKNOWN, processor

_TOGETHER = 64  # words
_NESTED = 64  # how many pieces that begin one another the library tells apart
_UNUSABLE = re.compile("[\0\ud800-\udfff]")  # what the library does not find in text
Found = TypeVar("Found")


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
        self._ids = [*first.values(), *later.values(), self._unknown_id, self._unknown_id]
        self._sizes = [*map(len, first), *map(len, later), 0, 0]
        self._unknown, self._mark = len(self._ids) - 2, len(self._ids) - 1
        texts = [text.encode() for text in (*map(self._begin.__add__, first), *later, self._begin, self._end)]
        odd = {self._unknown: (texts[self._unknown], UNKNOWN)}
        self._library = processor(CHARACTERS, texts, repeat(FOUND_FIRST), len(FOUND_FIRST), odd)

    def ids(self, word: str) -> tuple[int, ...]:
        """The ids of the pieces of `word`."""
        return self.ids_of_each([word])[0]

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[Span, ...]]:
        """Them and the (start, end) of each piece in `word`."""
        ids, bounds, _ = self.cut_each([word])[0]
        return ids, tuple(zip(bounds[::2], bounds[1::2], strict=True))

    def ids_of_each(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of the pieces of each word, much faster than one by one."""
        codes = self._row(words)
        ids = list(map(self._ids.__getitem__, codes))
        places = stretches(codes, self._mark)
        found = [tuple(ids[start:end]) for start, end in places]
        return self._or_unknown(found, codes, places, [(self._unknown_id,)] * len(words))

    def cut_each(self, words: Sequence[str]) -> list[Cut]:
        """Them, and where they stand, of each word."""
        codes = self._row(words)
        ids, sizes = map(self._ids.__getitem__, codes), map(self._sizes.__getitem__, codes)
        places = stretches(codes, self._mark)
        found = cuts_of(ids, sizes, repeat(0), places)
        return self._or_unknown(found, codes, places, [((self._unknown_id,), (0, len(word)), (1,)) for word in words])

    def _row(self, words: Sequence[str]) -> list[int]:
        """The library's ids of the pieces of all words, with a mark behind each."""
        codes: list[int] = []
        for start in range(0, len(words), _TOGETHER):
            codes += self._together(words[start:start + _TOGETHER])
        return codes

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

    def _or_unknown(
        self, found: list[Found], codes: list[int], places: list[tuple[int, int]], instead: list[Found]
    ) -> list[Found]:
        """What was `found` of each word, or something else if a part of it is unknown."""
        unknown = self._unknown
        if unknown not in codes:
            return found
        return [
            other if unknown in codes[start:end] else each
            for each, (start, end), other in zip(found, places, instead, strict=True)
        ]


def _check_nesting(pieces: Mapping[str, int]) -> None:
    for piece in pieces:
        if len(piece) > _NESTED and sum(piece[:size] in pieces for size in range(1, len(piece) + 1)) > _NESTED:
            raise TokenizerError(
                f"more than {_NESTED} pieces of the vocabulary begin one another, up to `{piece}`"[:200],
                help="is this a vocabulary of WordPiece?",
            )
