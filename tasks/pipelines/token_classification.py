"""The words of texts to classes: names, places, parts of speech."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from ...errors import UsageError
from .base import Pipeline, kind
from .batching import Batch, Row
from .entities import STRATEGIES, Entity, Token, entities, without_overlap
from .options import one_of, whole


@dataclass(frozen=True, kw_only=True)
class TokenClassificationOptions:
    aggregation_strategy: str = "none"
    ignore_labels: list[str] = field(default_factory=lambda: ["O"])
    stride: int | None = None  # long texts in windows that share so many tokens; None: what is too much is left out
    is_split_into_words: bool = False
    delimiter: str = " "  # what stood between words that come split
    grouped_entities: bool | None = None  # how `simple`, and
    ignore_subwords: bool | None = None  # `first` with it, were asked for before
    truncation: bool | str = True
    max_length: int | None = None


class TokenClassification(Pipeline):
    """A text to a list of `{"entity", "score", "index", "word", "start", "end"}`, or when aggregated of
    `{"entity_group", "score", "word", "start", "end"}`; `start` and `end` are characters of the text."""

    options_class = TokenClassificationOptions

    def __call__(self, inputs: Any, **options: Any) -> Any:
        split = options.get("is_split_into_words", self.defaults.is_split_into_words)
        if split and isinstance(inputs, list | tuple) and inputs and all(isinstance(word, str) for word in inputs):
            return super().__call__([inputs], **options)
        return super().__call__(inputs, **options)

    def prepared(self, options: TokenClassificationOptions) -> TokenClassificationOptions:
        if options.grouped_entities is not None or options.ignore_subwords is not None:
            strategy = ("first" if options.ignore_subwords else "simple") if options.grouped_entities else "none"
            options = replace(
                options, aggregation_strategy=strategy, grouped_entities=None, ignore_subwords=None
            )
        one_of("aggregation_strategy", options.aggregation_strategy, STRATEGIES)
        if options.stride is not None:
            whole("stride", options.stride, 0)
            if options.aggregation_strategy == "none":
                raise UsageError(
                    "stride is for windows of a long text, which are joined by entities",
                    help='aggregation_strategy="simple", for instance',
                )
        return options

    def check_input(self, item: Any, place: str) -> None:
        if isinstance(item, list | tuple):
            odd = next((word for word in item if not isinstance(word, str)), None)
            if odd is not None:
                raise UsageError(f"{place} has {kind(odd)} among its words")
        else:
            super().check_input(item, place)

    def rows(self, items: list[Any], first: int, options: TokenClassificationOptions) -> list[list[Row]]:
        for number, item in enumerate(items, start=first):
            if isinstance(item, str) == options.is_split_into_words:
                raise UsageError(
                    f"input {number} is {'a text' if isinstance(item, str) else 'a list of words'}",
                    help="is_split_into_words=True is for lists of words, and only for them",
                )
        encoding = self.encoded(
            items, first, truncation=options.truncation, max_length=options.max_length, stride=options.stride or 0,
            return_overflowing_tokens=options.stride is not None, return_offsets_mapping=True,
            return_special_tokens_mask=True, is_split_into_words=options.is_split_into_words, empty=True,
        )  # fmt: skip
        rows: list[list[Row]] = [[] for _ in items]
        for index, owner in enumerate(encoding.get("overflow_to_sample_mapping", range(len(items)))):
            words = encoding.word_ids(index) if options.is_split_into_words else None
            about = encoding["offset_mapping"][index], encoding["special_tokens_mask"][index], words
            if row := self.made(encoding, index, about):  # nothing is no entity
                rows[owner].append(row)
        return rows

    def run(self, batch: Batch, options: TokenClassificationOptions) -> list[Any]:
        scores = self.output(self.forward(batch), "logits").float().softmax(dim=-1)
        return [scores[index, span].tolist() for index, span in enumerate(batch.spans)]

    def result(
        self, item: Any, rows: list[Row], kept: list[Any], options: TokenClassificationOptions
    ) -> list[Entity]:
        starts: list[int] = []
        text = item
        if options.is_split_into_words:
            text = options.delimiter.join(item)
            starts = [0, *accumulate(len(word) + len(options.delimiter) for word in item[:-1])]
        found: list[Entity] = []
        for row, scores in zip(rows, kept, strict=True):
            tokens = self._tokens(row, scores, text, starts)
            found += [
                entity
                for entity in entities(tokens, self.labels(), options.aggregation_strategy, self._join)
                if entity.get("entity", entity.get("entity_group")) not in options.ignore_labels
            ]
        return without_overlap(found) if len(rows) > 1 else found

    def _tokens(self, row: Row, scores: Any, text: str, starts: list[int]) -> list[Token]:
        """`starts`: where in the text each word begins, if it came in words."""
        offsets, special, words = row.about
        ids = row.inputs["input_ids"]
        tokens = []
        prefix = self.tokenizer.continuing_prefix
        for index, (start, end) in enumerate(offsets):
            if special[index]:
                continue
            if starts and words[index] is not None:
                start, end = start + starts[words[index]], end + starts[words[index]]
            word = self.tokenizer.convert_ids_to_tokens(ids[index])
            if prefix:
                goes_on = word.startswith(prefix) and word != text[start:end]
            else:  # the pieces do not tell; then what no blank separates is one word, punctuation too
                goes_on = start > 0 and " " not in text[start - 1 : start + 1]
            if ids[index] == self.tokenizer.unk_token_id:
                word, goes_on = text[start:end], False
            tokens.append(Token(index, word, start, end, scores[index], goes_on))
        return tokens

    def _join(self, words: list[str]) -> str:
        return self.tokenizer.convert_tokens_to_string(words)
