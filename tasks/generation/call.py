"""`generate`: from a call to its ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...assembler.layout import arrange
from ...assembler.model import Model
from ...errors import Diagnostic, UsageError, did_you_mean
from .apart import apart
from .beams import beam_search
from .compiled import CompiledSteps
from .contrastive import contrastive_search
from .greedy import one_by_one
from .prompts import Prompts, prompts_of, with_lengths
from .result import GenerateOutput, Record
from .rules import Rules, rules_of
from .settings import ABSENT, NAMES, Settings, settings_of
from .steps import Steps, steps_of
from .stopping import Criterion, Stopping
from .values import takes_two


@dataclass(frozen=True, slots=True)
class Extras:
    """What a call may bring beside options: the caller's own functions and objects."""

    tokenizer: Any = None
    processors: Sequence[Callable[[Tensor, Tensor], Tensor]] = ()
    criteria: Sequence[Criterion] = ()
    allowed: Callable[[int, Tensor], Sequence[int]] | None = None
    generator: torch.Generator | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        """UsageError for what cannot be called."""
        for name, given in (("logits_processor", self.processors), ("stopping_criteria", self.criteria)):
            if isinstance(given, str) or not isinstance(given, Sequence) or not all(map(callable, given)):
                raise UsageError(f"{name} must be a list of functions, but is {given!r}")
        if self.allowed is not None and not callable(self.allowed):
            raise UsageError(f"prefix_allowed_tokens_fn must be a function, but is {self.allowed!r}")
        if self.generator is not None and not isinstance(self.generator, torch.Generator):
            raise UsageError(f"generator must be a torch.Generator, but is {self.generator!r}")
        for name, functions, form in (
            ("logits_processor", self.processors, "(what is written, scores)"),
            ("stopping_criteria", self.criteria, "(what is written, scores)"),
            ("prefix_allowed_tokens_fn", (self.allowed,), "(the prompt's number, what is written)"),
        ):
            for function in functions:
                if function is not None and not takes_two(function):
                    raise UsageError(f"{name}: {function!r} is called with {form}, and takes other arguments")


#: The same as the caller names them.
_EXTRAS = {
    "tokenizer": "tokenizer", "logits_processor": "processors", "stopping_criteria": "criteria",
    "prefix_allowed_tokens_fn": "allowed", "generator": "generator", "compile": "compile",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """One search, ready to run."""

    prompts: Prompts
    settings: Settings
    steps: Steps
    rules: Rules
    stopping: Stopping
    record: Record
    generator: torch.Generator | None

    def texts(self) -> Iterator[Tensor]:
        """The text so far [R, L] with each word; of searches that never take one back."""
        settings = self.settings
        shared = {"rules": self.rules, "stopping": self.stopping, "padding": settings.padding, "record": self.record}
        if settings.searches == "contrastive":
            candidates = min(settings.top_k, self.steps.model.config.vocab_size)
            return contrastive_search(
                self.steps, self.prompts.ids, candidates=candidates, alpha=settings.penalty_alpha, **shared
            )
        return one_by_one(
            self.steps, self.prompts.ids, sample=settings.do_sample, copies=settings.num_return_sequences,
            generator=self.generator, **shared,
        )  # fmt: skip

    def run(self) -> GenerateOutput:
        if self.settings.num_beams > 1:
            return beam_search(
                self.steps, self.prompts.ids, settings=self.settings, rules=self.rules, stopping=self.stopping,
                generator=self.generator, record=self.record,
            )  # fmt: skip
        for text in self.texts():
            last = text
        return GenerateOutput(last, **self.record.fields())


@torch.no_grad()
def generate(
    model: Model,
    input_ids: Tensor | None = None,
    *,
    generation_config: Any = None,
    tokenizer: Any = None,
    logits_processor: Sequence[Callable[[Tensor, Tensor], Tensor]] = (),
    stopping_criteria: Sequence[Criterion] = (),
    prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]] | None = None,
    generator: torch.Generator | None = None,
    compile: bool = False,
    **options: Any,
) -> Tensor | GenerateOutput:
    """Write on from `input_ids` [B, L], or, with an encoder, write about them.

    Options and their meaning are those of transformers' GenerationConfig: `max_new_tokens`, `do_sample`, `num_beams`,
    … (docs/generation.md lists all). An option not given has the value of `generation_config`, else the model's own
    default (`model.generation_config`). Other inputs of the model (`attention_mask`, `token_type_ids`,
    `decoder_input_ids`, …) go by their names.

    Args:
        model: with a head that scores words.
        generation_config: a mapping or record of options.
        tokenizer: for `stop_strings`.
        logits_processor: further rules, (what is written [R, L], scores [R, V]) -> scores.
        stopping_criteria: further reasons to stop, (what is written [R, L], None) -> [R] or one truth value.
        prefix_allowed_tokens_fn: (prompt's number, what is written [L]) -> the tokens that may follow.
        generator: source of chance; torch's own by default, which `torch.manual_seed` sets.
        compile: compile the step of one token (with a cache only). Worth it from some hundreds of tokens on.
    Returns:
        Ids [B · num_return_sequences, L'], prompts included except an encoder's; with `return_dict_in_generate` a
        record that has scores, too.
    Raises:
        UsageError: for wrong ids, options that contradict each other, texts longer than the model's positions, and
            scores that are no numbers.
    """
    extras = Extras(tokenizer, logits_processor or (), stopping_criteria or (), prefix_allowed_tokens_fn, generator,
                    compile)  # fmt: skip
    settings, prompts = prepare(model, input_ids, generation_config, options)
    if prompts.mask is not None and model.generation.padding == "apart" and not model.encoder_names:
        result = apart(prompts, settings, lambda prompts, settings: job(model, prompts, settings, extras).run())
    else:
        result = job(model, prompts, settings, extras).run()
    return result if settings.return_dict_in_generate else result.sequences


def prepare(
    model: Model, input_ids: Tensor | None, generation_config: Any, options: dict[str, Any]
) -> tuple[Settings, Prompts]:
    """Options checked and joined, and prompts checked. UsageError."""
    if not model.writes:
        raise _writes_nothing(model)
    known = {*model.inputs, "attention_mask"}
    inputs = {name: options.pop(name) for name in list(options) if name in known}
    strange = [name for name in options if name not in NAMES and name not in ABSENT]
    if strange:
        raise UsageError(
            *(Diagnostic(f"generate takes no `{n}`", label=did_you_mean(n, (*NAMES, *known))) for n in strange)
        )
    settings = settings_of(model.generation_config.to_dict(), generation_config, options)
    prompts = prompts_of(model, input_ids, inputs, settings)
    return with_lengths(settings, model, prompts, options), prompts


def _writes_nothing(model: Model) -> UsageError:
    """Why, and how to build one that writes."""
    name, generation, problems = model.spec.name, model.generation, []
    if len(model.runs) != 1 or model.runs[0].name not in generation.heads:
        heads = [head for head in generation.heads if head in model.spec.sections["heads"]]
        problems.append(Diagnostic(
            f"{name} as it was built has no head that writes text",
            help=f'build it with head="{heads[0]}"' if heads else "generation needs a language model with a decoder",
        ))  # fmt: skip
    for hparam, value in generation.requires.items():
        if model.config[hparam] != value:
            problems.append(Diagnostic(
                f"{name} writes text where {hparam} is {value}, and it was built with {model.config[hparam]}",
                help=f"build it with {hparam}={value} (--set {hparam}={json.dumps(value)})",
            ))  # fmt: skip
    return UsageError(*problems)


def job(model: Model, prompts: Prompts, settings: Settings, extras: Extras) -> Job:
    """The parts of one search."""
    arrange(model)
    strings = settings.stop_strings or ()
    if strings and extras.tokenizer is None:
        raise UsageError("stop_strings are looked for in text", help="give the tokenizer: generate(…, tokenizer=…)")
    decode = extras.tokenizer and (lambda ids: extras.tokenizer.decode(ids, skip_special_tokens=False))
    contrastive = settings.searches == "contrastive"
    # A prompt of vectors is read once: what is written after it are ids.
    use_cache = settings.use_cache or (not model.encoder_names and "inputs_embeds" in prompts.inputs)
    caches = model.generation.state == "cache" and use_cache
    if not caches and (contrastive or extras.compile):
        what = "contrastive search (penalty_alpha)" if contrastive else "compile=True"
        raise UsageError(f"{what} needs a cache, and {model.spec.name} takes none here")
    room = {"capacity": settings.max_length, "states": contrastive}
    if extras.compile:
        steps = CompiledSteps(model, prompts.inputs, **room)
    else:
        steps = steps_of(model, prompts.inputs, use_cache=use_cache, **room)
    rules = rules_of(
        settings, prompt=prompts.ids.shape[1], source=prompts.source, padding=prompts.padding, allowed=extras.allowed,
        more=extras.processors,
    )  # fmt: skip
    stopping = Stopping(
        max_length=settings.max_length, ends=settings.ends, max_time=settings.max_time,
        strings=[strings] if isinstance(strings, str) else strings, decode=decode, more=extras.criteria,
    )  # fmt: skip
    record = Record(settings.output_scores, settings.output_logits)
    return Job(prompts, settings, steps, rules, stopping, record, extras.generator)


@torch.no_grad()
def tokens(model: Model, options: dict[str, Any]) -> Iterator[int]:
    """The tokens written for one prompt, one by one, the end token excluded. `options` as `generate` takes them.
    UsageError."""
    ids, config = options.pop("input_ids", None), options.pop("generation_config", None)
    extras = Extras(**{ours: options.pop(theirs) for theirs, ours in _EXTRAS.items() if options.get(theirs)})
    settings, prompts = prepare(model, ids, config, options)
    rows = prompts.ids.shape[0] * settings.num_return_sequences
    if settings.num_beams > 1 or rows > 1:
        raise UsageError(
            "a stream is one text that is never taken back",
            help="num_beams=1, num_return_sequences=1 and one prompt; else generate",
        )
    for text in job(model, prompts, settings, extras).texts():
        token = int(text[0, -1])
        if token not in settings.ends:
            yield token
