"""What pipelines that write text share: options of generation in their order, prompts, and ids back to texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from torch import Tensor

from ...tokenizers import Tokenizer
from .base import Pipeline
from .batching import Batch
from .options import changed

#: Two ways to say one thing: what says either is over both.
LENGTHS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))


@dataclass(frozen=True, kw_only=True)
class GeneratingOptions:
    """Beside these, every option of `model.generate`."""

    prefix: str | None = None  # put in front of each text; by default what the config or the spec says
    truncation: bool | str = False
    clean_up_tokenization_spaces: bool | None = None
    return_tensors: bool = False  # ids in the place of texts
    return_text: bool | None = None
    generate: Mapping[str, Any] = field(default_factory=dict)


class Generating(Pipeline):
    """Options of generation are, from weakest to strongest: the task's own defaults, the model's generation config,
    what its config says of the task, and what the caller says."""

    options_class: ClassVar[type] = GeneratingOptions
    usual: ClassVar[Mapping[str, Any]] = {}  # the task's own

    def changed(self, options: GeneratingOptions, given: Mapping[str, Any]) -> GeneratingOptions:
        names = {one.name for one in fields(options)}
        own = {name: value for name, value in given.items() if name in names and name != "generate"}
        rest = {name: value for name, value in given.items() if name not in own and name != "generate"}
        return changed(replace(options, generate=over(options.generate, rest)), own, self.task.name)

    def task_name(self, options: GeneratingOptions) -> str:
        """What the config calls the task."""
        return self.task.name

    def said_of_task(self, options: GeneratingOptions) -> Mapping[str, Any]:
        """What the checkpoint's config says of the task."""
        return (self.model.kept_config.get("task_specific_params") or {}).get(self.task_name(options)) or {}

    def generated(self, batch: Batch, options: GeneratingOptions, **inputs: Tensor) -> Iterator[list[list[int]]]:
        """For each row the ids of its texts, the prompt's included if there is no encoder."""
        model = self.model
        specific = {name: value for name, value in self.said_of_task(options).items() if name != "prefix"}
        config = over(over(self.usual, model.generation_config.to_dict()), specific)
        found = model.generate(**inputs, generation_config=config, tokenizer=self.tokenizer, **options.generate)
        rows = found.cpu().tolist()
        each = len(rows) // len(batch.rows)
        ends = self._ends(config, options)
        for start, span in zip(range(0, len(rows), each), batch.spans, strict=True):
            skipped, prompt = (0, 1) if model.encoder_names else (span.start, span.stop)
            yield [_ended(row, prompt, ends)[skipped:] for row in rows[start : start + each]]

    def _ends(self, config: Mapping[str, Any], options: GeneratingOptions) -> set[int]:
        ids = options.generate.get("eos_token_id", config.get("eos_token_id"))
        return set() if ids is None else {ids} if isinstance(ids, int) else set(ids)

    def decoded(self, ids: list[int], options: GeneratingOptions, clean: bool) -> str:
        chosen = options.clean_up_tokenization_spaces
        return self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=clean if chosen is None else chosen
        )


def over(below: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """Options with those of a stronger layer, None left out."""
    layer = {name: value for name, value in layer.items() if value is not None}
    hidden = {name for pair in LENGTHS if set(pair) & set(layer) for name in pair}
    return {name: value for name, value in below.items() if name not in hidden} | layer


def _ended(ids: list[int], start: int, ends: set[int]) -> list[int]:
    """Up to the first token after `start` that ends a text."""
    stop = next((place for place in range(start, len(ids)) if ids[place] in ends), len(ids) - 1)
    return ids[: stop + 1]


def padding_of(tokenizer: Tokenizer, model: Any) -> int | None:
    """What fills prompts up, which a mask hides: any token will do."""
    config = getattr(model.config, "pad_token_id", None)
    return next((one for one in (config, tokenizer.pad_token_id, tokenizer.eos_token_id) if one is not None), None)
