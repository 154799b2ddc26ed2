"""The pipeline for a normalizer that works on single characters, and words that end at white space.

A stretch of text between blanks (a chunk) gives the same ids wherever it stands. Natural text repeats its chunks, so
most of the work is looking them up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, chain, islice, repeat
from operator import add

from .cache import Cache
from .cuts import Cut, Details, cut_of, gathered, joined, moved
from .normalizer import BasicNormalizer
from .pipeline import LONGEST_WORD, Model
from .pre_tokenizer import WhitespacePunctuation

LONGEST_CHUNK = 32  # longer ones seldom come back
_WORD = re.compile(r"[^ ]+")
_PYTHON_SPACES = [chr(point) for point in range(0x3001) if chr(point).isspace()]


class ChunkPipeline:
    """Ids of a text, chunk by chunk. Normalizing a second time does no harm."""

    def __init__(self, normalizer: BasicNormalizer, pre_tokenizer: WhitespacePunctuation, model: Model) -> None:
        self.normalizer, self.pre_tokenizer, self.model = normalizer, pre_tokenizer, model
        self._uneven: set[str] = set()  # characters seen that become none, or more than one, or separate words
        self._table = Cache(self._spaced)
        self._word_ids = Cache(model.ids, longest=LONGEST_WORD, compute_all=getattr(model, "ids_of_each", None))
        self._word_cuts = Cache(self._cut_word, longest=LONGEST_WORD, compute_all=getattr(model, "cut_each", None))
        self._chunk_ids = Cache(self._ids_of_chunk, longest=LONGEST_CHUNK, compute_all=self._ids_of_each)
        self._chunk_cuts = Cache(self._cut_chunk, longest=LONGEST_CHUNK, compute_all=self._cut_each)
        # Whether what Python takes for white space separates words or is gone.
        self._split = str.split if not any(self._spaced(ord(c)).strip(" ") for c in _PYTHON_SPACES) else _WORD.findall
        # What separates words as a blank does.
        self._blanks = [c for c in _PYTHON_SPACES if c != " " and self._spaced(ord(c)) == " "]

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        return list(chain.from_iterable(self._chunk_ids.of(self._chunks(text))))

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        chunks = self._chunks(text)
        begins = accumulate(map(add, map(len, chunks), repeat(1)), initial=start if origins is None else 0)
        cuts = self._chunk_cuts.of(chunks)
        return gathered(cuts, begins) if origins is None else gathered([moved(joined(cuts, begins), origins)], [0])

    def _chunks(self, text: str) -> list[str]:
        for character in self._blanks:
            text = text.replace(character, " ")
        return text.split(" ")

    def _spaced(self, point: int) -> str:
        """What a character becomes once words are set apart by blanks."""
        cut = self.pre_tokenizer
        spaced = "".join(
            " " if cut.separates(part) else f" {part} " if cut.isolates(part) else part
            for part in self.normalizer.table[point]
        )
        if len(spaced.replace(" ", "")) != 1:
            self._uneven.add(chr(point))
        return spaced

    def _ids_of_chunk(self, chunk: str) -> tuple[int, ...]:
        return self._ids_of_each([chunk])[0]

    def _ids_of_each(self, chunks: Sequence[str]) -> list[tuple[int, ...]]:
        words = list(map(self._words, chunks))
        ids = iter(self._word_ids.of(list(chain.from_iterable(words))))
        return [tuple(chain.from_iterable(islice(ids, size))) for size in map(len, words)]

    def _words(self, chunk: str) -> list[str]:
        if self.normalizer.context is not None and self.normalizer.context.search(chunk):
            chunk = self.normalizer.normalize(chunk)
        return self._split(chunk.translate(self._table))

    def _cut_word(self, word: str) -> Cut:
        ids, spans = self.model.cut(word)
        return cut_of(ids, spans, (len(ids),))

    def _cut_chunk(self, chunk: str) -> Cut:
        return self._cut_each([chunk])[0]

    def _cut_each(self, chunks: Sequence[str]) -> list[Cut]:
        words = list(map(self._words_in_place, chunks))
        cuts = iter(self._word_cuts.of([word for each in words if each is not None for word in each]))
        found: list[Cut] = []
        for chunk, each in zip(chunks, words, strict=True):
            if each is None:
                found.append(self._cut_aligned(chunk))
            elif len(each) == 1:
                found.append(next(cuts))
            else:
                found.append(joined(list(islice(cuts, len(each))), accumulate(map(len, each), initial=0)))
        return found

    def _words_in_place(self, chunk: str) -> list[str] | None:
        """The words of a chunk, one behind the other; None if characters have moved or are gone."""
        if self.normalizer.context is not None and self.normalizer.context.search(chunk):
            return None
        words = self._split(chunk.translate(self._table))
        return words if self._uneven.isdisjoint(chunk) else None

    def _cut_aligned(self, chunk: str) -> Cut:
        text, origins = chunk, range(len(chunk))
        if self.normalizer.context is not None and self.normalizer.context.search(chunk):
            text, origins = self.normalizer.align(chunk)
        parts = list(map(self._table.__getitem__, map(ord, text)))
        found = list(_WORD.finditer("".join(parts)))
        cuts = self._word_cuts.of([match.group() for match in found])
        places = [origin for part, origin in zip(parts, origins, strict=True) for _ in part]
        return moved(joined(cuts, [match.start() for match in found]), places)
