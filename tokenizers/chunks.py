"""The pipeline for a normalizer that works on single characters, and words that end at white space.

A stretch of text between blanks (a chunk) gives the same ids wherever it stands. Natural text repeats its chunks, so
most of the work is looking them up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, count, islice, repeat

from .cache import BatchCache, Cache
from .cuts import Cut, Details, cuts_behind_blanks, gathered_behind_blanks, placed
from .normalizer import BasicNormalizer
from .pre_tokenizer import WhitespacePunctuation
from .words import Model, Words

LONGEST_CHUNK = 32  # longer ones seldom come back
_MOVES = "\ud800"  # may also stand in a text, which then goes the slower way
_NO_LETTERS = {ord(" "): None, ord("\n"): None}
_WORD = re.compile(r"[^ ]+")
_PYTHON_SPACES = [chr(point) for point in range(0x3001) if chr(point).isspace()]


class ChunkPipeline:
    """Ids of a text, chunk by chunk. Normalizing a second time does no harm."""

    def __init__(self, normalizer: BasicNormalizer, pre_tokenizer: WhitespacePunctuation, model: Model) -> None:
        self.normalizer, self.pre_tokenizer, self.model = normalizer, pre_tokenizer, model
        self._table = Cache(self._replacement)
        self._letters = Cache(self._count_letters)
        self._marked = Cache(self._with_mark)
        self._by_row = getattr(model, "row", None) is not None
        self._words = Words(model)
        self._chunk_ids = BatchCache(self._ids_of_each, longest=LONGEST_CHUNK)
        self._chunk_cuts = BatchCache(self._cut_each, longest=LONGEST_CHUNK)
        # Whether what Python takes for white space separates words or is gone.
        self._split = str.split if not any(self._spaced(ord(c)).strip(" ") for c in _PYTHON_SPACES) else _WORD.findall
        # What separates words as a blank does, so that no chunk has it; a line feed separates chunks instead.
        self._blanks = [c for c in _PYTHON_SPACES if c != " " and self._spaced(ord(c)) == " "]

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        return list(chain.from_iterable(self._chunk_ids.of(self._chunks(text))))

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        begin = start if origins is None else 0
        found = gathered_behind_blanks(self._chunk_cuts.of(self._chunks(text)), begin)
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
        return "".join(
            " " if cut.separates(part) else f" {part} " if cut.isolates(part) else part
            for part in self.normalizer.table[point]
        )

    def _count_letters(self, point: int) -> int:
        """How many characters of words a character becomes."""
        return len(self._table[point].translate(_NO_LETTERS))

    def _with_mark(self, point: int) -> str:
        """With a mark where what a text becomes is not one character for each, in this order."""
        even = point == ord("\n") or (self._letters[point] == 1 and not self._depends(chr(point)))
        return self._table[point] if even else _MOVES

    def _ids_of_each(self, chunks: Sequence[str]) -> list[tuple[int, ...]]:
        if self._depends(lines := "\n".join(chunks)):
            lines = "\n".join(self.normalizer.normalize(chunk) if self._depends(chunk) else chunk for chunk in chunks)
        words = list(map(self._split, lines.translate(self._table).split("\n")))
        flat = list(chain.from_iterable(words))
        if self._by_row and len(flat) < 4 * len(chunks):  # so few, and most of them new, that looking up costs more
            return self.model.row(flat).ids_of(map(len, words))
        ids = iter(self._words.ids.of(flat))
        return [tuple(chain.from_iterable(islice(ids, size))) for size in map(len, words)]

    def _depends(self, text: str) -> bool:
        """Whether what a character becomes depends on its neighbours."""
        return self.normalizer.context is not None and self.normalizer.context.search(text) is not None

    def _cut_each(self, chunks: Sequence[str]) -> list[Cut]:
        """Of chunks with a blank before each. Most have a character for a character, so that sizes of pieces say all;
        those take 0.6 of the time."""
        if not self._by_row:
            return self._cut_moving(chunks)
        lines = "\n".join(chunks).translate(self._marked).split("\n")
        moving = [place for place, line in enumerate(lines) if not line or _MOVES in line]
        for place in moving:
            lines[place] = ""
        words = list(map(self._split, lines))
        found = self.model.row(list(chain.from_iterable(words))).cuts_of(list(map(len, words)), before=1)
        if moving:
            for place, cut in zip(moving, self._cut_moving([chunks[place] for place in moving]), strict=True):
                found[place] = cut
        return found

    def _cut_moving(self, chunks: Sequence[str]) -> list[Cut]:
        """Of any chunks, also those whose characters change places, or become none or several."""
        text = "\n".join(chunks)
        places: Iterable[int] = count()  # where the characters of the text come from
        if self._depends(text):
            aligned = [
                self.normalizer.align(chunk) if self._depends(chunk) else (chunk, range(len(chunk))) for chunk in chunks
            ]
            text = "\n".join(part for part, _ in aligned)
            begins = accumulate((len(chunk) + 1 for chunk in chunks), initial=0)
            places = [
                begin + place for (_, origins), begin in zip(aligned, begins, strict=False) for place in (*origins, 0)
            ]
        words = list(map(self._split, text.translate(self._table).split("\n")))
        origins = list(chain.from_iterable(map(repeat, places, map(self._letters.__getitem__, map(ord, text)))))
        row = list(chain.from_iterable(words))
        begins = accumulate(map(len, row), initial=0)
        return cuts_behind_blanks(self._words.cuts.of(row), begins, map(len, words), origins, map(len, chunks))
