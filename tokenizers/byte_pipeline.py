"""The pipeline for words that lie one behind the other and pieces that are bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain, repeat
from operator import add

from .byte_alphabet import ALPHABET, begins_inside, characters_begun
from .byte_level import ByteLevelWords
from .cuts import Details
from .pipeline import Normalizer, WordPipeline, aligned
from .words import Model

_BLANK = ALPHABET[ord(" ")]


class BytePipeline(WordPipeline):
    """Offsets come from the ids: each piece begins where the one before it ends, and how many characters begin in it is
    known of each."""

    def __init__(
        self, normalizer: Normalizer, pre_tokenizer: ByteLevelWords, model: Model, pieces: Mapping[int, str]
    ) -> None:
        super().__init__(normalizer, pre_tokenizer, model)
        self._pieces = pieces

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        if origins is None and not self._plain:
            text, origins = aligned(self.normalizer, text, start)
        if origins is not None and not isinstance(origins, range):
            return super().details(text, start, origins)
        begin = start if origins is None else origins.start
        words = self.pre_tokenizer.split(text, start == 0)
        found = self._words.ids.of(words)
        ids = list(chain.from_iterable(found))
        size_of, shifts, rests = self._measures
        added = int(bool(words) and words[0][0] != text[0])
        ends = list(accumulate(map(size_of, ids), initial=begin - added))
        starts = ends if shifts.keys().isdisjoint(ids) else map(add, ends, map(shifts.get, ids, repeat(0)))
        lasts = ends[1:]
        if rests:
            lasts = [end - rests.get(number, 0) for end, number in zip(lasts, ids, strict=True)]
        result = Details(ids, list(zip(starts, lasts, strict=False)), map(len, found))
        if added or (words and start == 0 and self.trim is not None and text[0] == " "):
            first = self._first(words[0], -added, begin)
            result.offsets[:len(first)] = first
        return result

    @cached_property
    def _measures(self) -> tuple[Callable[[int], int], Mapping[int, int], Mapping[int, int]]:
        """By id, how many characters begin in a piece; how far behind the end of the last one it begins, and how far
        before its own end it ends, where that is not zero. A piece of a part of a character has all of it."""
        pieces = self._pieces
        sizes = dict(zip(pieces, map(len, pieces.values()), strict=True))
        shifts: dict[int, int] = {}
        rests: dict[int, int] = {}
        for number, piece in pieces.items():
            if not piece.removeprefix(_BLANK).isascii():  # else a byte is a character
                sizes[number] = characters_begun(piece)
                if begins_inside(piece):
                    shifts[number] = -1
        if self.trim is not None:
            for number, piece in pieces.items():
                if piece[0] == _BLANK:
                    shifts[number] = len(piece) - len(piece.lstrip(_BLANK))
                elif piece[-1] == _BLANK:
                    rests[number] = len(piece) - len(piece.rstrip(_BLANK))
        return sizes.__getitem__, shifts, rests
