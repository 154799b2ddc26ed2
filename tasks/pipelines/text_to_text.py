"""A text for a text, by models with an encoder: summaries, translations, whatever they were trained for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ...errors import UsageError, did_you_mean
from .batching import Batch, Row
from .generating import Generating, GeneratingOptions


class TextToText(Generating):
    """A text to a list of `{"generated_text"}`; a list of texts to a list of them, if each gives one."""

    usual: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "num_beams": 4}
    named: ClassVar[str] = "generated"

    def __call__(self, inputs: Any, **options: Any) -> Any:
        result = super().__call__(inputs, **options)
        if isinstance(inputs, list | tuple) and all(len(one) == 1 for one in result):
            return [one[0] for one in result]
        return result

    def rows(self, items: list[str], first: int, options: GeneratingOptions) -> list[list[Row]]:
        prefix = self._prefix(options)
        encoding = self.encoded([prefix + item for item in items], first, truncation=options.truncation)
        return [[self.made(encoding, index)] for index in range(len(items))]

    def run(self, batch: Batch, options: GeneratingOptions) -> list[Any]:
        return list(self.generated(batch, options, **batch.inputs))

    def result(self, item: str, rows: list[Row], kept: list[Any], options: GeneratingOptions) -> list[dict[str, Any]]:
        if options.return_tensors:
            return [{f"{self.named}_token_ids": torch.tensor(ids)} for ids in kept[0]]
        return [{f"{self.named}_text": self.decoded(ids, options, clean=False)} for ids in kept[0]]

    def _prefix(self, options: GeneratingOptions) -> str:
        """The caller's, else the config's, else the spec's."""
        if options.prefix is not None:
            return options.prefix
        for said in (self.said_of_task(options), self.model.kept_config):
            if said.get("prefix") is not None:
                return said["prefix"]
        return self.prompt(options)

    def prompt(self, options: GeneratingOptions) -> str:
        """What the spec says is to be put in front of a text."""
        return (self.model.spec.sections["tasks"].get("prompts") or {}).get(self.task.name, "")


class Summarization(TextToText):
    """A text to a list of `{"summary_text"}`."""

    named = "summary"


@dataclass(frozen=True, kw_only=True)
class TranslationOptions(GeneratingOptions):
    src_lang: str | None = None  # if the task's name does not tell
    tgt_lang: str | None = None


class Translation(TextToText):
    """A text to a list of `{"translation_text"}`. Languages are those of the task, `translation_en_to_de`."""

    named = "translation"
    options_class = TranslationOptions

    def prepared(self, options: TranslationOptions) -> TranslationOptions:
        if (options.src_lang is None) != (options.tgt_lang is None):
            raise UsageError("src_lang and tgt_lang go together")
        if self._languages(options)[0] is not None:
            self.prompt(options)
        return options

    def task_name(self, options: TranslationOptions) -> str:
        source, target = self._languages(options)
        return self.task.name if source is None else f"{self.task.name}_{source}_to_{target}"

    def prompt(self, options: TranslationOptions) -> str:
        template = super().prompt(options)
        if not template or options.prefix is not None or self.said_of_task(options).get("prefix") is not None:
            return template
        source, target = self._languages(options)
        known = self.model.spec.sections["tasks"].get("languages") or {}
        if source is None:
            raise UsageError("a translation from which language to which?", help='"translation_en_to_de", for instance')
        for language in (source, target):
            if language not in known:
                raise UsageError(
                    f"{self.model.spec.name} has no name for the language `{language}`",
                    help=did_you_mean(language, known) + '\nprefix="…" says what is to stand before the text',
                )
        return template.format(source=known[source], target=known[target])

    def _languages(self, options: TranslationOptions) -> tuple[str | None, str | None]:
        if options.src_lang is not None:
            return options.src_lang, options.tgt_lang
        return self.task.source, self.task.target
