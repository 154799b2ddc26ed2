"""One text on its way to ids: added tokens are found first, the pipeline does what lies between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, islice

from .added_tokens import AddedVocabulary, lower_one_by_one
from .cuts import Details, Span, joined_details, placed
from .pipeline import Pipeline, aligned

Source = str | Sequence[str]  # a text, or its words


class TextEncoder:
    """Text, or a list of words, to ids or `Details`.

    Offsets of a list of words count within each word, and its word numbers are positions in the list. `lowercase`:
    before anything else, so that added tokens are found in lower case, too.
    """

    def __init__(self, pipeline: Pipeline, added: AddedVocabulary, lowercase: bool = False) -> None:
        self.pipeline, self.added, self.lowercase = pipeline, added, lowercase
        trim = getattr(pipeline, "trim", None)
        self._trim = trim.piece if trim else _as_it_is

    def ids(self, source: Source) -> list[int]:
        if not isinstance(source, str):
            return [number for word in source for number in self.ids(word)]
        if self.lowercase:
            source = self.added.lowered(source)
        if not self.added.occur(source):
            return self._plain_ids(source, 0)
        ids: list[int] = []
        for start, end, token in self.added.split(source, normalized=False):
            if token is None:
                ids += self._plain_ids(source[start:end], start)
            else:
                ids.append(token)
        return ids

    def many_ids(self, sources: Sequence[Source]) -> list[list[int]]:
        """Of each source; plain stretches of all of them at once, where that is faster."""
        many = getattr(self.pipeline, "many_ids", None)
        if many is None or self.lowercase or self.added.searches(normalized=True):
            return list(map(self.ids, sources))
        texts = [text for source in sources for text in ((source,) if isinstance(source, str) else source)]
        cut = list(map(self.added.apart, texts))
        found = many([parts[0] for parts, _ in cut], True)
        later = iter(many([part for parts, _ in cut for part in parts[1:]], False))
        for ids, (_, numbers) in zip(found, cut, strict=True):
            for number, behind in zip(numbers, later, strict=False):
                ids.append(number)
                ids += behind
        if len(texts) == len(sources) and all(isinstance(source, str) for source in sources):
            return found
        each = iter(found)
        return [
            next(each) if isinstance(source, str) else list(chain.from_iterable(islice(each, len(source))))
            for source in sources
        ]

    def details(self, source: Source) -> Details:
        if isinstance(source, str):
            return self._text_details(source)
        parts = list(map(self._text_details, source))
        return joined_details([Details(part.ids, part.offsets, [len(part.ids)]) for part in parts])

    def _plain_ids(self, text: str, base: int) -> list[int]:
        if not self.added.searches(normalized=True):
            return self.pipeline.ids(text, base)
        text = self.pipeline.normalizer.normalize(text)
        ids: list[int] = []
        for start, end, token in self.added.split(text, normalized=True):
            if token is None:
                ids += self.pipeline.ids(text[start:end], base + start, normalized=True)
            else:
                ids.append(token)
        return ids

    def _text_details(self, source: str) -> Details:
        if not self.lowercase or (lowered := self.added.lowered(source)) == source:
            return self._found_details(source)
        found = self._found_details(lowered)
        if len(lowered) > len(source):
            origins = [i for i, c in enumerate(source) for _ in lower_one_by_one(c)]
            found = placed(found, origins)
        return found

    def _found_details(self, source: str) -> Details:
        if not self.added.occur(source) and not self.added.searches(normalized=True):
            return self.pipeline.details(source)
        parts: list[Details] = []
        for start, end, token in self.added.split(source, normalized=False):
            if token is not None:
                parts.append(Details([token], [self._trim(source[start:end], (start, end))], [1]))
            elif self.added.searches(normalized=True):
                parts += self._normalized_details(source[start:end], start)
            else:
                parts.append(self.pipeline.details(source[start:end], start))
        return joined_details(parts)

    def _normalized_details(self, source: str, base: int) -> Iterator[Details]:
        text, origins = aligned(self.pipeline.normalizer, source, base)
        for start, end, token in self.added.split(text, normalized=True):
            if token is not None:
                span = self._trim(text[start:end], (origins[start], origins[end - 1] + 1))
                yield Details([token], [span], [1])
            else:
                yield self.pipeline.details(text[start:end], base + start, origins[start:end])


class EncodedSequence:
    """One source with its ids, or its details, which are else worked out when somebody asks where the ids came from.
    """

    def __init__(self, encoder: TextEncoder, source: Source, found: list[int] | Details) -> None:
        self._encoder, self._source = encoder, source
        if isinstance(found, Details):
            self.details = found
        self.ids = found.ids if isinstance(found, Details) else found

    @cached_property
    def details(self) -> Details:
        return self._encoder.details(self._source)


def _as_it_is(text: str, span: Span) -> Span:
    return span
