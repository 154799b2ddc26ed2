"""The pipeline for a normalizer that works on single characters, and words that end at white space.

A stretch of text between white spaces (a chunk) gives the same ids wherever it stands. Natural text repeats its
chunks, so most of the work is looking them up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, chain, repeat
from operator import add, itemgetter
from re import Match

from .cache import Cache
from .normalizer import BasicNormalizer
from .pipeline import LONGEST_WORD, Details, Model
from .pre_tokenizer import WhitespacePunctuation
from .unicode_tables import WHITE_SPACE

LONGEST_CHUNK = 32  # longer ones seldom come back
_WORD = re.compile(r"[^ ]+")
_PYTHON_SPACES = [chr(point) for point in range(0x3001) if chr(point).isspace()]


class ChunkPipeline:
    """Ids of a text, chunk by chunk. Normalizing a second time does no harm."""

    def __init__(self, normalizer: BasicNormalizer, pre_tokenizer: WhitespacePunctuation, model: Model) -> None:
        self.normalizer, self.pre_tokenizer, self.model = normalizer, pre_tokenizer, model
        self._table = Cache(self._spaced)
        self._cut = Cache(model.cut, longest=LONGEST_WORD)
        self._word_ids = Cache(model.ids, longest=LONGEST_WORD)
        self._chunk_ids = Cache(self._ids_of_chunk, longest=LONGEST_CHUNK)
        self._chunk_details = Cache(self._details_of_chunk, longest=LONGEST_CHUNK)
        separators = {space for space in _PYTHON_SPACES if space in WHITE_SPACE and self._spaced(ord(space)) == " "}
        self._chunk = re.compile(f"[^{re.escape(''.join(sorted(separators)))}]+")
        other = "".join(space for space in _PYTHON_SPACES if space not in separators)
        self._misleading = re.compile(f"[{re.escape(other)}]") if other else None  # where str.split would go wrong

    def ids(self, text: str, start: int = 0, normalized: bool = False) -> list[int]:
        return list(chain.from_iterable(map(self._chunk_ids.__getitem__, self._chunks(text))))

    def details(self, text: str, start: int = 0, origins: Sequence[int] | None = None) -> Details:
        found = list(self._chunk.finditer(text))
        known = list(map(self._chunk_details.__getitem__, map(Match.group, found)))
        counts = list(map(itemgetter(4), known))
        begins = list(map(Match.start, found))
        if start and origins is None:
            begins = [begin + start for begin in begins]
        bases = list(chain.from_iterable(map(repeat, begins, counts)))
        starts = map(add, bases, chain.from_iterable(map(itemgetter(1), known)))
        ends = map(add, bases, chain.from_iterable(map(itemgetter(2), known)))
        before = accumulate(map(itemgetter(5), known), initial=0)
        numbers = chain.from_iterable(map(itemgetter(3), known))
        words = map(add, chain.from_iterable(map(repeat, before, counts)), numbers)
        offsets = list(zip(starts, ends, strict=True))
        if origins is not None:
            offsets = [(origins[first], origins[last - 1] + 1) for first, last in offsets]
        return Details(list(chain.from_iterable(map(itemgetter(0), known))), offsets, list(words))

    def _chunks(self, text: str) -> list[str]:
        if self._misleading is not None and self._misleading.search(text):
            return self._chunk.findall(text)
        return text.split()

    def _spaced(self, point: int) -> str:
        """What a character becomes once words are set apart by blanks."""
        cut = self.pre_tokenizer
        return "".join(
            " " if cut.separates(part) else f" {part} " if cut.isolates(part) else part
            for part in self.normalizer.table[point]
        )

    def _ids_of_chunk(self, chunk: str) -> tuple[int, ...]:
        if self.normalizer.context is not None and self.normalizer.context.search(chunk):
            chunk = self.normalizer.normalize(chunk)
        words = filter(None, chunk.translate(self._table).split(" "))
        return tuple(chain.from_iterable(map(self._word_ids.__getitem__, words)))

    def _details_of_chunk(self, chunk: str) -> tuple[list[int], list[int], list[int], list[int], int, int]:
        """Ids, where each starts and ends, the number of its word; how many pieces and words there are."""
        text, origins = self._aligned(chunk)
        ids: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        words: list[int] = []
        count = 0
        for count, match in enumerate(_WORD.finditer(text), 1):
            base = match.start()
            pieces, spans = self._cut[match.group()]
            ids += pieces
            words += [count - 1] * len(pieces)
            for start, end in spans:
                starts.append(origins[base + start])
                ends.append(origins[base + end - 1] + 1)
        return ids, starts, ends, words, len(ids), count

    def _aligned(self, chunk: str) -> tuple[str, Sequence[int]]:
        """Words set apart by blanks, and the index in `chunk` of each character."""
        if chunk.isascii() and chunk.isalnum():
            return chunk.translate(self._table), range(len(chunk))
        text, origins = self.normalizer.align(chunk)
        parts = [self._table[ord(character)] for character in text]
        return "".join(parts), [
            origin for part, origin in zip(parts, origins, strict=True) for _ in part
        ]
