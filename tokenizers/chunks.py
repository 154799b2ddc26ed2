"""The pipeline for a normalizer that works on single characters, and words that end at white space.

A stretch of text between blanks (a chunk) gives the same ids wherever it stands. Natural text repeats its chunks, so
most of the work is looking them up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, chain, islice, repeat

from .cache import Cache
from .cuts import NO_CUT, Cut, Details, behind_blank, cut_of, gathered_behind_blanks, joined, moved, placed
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
        self._table = Cache(self._replacement)
        self._by_row = getattr(model, "row", None) is not None
        ids_of_each, cut_each = (self._ids_of_words, self._cut_each_word) if self._by_row else (None, None)
        self._word_ids = Cache(model.ids, longest=LONGEST_WORD, compute_all=ids_of_each)
        self._word_cuts = Cache(self._cut_word, longest=LONGEST_WORD, compute_all=cut_each)
        self._chunk_ids = Cache(self._ids_of_chunk, longest=LONGEST_CHUNK, compute_all=self._ids_of_each)
        self._chunk_cuts = Cache(self._cut_chunk, longest=LONGEST_CHUNK, compute_all=self._cut_each)
        # Whether what Python takes for white space separates words or is gone.
        self._split = str.split if not any(self._spaced(ord(c)).strip(" ") for c in _PYTHON_SPACES) else _WORD.findall
        # What separates words as a blank does, so that no chunk has it; a line feed separates chunks instead.
        self._blanks = [c for c in _PYTHON_SPACES if c != " " and self._spaced(ord(c)) == " "]
        self._uneven.discard("\n")

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        return list(chain.from_iterable(self._chunk_ids.of(self._chunks(text))))

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        begin = start if origins is None else 0
        found = gathered_behind_blanks(self._chunk_cuts.of(self._chunks(text)), begin, begin + len(text))
        return found if origins is None else placed(found, origins)

    def _chunks(self, text: str) -> list[str]:
        for character in self._blanks:
            text = text.replace(character, " ")
        return text.split(" ")

    def _replacement(self, point: int) -> str:
        return "\n" if point == ord("\n") else self._spaced(point)

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
        if self._depends(lines := "\n".join(chunks)):
            lines = "\n".join(self.normalizer.normalize(chunk) if self._depends(chunk) else chunk for chunk in chunks)
        words = list(map(self._split, lines.translate(self._table).split("\n")))
        ids = iter(self._word_ids.of(list(chain.from_iterable(words))))
        return [tuple(chain.from_iterable(islice(ids, size))) for size in map(len, words)]

    def _ids_of_words(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        return self.model.row(words).ids_of(repeat(1, len(words)))

    def _depends(self, text: str) -> bool:
        """Whether what a character becomes depends on its neighbours."""
        return self.normalizer.context is not None and self.normalizer.context.search(text) is not None

    def _cut_word(self, word: str) -> Cut:
        ids, spans = self.model.cut(word)
        return cut_of(ids, list(chain.from_iterable(spans)), (len(ids),))

    def _cut_each_word(self, words: Sequence[str]) -> list[Cut]:
        return self.model.row(words).cuts_of([1] * len(words))

    def _cut_chunk(self, chunk: str) -> Cut:
        return self._cut_each([chunk])[0]

    def _cut_each(self, chunks: Sequence[str]) -> list[Cut]:
        """Of chunks with a blank before each."""
        text = "\n".join(chunks)
        lines = text.translate(self._table).split("\n")
        moving = [place for place, chunk in enumerate(chunks) if self._moves(chunk)] if self._moves(text) else []
        for place in moving:
            lines[place] = ""
        words = list(map(self._split, lines))
        found = (
            self.model.row(list(chain.from_iterable(words))).cuts_of(list(map(len, words)), before=1) if self._by_row
            else [behind_blank(self._cut_words(each), len(chunk)) for each, chunk in zip(words, chunks, strict=True)]
        )
        for place, cut in zip(moving, self._cut_moving([chunks[place] for place in moving]), strict=True):
            found[place] = behind_blank(cut, len(chunks[place]))
        if "" in chunks:
            found[chunks.index("")] = behind_blank(NO_CUT, 0)
        return found

    def _moves(self, text: str) -> bool:
        """Whether what a text becomes is not one character for each, in this order. (The table must have seen it.)"""
        return not self._uneven.isdisjoint(text) or self._depends(text)

    def _cut_words(self, words: Sequence[str]) -> Cut:
        """Of words that stand one behind the other."""
        cuts = list(map(self._word_cuts.__getitem__, words))
        return cuts[0] if len(cuts) == 1 else joined(cuts, accumulate(map(len, words), initial=0))

    def _cut_moving(self, chunks: Sequence[str]) -> list[Cut]:
        """Of chunks whose characters may change places, and become none or several."""
        aligned = [
            self.normalizer.align(chunk) if self._depends(chunk) else (chunk, range(len(chunk))) for chunk in chunks
        ]
        parts = [list(map(self._table.__getitem__, map(ord, text))) for text, _ in aligned]
        words = [list(_WORD.finditer("".join(each))) for each in parts]
        cuts = iter(self._word_cuts.of([word.group() for each in words for word in each]))
        return [
            moved(
                joined(list(islice(cuts, len(each))), [word.start() for word in each]),
                [origin for part, origin in zip(made, origins, strict=True) for _ in part],
            )
            for each, made, (_, origins) in zip(words, parts, aligned, strict=True)
        ]
