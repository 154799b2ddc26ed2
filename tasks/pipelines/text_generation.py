"""Texts that go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...assembler.model import Model
from ...errors import UsageError
from ...tokenizers import Tokenizer
from .batching import Batch, Row, Runner
from .generating import Generating, GeneratingOptions, over, padding_of


@dataclass(frozen=True, kw_only=True)
class TextGenerationOptions(GeneratingOptions):
    return_full_text: bool = True  # whether the prompt stands before what was written
    handle_long_generation: str | None = None  # `hole`: of a prompt that leaves no room its end is kept


class TextGeneration(Generating):
    """A text to a list of `{"generated_text"}`, or of `{"generated_token_ids"}` with `return_tensors`."""

    options_class = TextGenerationOptions
    usual: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}

    def make_runner(self, model: Model, tokenizer: Tokenizer) -> Runner:
        return Runner(model, tokenizer, left=True, padding_id=padding_of(tokenizer, model))

    def prepared(self, options: TextGenerationOptions) -> TextGenerationOptions:
        if options.handle_long_generation not in (None, "hole"):
            raise UsageError(f"handle_long_generation={options.handle_long_generation!r} is not known", help='"hole"')
        return options

    def rows(self, items: list[str], first: int, options: TextGenerationOptions) -> list[list[Row]]:
        prefix = options.prefix if options.prefix is not None else self.model.kept_config.get("prefix") or ""
        texts = [prefix + item for item in items]
        room = self._room(options)
        encoding = self.tokenizer(texts, truncation=False) if room else self.encoded(
            texts, first, truncation=options.truncation, empty=True
        )  # fmt: skip
        rows = []
        for index, text in enumerate(texts):
            row = self.made(encoding, index)
            if room:
                row.inputs = {name: values[-room:] for name, values in row.inputs.items()}
            row.about = row.inputs["input_ids"]
            if not text and not len(row):
                row = Row({"input_ids": [self._begin(first + index)]}, [])
            rows.append([row])
        return rows

    def run(self, batch: Batch, options: TextGenerationOptions) -> list[Any]:
        return list(self.generated(batch, options, **batch.inputs))

    def result(
        self, item: str, rows: list[Row], kept: list[Any], options: TextGenerationOptions
    ) -> list[dict[str, Any]]:
        if options.return_tensors:
            return [{"generated_token_ids": ids} for ids in kept[0]]
        known = len(self.decoded(rows[0].about, options, clean=True))
        before = item if options.return_full_text else ""
        return [{"generated_text": before + self.decoded(ids, options, clean=True)[known:]} for ids in kept[0]]

    def _begin(self, number: int) -> int:
        """What an empty text begins with."""
        begin = self.model.generation_config.to_dict().get("bos_token_id", self.tokenizer.bos_token_id)
        if begin is None:
            raise UsageError(f"input {number} is empty, and the model has no token that begins a text")
        return begin

    def _room(self, options: TextGenerationOptions) -> int | None:
        """Tokens of a prompt that leave room for what is to be written, if it is to be cut."""
        limit = self.model.longest_text
        if options.handle_long_generation is None or limit is None:
            return None
        said = over(over(self.usual, self.model.generation_config.to_dict()), options.generate)
        room = limit - said["max_new_tokens"] if "max_new_tokens" in said else limit - said["max_length"]
        if room < 1:
            raise UsageError(f"{limit} positions leave no room for a prompt", help="a smaller max_new_tokens")
        return room
