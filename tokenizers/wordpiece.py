"""WordPiece: the longest piece first, from left to right ("Google's Neural Machine Translation System",
arXiv:1609.08144)."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import TokenizerError
from .longest import HEAD, SHORT, lengths_by_head


class WordPiece:
    """Cuts one word into pieces of `vocabulary` (piece to id).

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
        self.unknown = unknown
        self.continuing_prefix = continuing_prefix
        self.max_word_length = max_word_length
        self._unknown_id = vocabulary[unknown]
        self._first = dict(vocabulary)
        cut = len(continuing_prefix)
        self._next = {
            piece[cut:]: number for piece, number in vocabulary.items() if piece.startswith(continuing_prefix)
        }
        self._first_lengths = lengths_by_head(self._first)
        self._next_lengths = lengths_by_head(self._next)

    def ids(self, word: str) -> tuple[int, ...]:
        """The ids of the pieces of `word`."""
        return self.cut(word)[0]

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Them and the (start, end) of each piece in `word`."""
        whole = self._first.get(word)
        size = len(word)
        if size > self.max_word_length:
            return (self._unknown_id,), ((0, size),)
        if whole is not None:
            return (whole,), ((0, size),)
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        start, known, lengths = 0, self._first.get, self._first_lengths.get
        while start < size:
            end = size
            number = known(word[start:])
            if number is None:
                left = size - start
                for length in lengths(word[start:start + HEAD], SHORT):
                    if length < left and (number := known(word[start:start + length])) is not None:
                        end = start + length
                        break
                else:
                    return (self._unknown_id,), ((0, size),)
            ids.append(number)
            spans.append((start, end))
            start, known, lengths = end, self._next.get, self._next_lengths.get
        return tuple(ids), tuple(spans)
