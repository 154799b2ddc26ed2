"""What all pipelines share: inputs of any kind, windows of them, batches by length, results in order."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import wraps
from itertools import islice
from typing import Any, ClassVar

from torch import Tensor

from ...assembler.language.spec import list_specs
from ...assembler.model import Model
from ...assembler.output import ModelOutput
from ...errors import ModelwrightError, UsageError
from ...tokenizers import Encoding, Tokenizer
from ...tokenizers.call import UNLIMITED
from .batching import Batch, Row, Runner
from .catalogue import Task
from .options import changed, whole

#: So many batches of inputs are put in order of length together, and so much of an iterator is held at a time.
WINDOW = 64


def fitting(call: Callable[..., Any]) -> Callable[..., Any]:
    """A pipeline's call, with a UsageError for arguments that do not fit its signature."""
    signature = inspect.signature(call)

    @wraps(call)
    def checked(self: Pipeline, *given: Any, **options: Any) -> Any:
        try:
            signature.bind(self, *given, **options)
        except TypeError as error:
            if not given and "inputs" not in options:
                self.check_input(None, "the input")  # says what it must be
            raise UsageError(f"{self.task.name}: {error}") from None
        return call(self, *given, **options)

    return checked


class Pipeline(ABC):
    """A model and its tokenizer, made ready for a task. Called with an input it gives a result; with a list, a list;
    with any other iterable an iterator, which reads ahead no more than a window.

    Options may be given here, for all calls, or to a call. `options_class` is the dataclass that lists them.
    """

    options_class: ClassVar[type]

    def __init_subclass__(cls) -> None:
        if "__call__" in vars(cls):
            cls.__call__ = fitting(cls.__call__)

    def __init__(
        self, task: Task, model: Model, tokenizer: Tokenizer, *, batch_size: int = 8, progress: bool | None = None,
        **options: Any,
    ) -> None:
        """`progress`: a bar on stderr; by default on a terminal, for more than a batch."""
        whole("batch_size", batch_size)
        self.task, self.model, self.tokenizer = task, model, tokenizer
        self.batch_size, self.progress = batch_size, progress
        self.runner = self.make_runner(model, tokenizer)
        self._inputs = [name for name in ("input_ids", "token_type_ids") if name in model.inputs]
        self.defaults = self.prepared(self.changed(self.options_class(), options))

    @fitting
    def __call__(self, inputs: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        """Results of one input, or of many. UsageError for what is no input of the task."""
        chosen = self.chosen(options)
        size = self.batch_size if batch_size is None else batch_size
        whole("batch_size", size)
        if self.is_one(inputs):
            return next(self.stream([inputs], chosen, size))
        if isinstance(inputs, list | tuple):
            if not inputs:
                raise UsageError(f"an empty list: {self.task.name} has nothing to do")
            return list(self.stream(inputs, chosen, size))
        if isinstance(inputs, Iterable) and not isinstance(inputs, Mapping | bytes):
            return self.stream(inputs, chosen, size)
        self.check_input(inputs, "the input")  # says what is wrong
        raise UsageError(f"{self.task.name} cannot make anything of a {type(inputs).__name__}")

    def chosen(self, options: Mapping[str, Any]) -> Any:
        """The options of a call."""
        return self.prepared(self.changed(self.defaults, options)) if options else self.defaults

    def stream(self, inputs: Iterable[Any], options: Any, batch_size: int) -> Iterator[Any]:
        """Results in the order of the inputs, a window at a time."""
        total = len(inputs) if isinstance(inputs, Sequence) else None
        waiting, first = iter(inputs), 0
        batches = 1 if total is None else WINDOW  # of a window; the first results of an endless iterator come soon
        with self._bar(total, batch_size) as bar:
            while items := list(islice(waiting, batch_size * batches)):
                for number, item in enumerate(items, start=first):
                    self.check_input(item, "the input" if total == 1 else f"input {number}")
                yield from self._window(items, first, options, batch_size, bar)
                first += len(items)
                batches = min(2 * batches, WINDOW)

    def _window(self, items: list[Any], first: int, options: Any, batch_size: int, bar: Any) -> Iterator[Any]:
        by_item = self.rows(items, first, options)
        rows = [row for of_item in by_item for row in of_item]
        ran = shown = 0

        def done(count: int) -> None:
            nonlocal ran, shown
            ran += count
            now = len(items) * ran // len(rows)
            bar.update(now - shown)
            shown = now

        results = iter(
            self.runner.run(rows, lambda batch: self.run(batch, options), batch_size, done if bar is not None else None)
        )
        for item, of_item in zip(items, by_item, strict=True):
            yield self.result(item, of_item, list(islice(results, len(of_item))), options)

    def _bar(self, total: int | None, batch_size: int) -> Any:
        wanted = self.progress
        if wanted is None:
            wanted = sys.stderr.isatty() and (total is None or total > batch_size)
        if not wanted:
            return nullcontext()
        from tqdm import tqdm

        return tqdm(total=total, desc=self.task.name, unit="text", file=sys.stderr)

    # What a task says ---------------------------------------------------------------------------------------------

    def make_runner(self, model: Model, tokenizer: Tokenizer) -> Runner:
        return Runner(model, tokenizer)

    def changed(self, options: Any, given: Mapping[str, Any]) -> Any:
        """Options with those that are given."""
        return changed(options, given, self.task.name)

    def is_one(self, inputs: Any) -> bool:
        """Whether that is one input, and no list of them."""
        return isinstance(inputs, str)

    def check_input(self, item: Any, place: str) -> None:
        """UsageError if that is no input of the task."""
        if not isinstance(item, str):
            raise UsageError(f"{place} is {kind(item)}, not a text")

    def prepared(self, options: Any) -> Any:
        """Options as the task works with them. UsageError if they contradict each other, or the model."""
        return options

    @abstractmethod
    def rows(self, items: list[Any], first: int, options: Any) -> list[list[Row]]:
        """What the model is to read for each input, of which the first is number `first`."""

    @abstractmethod
    def run(self, batch: Batch, options: Any) -> list[Any]:
        """What is kept of each row of a batch."""

    @abstractmethod
    def result(self, item: Any, rows: list[Row], kept: list[Any], options: Any) -> Any:
        """What the caller gets for an input."""

    # What tasks use -----------------------------------------------------------------------------------------------

    def forward(self, batch: Batch, **more: Any) -> ModelOutput:
        return self.model(**batch.inputs, **more)

    def output(self, output: ModelOutput, name: str) -> Any:
        """One of the head's outputs, whatever a combined head calls it."""
        return output[self.model.runs[0].named(name)]

    def room(self) -> int | None:
        """Tokens that truncation leaves: what the model has positions for, and what its tokenizer allows."""
        limits = (self.model.longest_text, self.tokenizer.model_max_length)
        return min((limit for limit in limits if limit is not None and limit <= UNLIMITED), default=None)

    def encoded(
        self, texts: list[Any], first: int, *, truncation: bool | str = False, max_length: int | None = None,
        named: str = "input", empty: bool = False, **more: Any,
    ) -> Encoding:
        """Ids of texts or of (text, pair). UsageError for a text with more tokens than the model takes, or without any
        (unless `empty`)."""
        limit = self.model.longest_text
        if truncation and max_length is None:
            max_length = self.room()
        given = {"max_length": max_length, "truncation": max_length is not None and truncation}
        if "token_type_ids" not in self._inputs:
            given["return_token_type_ids"] = False
        encoding = self.tokenizer(texts, padding=False, return_attention_mask=False, **given, **more)
        owners = encoding.get("overflow_to_sample_mapping", range(len(texts)))
        for number, ids in zip(owners, encoding["input_ids"], strict=True):
            if limit is not None and len(ids) > limit:
                raise UsageError(
                    f"{named} {first + number} has {len(ids)} tokens, and {self.model.spec.name} takes {limit}",
                    help="truncation=True leaves out what is too much",
                )
            if not ids and not empty:
                raise UsageError(f"{named} {first + number} has no tokens, and the model needs one at least")
        return encoding

    def made(self, encoding: Encoding, index: int, about: Any = None) -> Row:
        """A row of an encoding."""
        return Row({name: encoding[name][index] for name in self._inputs if name in encoding}, about)

    def pair(self, text: str, pair: str | None) -> Any:
        """A text and its second one for the tokenizer. An empty one is none, but for some tokenizers."""
        none = pair is None or not (pair or self.tokenizer.settings.python)
        return text if none else (text, pair)

    def labels(self) -> list[str]:
        """Names of the head's classes, by number."""
        names = getattr(self.model.config, "id2label", None) or {}
        count = getattr(self.model.config, "num_labels", None) or len(names)
        return [names.get(number, f"LABEL_{number}") for number in range(count)]

    def states(self, batch: Batch) -> Tensor:
        """The last states of all positions, [rows, positions, D], of a model without heads."""
        try:
            return self.forward(batch).last_hidden_state
        except ModelwrightError as error:
            name = self.model.spec.name
            if not self.model.encoder_names or "decoder" not in str(error):
                raise
            alone = f"{name}_encoder"
            known = f'spec="{alone}"' if alone in list_specs() else "a spec that has no decoder"
            raise UsageError(
                f"{name} has a decoder, which has nothing to read here", help=f"take its encoder alone: {known}"
            ) from None


def kind(value: Any) -> str:
    """What a value is, for messages."""
    name = type(value).__name__
    return "None" if value is None else f"a{'n' * (name[0].lower() in 'aeiou')} {name}"


def check_mapping(item: Any, place: str, needed: Sequence[str], optional: Sequence[str] = ()) -> None:
    """UsageError unless `item` is a mapping with these keys and no other, to texts."""
    form = "{" + ", ".join(f'"{name}": …' for name in (*needed, *optional)) + "}"
    if not isinstance(item, Mapping):
        raise UsageError(f"{place} is {kind(item)}", help=f"it must be {form}")
    for name in needed:
        if item.get(name) is None:
            raise UsageError(f"{place} has no `{name}`", help=f"it must be {form}")
    for name in item:
        if name not in needed and name not in optional:
            raise UsageError(f"{place} has a key `{name}`, which means nothing here", help=f"it must be {form}")
