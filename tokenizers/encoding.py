"""What a tokenizer call returns: a dictionary for the model, with a memory of where its tokens came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import TokenizerError
from .batch import Row


class Encoding(dict):
    """`input_ids`, `attention_mask`, … as lists or tensors, also as attributes; `model(**encoding)` works.

    The methods answer questions about row `row` (the first if it is left out). A position that belongs to nothing
    (a special token, padding, white space) gives None. A pickled copy keeps the values, but not the answers.
    """

    def __init__(
        self, values: Mapping[str, Any], rows: Sequence[Row] | Callable[[], Sequence[Row]] = (),
        to_token: Callable[[int], str | None] | None = None,
    ) -> None:
        super().__init__(values)
        self._rows, self._to_token = rows, to_token

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this encoding has no `{name}`, only {', '.join(map(repr, self))}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return Encoding, (dict(self),)

    def tokens(self, row: int = 0) -> list[str | None]:
        return [self._to_token(number) for number in self._row(row).ids()]

    def sequence_ids(self, row: int = 0) -> list[int | None]:
        """For each token 0 or 1: the text or its pair."""
        return self._row(row).sequence_ids()

    def word_ids(self, row: int = 0) -> list[int | None]:
        """For each token the number of its word."""
        return self._row(row).word_ids()

    def token_to_chars(self, row_or_token: int, token: int | None = None) -> tuple[int, int] | None:
        """The (start, end) of a token in its text."""
        found, token = self._position(row_or_token, token)
        token = _index(token, len(found), "token")
        return None if found.sequence_ids()[token] is None else found.offsets()[token]

    def token_to_word(self, row_or_token: int, token: int | None = None) -> int | None:
        found, token = self._position(row_or_token, token)
        return found.word_ids()[_index(token, len(found), "token")]

    def token_to_sequence(self, row_or_token: int, token: int | None = None) -> int | None:
        found, token = self._position(row_or_token, token)
        return found.sequence_ids()[_index(token, len(found), "token")]

    def char_to_token(self, row_or_char: int, char: int | None = None, sequence_index: int = 0) -> int | None:
        """The token that holds a character."""
        found, char = self._position(row_or_char, char)
        places = enumerate(zip(found.sequence_ids(), found.offsets(), strict=True))
        return next((i for i, (of, (start, end)) in places if of == sequence_index and start <= char < end), None)

    def char_to_word(self, row_or_char: int, char: int | None = None, sequence_index: int = 0) -> int | None:
        found = self._position(row_or_char, char)[0]
        token = self.char_to_token(row_or_char, char, sequence_index)
        return None if token is None else found.word_ids()[token]

    def word_to_tokens(
        self, row_or_word: int, word: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """The (first, last + 1) tokens of a word."""
        found, word = self._position(row_or_word, word)
        places = enumerate(zip(found.sequence_ids(), found.word_ids(), strict=True))
        tokens = [i for i, place in places if place == (sequence_index, word)]
        return (tokens[0], tokens[-1] + 1) if tokens else None

    def word_to_chars(
        self, row_or_word: int, word: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """The (start, end) of a word in its text."""
        tokens = self.word_to_tokens(row_or_word, word, sequence_index)
        if tokens is None:
            return None
        offsets = self._position(row_or_word, word)[0].offsets()
        return offsets[tokens[0]][0], offsets[tokens[1] - 1][1]

    def to(self, device: Any, **options: Any) -> Encoding:
        """Moves its tensors to a device, and returns itself."""
        for name, value in self.items():
            if hasattr(value, "to"):
                self[name] = value.to(device, **options)
        return self

    def _row(self, row: int) -> Row:
        if callable(self._rows):
            self._rows = self._rows()
        if not self._rows and self:
            raise TokenizerError("this copy of an encoding no longer knows its text", help="ask the original")
        return self._rows[_index(row, len(self._rows), "row")]

    def _position(self, first: int, second: int | None) -> tuple[Row, int]:
        """Both `(position)` in the first row and `(row, position)` are calls people write."""
        return (self._row(0), first) if second is None else (self._row(first), second)


def _index(index: int, size: int, what: str) -> int:
    if not -size <= index < size:
        raise TokenizerError(f"there is no {what} {index}, only {size}")
    return index


def as_tensors(values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Lists of equal rows to int64 tensors: `pt` for torch, `np` for NumPy."""
    lengths = sorted({len(row) for row in values.get("input_ids", ())})
    if len(lengths) > 1:
        raise TokenizerError(
            f"rows of {lengths[0]} to {lengths[-1]} tokens do not make a tensor",
            help="padding=True makes them equally long (and truncation=True keeps them to the model's length)",
        )
    if kind == "pt":
        import torch

        return {name: torch.tensor(value, dtype=torch.int64) for name, value in values.items()}
    import numpy

    return {name: numpy.array(value, dtype=numpy.int64) for name, value in values.items()}
