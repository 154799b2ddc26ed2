"""Models of the sentencepiece library: unigram, BPE, characters or words ("SentencePiece: A simple and language
independent subword tokenizer", arXiv:1808.06226)."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from functools import cached_property
from itertools import accumulate, chain, pairwise, repeat
from operator import add, le, sub
from typing import Any

from ..errors import TokenizerError
from .cache import Cache
from .cuts import Span

BLANK = "\u2581"
#: `normalizer_spec {add_dummy_prefix: false}`; a message that comes again in a serialized one is merged with the first.
_NO_BLANK = b"\x1a\x02\x18\x00"
_MANY = 64  # texts that are encoded faster at once, in a thread of the library
_SURROGATE = re.compile("[\ud800-\udfff]")


class SentencePieceFile:
    """A model file, opened by the library."""

    def __init__(self, data: bytes, name: str = "the file") -> None:
        import sentencepiece

        self.data = data
        self.processor = sentencepiece.SentencePieceProcessor()
        try:
            self.processor.LoadFromSerializedProto(data)
            if self.processor.get_piece_size() < 1:
                raise ValueError("it has no pieces")
        except (RuntimeError, ValueError, TypeError, OSError) as problem:
            raise TokenizerError(f"{name} is no SentencePiece model: {problem}"[:200]) from None
        numbers = range(self.processor.get_piece_size())
        self.pieces: list[str] = [self.processor.id_to_piece(number) for number in numbers]
        self.ids = {piece: number for number, piece in enumerate(self.pieces)}
        self.bytes = {number for number in numbers if self.processor.is_byte(number)}
        self.unknown: int = self.processor.unk_id()

    def __reduce__(self) -> tuple[Any, ...]:
        return SentencePieceFile, (self.data,)

    @cached_property
    def bare(self) -> Any:
        """The library's processor without the blank that it puts in front of a text."""
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor()
        processor.LoadFromSerializedProto(self.data + _NO_BLANK)
        return processor

    def encode(self, text: str, what: type = int, blank: bool = True) -> Any:
        """Ids, or pieces (`str`); without `blank` no blank is put in front."""
        processor = self.processor if blank else self.bare
        try:
            return processor.encode(text, out_type=what)
        except (RuntimeError, TypeError, UnicodeError):  # lone surrogates
            return processor.encode(_SURROGATE.sub("\ufffd", text), out_type=what)

    def encode_all(self, texts: list[str], blank: bool = True) -> list[list[int]]:
        """The ids of each text."""
        processor = self.processor if blank else self.bare
        if len(texts) >= _MANY:
            try:
                return processor.encode(texts, num_threads=1)
            except (RuntimeError, TypeError, UnicodeError):  # lone surrogates in one of them
                pass
        return [self.encode(text, blank=blank) for text in texts]

    def normalize(self, text: str, blank: bool = True) -> tuple[str, Sequence[int]]:
        """The text that is cut, and the index in `text` of each of its characters and of its end."""
        processor = self.processor if blank else self.bare
        try:
            return processor.normalize(text, with_offsets=True)
        except (RuntimeError, TypeError, UnicodeError):
            return processor.normalize(_SURROGATE.sub("\ufffd", text), with_offsets=True)


class SentencePiece:
    """Ids of a whole text. Lone surrogates count as the replacement character.

    * `split_digit_commas`: a comma behind a digit is cut off, and what stands before it cut anew,
    * `later_blank`: the blank that the library puts in front of a text also goes in front of those that stand behind
      an added token.
    """

    def __init__(
        self, *, model: SentencePieceFile, split_digit_commas: bool = False, later_blank: bool = True
    ) -> None:
        self.model, self.split_digit_commas, self.later_blank = model, split_digit_commas, later_blank
        self._replaced = Cache(self._replacement)
        self._with_commas = frozenset(
            number for number, piece in enumerate(model.pieces)
            if split_digit_commas and len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()
        )

    def ids(self, text: str, first: bool = True) -> list[int]:
        """`first`: nothing stands before the text."""
        return self._without_commas(self.model.encode(text, blank=first or self.later_blank))

    def many_ids(self, texts: list[str], first: bool) -> list[list[int]]:
        """Of each text, faster than one by one."""
        found = self.model.encode_all(texts, first or self.later_blank)
        return list(map(self._without_commas, found)) if self._with_commas else found

    def _without_commas(self, found: list[int]) -> list[int]:
        if self._with_commas.isdisjoint(found):
            return found
        return list(chain.from_iterable(
            [part for part, _ in self._replaced[number]] if number in self._with_commas else (number,)
            for number in found
        ))

    def details(self, text: str, first: bool = True) -> tuple[list[int], list[Span], list[int]]:
        """Ids, the (start, end) of each in the text, and the number of its word: a word begins with a blank."""
        blank = first or self.later_blank
        pieces = self.model.encode(text, str, blank)
        normalized, origins = self.model.normalize(text, blank)
        found = list(map(self.model.ids.get, pieces, repeat(self.model.unknown)))
        if self.model.bytes.isdisjoint(found) and self._with_commas.isdisjoint(found):
            begins = [int(piece[0] == BLANK) for piece in pieces]
            spans = _spans(text, normalized, origins, list(accumulate(map(len, pieces), initial=0)))
            return found, spans, list(accumulate(begins[1:], initial=0)) if pieces else []
        ids: list[int] = []
        spans = []
        words: list[int] = []
        word = -1
        begin = held = 0  # a character that is written in bytes is `held` back until they are complete
        for number, piece in zip(found, pieces, strict=True):
            if number in self.model.bytes:
                last = begin + 1
                held += 1
                done = held == len(normalized[begin].encode())
            else:
                last, done = begin + len(piece), True
            word += piece[:1] == BLANK or word < 0
            for part, after in self._replaced[number] if number in self._with_commas else ((number, 0),):
                ids.append(part)
                words.append(word)
                end = max(begin + 1, last - after)
                spans.append(_span(text, normalized, origins, begin, end))
                begin = end if done else begin
            held = 0 if done else held
        return ids, spans, words

    def _replacement(self, number: int) -> tuple[tuple[int, int], ...]:
        """What stands for a piece that ends with a digit and a comma: ids, and how many characters follow each."""
        piece = self.model.pieces[number]
        parts = self.model.encode(piece[:-1].replace(BLANK, ""), str)
        if not piece.startswith(BLANK) and parts[0].startswith(BLANK):
            parts = parts[1:] if len(parts[0]) == 1 else [parts[0][1:], *parts[1:]]
        parts = [*parts, piece[-1]]
        return tuple(
            (self.model.processor.piece_to_id(part), sum(map(len, parts[index + 1:])))
            for index, part in enumerate(parts)
        )


def _spans(text: str, normalized: str, origins: Sequence[int], cuts: Sequence[int]) -> list[Span]:
    """Where the normalized characters between each two cuts come from."""
    starts = list(map(origins.__getitem__, cuts[:-1]))
    behind = map(origins.__getitem__, map(add, cuts[:-1], repeat(1)))
    ends = list(map(add, map(origins.__getitem__, map(sub, cuts[1:], repeat(1))), repeat(1)))
    if all(map(le, behind, map(add, starts, repeat(1)))) and max(ends, default=0) <= len(text):
        return list(zip(starts, ends, strict=True))
    return [_span(text, normalized, origins, first, last) for first, last in pairwise(cuts)]


def _span(text: str, normalized: str, origins: Sequence[int], first: int, last: int) -> Span:
    """Where the normalized characters [first, last) come from. Of several blanks that became one it is the last; one
    that was added stands for the character behind it."""
    start = origins[first]
    if normalized[first] == BLANK and ((behind := origins[first + 1]) > start or (first == 0 and behind > 0)):
        start = behind - 1
    end = start + 1 if last == first + 1 else origins[last - 1] + 1
    return start, min(end, len(text))


class SentencePieceDecoder:
    """Pieces to text by the library, special tokens as they stand.

    * `blanks`: a blank before special tokens, once for several,
    * `leading_blank`: the one that a text begins with stays,
    * `later_blank`: if not, all other white space stays as it is, also behind special tokens and at the end.
    """

    def __init__(
        self, *, model: SentencePieceFile, blanks: bool = False, leading_blank: bool = True, later_blank: bool = True
    ) -> None:
        self.model, self.blanks, self.leading_blank, self.later_blank = model, blanks, leading_blank, later_blank

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        if pieces and not self.leading_blank:
            pieces = [pieces[0].removeprefix(BLANK), *pieces[1:]]
        processor = self.model.processor if self.later_blank else self.model.bare
        parts: list[str] = []
        waiting: list[str] = []
        after_special = False
        for piece in pieces:
            if piece not in special:
                waiting.append(piece)
                after_special = False
                continue
            if self.blanks and not after_special:
                parts.append(" ")
            parts += [processor.decode(waiting), piece]
            waiting, after_special = [], True
        text = "".join([*parts, processor.decode(waiting)])
        return text.strip() if self.later_blank else text
