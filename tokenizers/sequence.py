"""One text on its way to ids: added tokens are found first, the pipeline does what lies between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from .added_tokens import AddedVocabulary
from .pipeline import Details, WordPipeline

Source = str | Sequence[str]  # a text, or its words


class TextEncoder:
    """Text, or a list of words, to ids or `Details`.

    Offsets of a list of words count within each word, and its word numbers are positions in the list.
    """

    def __init__(self, pipeline: WordPipeline, added: AddedVocabulary) -> None:
        self.pipeline, self.added = pipeline, added

    def ids(self, source: Source) -> list[int]:
        if not isinstance(source, str):
            return [number for word in source for number in self.ids(word)]
        if not self.added.searches(normalized=False):
            return self._plain_ids(source)
        ids: list[int] = []
        for start, end, token in self.added.split(source, normalized=False):
            if token is None:
                ids += self._plain_ids(source[start:end])
            else:
                ids.append(token)
        return ids

    def details(self, source: Source) -> Details:
        result = Details([], [], [])
        if isinstance(source, str):
            self._text_details(source, result)
        else:
            for position, word in enumerate(source):
                part = Details([], [], [])
                self._text_details(word, part)
                _extend(result, part.ids, part.offsets, [position] * len(part.ids))
        return result

    def _plain_ids(self, text: str) -> list[int]:
        if not self.added.searches(normalized=True):
            return self.pipeline.ids(text)
        text = self.pipeline.normalizer.normalize(text)
        ids: list[int] = []
        for start, end, token in self.added.split(text, normalized=True):
            if token is None:
                ids += self.pipeline.ids(text[start:end])
            else:
                ids.append(token)
        return ids

    def _text_details(self, source: str, result: Details) -> None:
        for start, end, token in self.added.split(source, normalized=False):
            if token is not None:
                _extend(result, [token], [(start, end)], [_next_word(result)])
            elif self.added.searches(normalized=True):
                self._normalized_details(source[start:end], start, result)
            else:
                part = self.pipeline.details(source[start:end])
                first = _next_word(result)
                offsets = [(a + start, b + start) for a, b in part.offsets] if start else part.offsets
                _extend(result, part.ids, offsets, [word + first for word in part.words] if first else part.words)

    def _normalized_details(self, source: str, base: int, result: Details) -> None:
        text, origins = self.pipeline.normalizer.align(source)
        for start, end, token in self.added.split(text, normalized=True):
            if token is not None:
                offset = (base + origins[start], base + origins[end - 1] + 1)
                _extend(result, [token], [offset], [_next_word(result)])
            else:
                part = self.pipeline.details(text[start:end])
                first = _next_word(result)
                offsets = [(base + origins[start + a], base + origins[start + b - 1] + 1) for a, b in part.offsets]
                _extend(result, part.ids, offsets, [word + first for word in part.words])


class EncodedSequence:
    """The ids of one source; where they came from is worked out when somebody asks."""

    def __init__(self, encoder: TextEncoder, source: Source, detailed: bool = False) -> None:
        self._encoder, self._source = encoder, source
        self.ids = self.details.ids if detailed else encoder.ids(source)

    @cached_property
    def details(self) -> Details:
        return self._encoder.details(self._source)


def _extend(result: Details, ids: list[int], offsets: list[tuple[int, int]], words: list[int]) -> None:
    result.ids.extend(ids)
    result.offsets.extend(offsets)
    result.words.extend(words)


def _next_word(result: Details) -> int:
    return result.words[-1] + 1 if result.words else 0
