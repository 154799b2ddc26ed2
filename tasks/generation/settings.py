"""The options of generation: one record of all, under the names that the reference's GenerationConfig has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...errors import Diagnostic, UsageError, did_you_mean
from .values import listed, wrong_values


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of one call. Lengths count tokens, `…length` with the prompt, `…new_tokens` without."""

    max_length: int | None = None  # without either: 20 new tokens
    max_new_tokens: int | None = None
    min_length: int = 0
    min_new_tokens: int | None = None
    max_time: float | None = None  # seconds
    stop_strings: str | list[str] | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    num_beams: int = 1
    num_beam_groups: int = 1
    diversity_penalty: float = 0.0
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    penalty_alpha: float | None = None
    num_return_sequences: int = 1
    repetition_penalty: float = 1.0
    encoder_repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    bad_words_ids: list[list[int]] | None = None
    sequence_bias: Mapping[tuple[int, ...], float] | list[Any] | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = None
    suppress_tokens: int | list[int] | None = None
    begin_suppress_tokens: int | list[int] | None = None
    exponential_decay_length_penalty: tuple[int, float] | None = None
    renormalize_logits: bool = False
    remove_invalid_values: bool = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | list[int] | None = None
    use_cache: bool = True
    output_scores: bool = False
    output_logits: bool = False
    return_dict_in_generate: bool = False

    @property
    def ends(self) -> list[int]:
        """Tokens that end a text."""
        return listed(self.eos_token_id)

    @property
    def padding(self) -> int:
        """What stands behind the end of a text: the padding token, else the first that ends one, else 0."""
        return self.pad_token_id if self.pad_token_id is not None else (self.ends or [0])[0]

    @property
    def searches(self) -> str:
        """`contrastive`, `greedy`, `sample`, or one of `beam`, `beam sample`, `group beam`."""
        if self.num_beams > 1:
            return "group beam" if self.num_beam_groups > 1 else "beam sample" if self.do_sample else "beam"
        if self.do_sample:
            return "sample"
        return "contrastive" if self.penalty_alpha and self.top_k > 1 else "greedy"


NAMES = tuple(field.name for field in fields(Settings))
#: Options of the reference that have no counterpart here, and the values at which they do nothing. They may stand in
#: a file; to ask for one is an error.
ABSENT = {
    "assistant_confidence_threshold": 0.4, "assistant_early_exit": None, "assistant_ensemble_weight": None,
    "assistant_lookbehind": 10, "cache_config": None, "cache_implementation": None, "compile_config": None,
    "constraints": None, "disable_compile": None, "dola_layers": None, "force_words_ids": None, "guidance_scale": 1,
    "is_assistant": False, "low_memory": None, "max_cache_len": None, "max_matching_ngram_size": None,
    "num_assistant_tokens": 20, "num_assistant_tokens_schedule": "constant", "output_attentions": False,
    "output_hidden_states": False, "prefill_chunk_size": None, "prompt_lookup_num_tokens": None,
    "speculation_type": None, "target_lookbehind": 10, "token_healing": False, "top_h": None, "use_mtp": None,
    "watermarking_config": None,
}  # fmt: skip
#: Of these an effective value in a file changes what is written, so that it cannot be passed over.
_DECISIVE = (
    "constraints", "dola_layers", "force_words_ids", "guidance_scale", "token_healing", "top_h", "watermarking_config",
)  # fmt: skip
#: Two ways of saying the same thing: with the prompt, and without.
_LENGTHS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
_SAMPLING = ("temperature", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
_MARKS = ("bos_token_id", "eos_token_id", "pad_token_id")
_CHOOSE = ("do_sample", "num_beams", "penalty_alpha")  # of these it depends which of those mean something
_BEAMS = ("length_penalty", "early_stopping", "num_beam_groups", "diversity_penalty")


def settings_of(defaults: Mapping[str, Any], given: Any, options: Mapping[str, Any]) -> Settings:
    """The caller's options, over those of a record or mapping that was given, over the model's own.

    None means what is not said, but for `eos_token_id` and the like, where it says that there is none. UsageError with
    everything that is wrong.
    """
    unknown = [name for name in options if name not in NAMES]
    if unknown:
        raise UsageError(*(_unknown(name, options[name]) for name in unknown if _counts(name, options[name])))
    arrays = [name for name, value in options.items() if hasattr(value, "shape")]
    if arrays:
        raise UsageError(*(Diagnostic(f"{name} is a {type(options[name]).__name__}", help="a plain value: .tolist()")
                           for name in arrays))  # fmt: skip
    said: dict[str, Any] = {}
    for layer in (defaults, _mapping(given)):
        absent = [name for name in _DECISIVE if layer.get(name) not in (None, ABSENT[name])]
        if absent:
            raise UsageError(*(_unknown(name, layer[name]) for name in absent))
        _over(said, {name: value for name, value in layer.items() if name in NAMES and not _says_nothing(name, value)})
    _pass_over(said, options)
    _over(said, {n: value for n, value in options.items() if value is not None or getattr(_DEFAULTS, n, 0) is None})
    settings = Settings(**{name: value for name, value in said.items() if name in NAMES})
    problems = wrong_values(settings) or _together(settings, options)  # no combination of wrong values is judged
    if problems:
        raise UsageError(*problems)
    return settings


def _says_nothing(name: str, value: Any) -> bool:
    """Whether an option of a file is none at all. In files an id below 0 stands for no token."""
    return value is None or (name in _MARKS and isinstance(value, int) and value < 0)


def _pass_over(said: dict[str, Any], options: Mapping[str, Any]) -> None:
    """What files say of sampling or beams is nothing to a search that has none, whatever it is."""
    chosen = {name: options[name] if options.get(name) is not None else said.get(name) for name in _CHOOSE}
    idle = () if chosen["do_sample"] else _SAMPLING if chosen["penalty_alpha"] else (*_SAMPLING, "top_k")
    if chosen["num_beams"] in (None, 1):
        idle += _BEAMS
    for name in idle:
        said.pop(name, None)


def _over(said: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """What a layer says, over those below it; a length in either way is over both ways of saying it."""
    for pair in _LENGTHS:
        if any(layer.get(name) is not None for name in pair):
            for name in pair:
                said.pop(name, None)
    said |= layer


def _mapping(given: Any) -> Mapping[str, Any]:
    if given is None or isinstance(given, Mapping):
        return given or {}
    if isinstance(given, Settings):
        return {name: getattr(given, name) for name in NAMES}
    if hasattr(given, "to_dict"):
        return given.to_dict()
    raise UsageError(f"generation_config must be a mapping or a record of options, not a {type(given).__name__}")


_DEFAULTS = Settings()


def _counts(name: str, value: Any) -> bool:
    """Whether an option that is not there was really asked for."""
    return name not in ABSENT or value not in (None, ABSENT[name])


def _unknown(name: str, value: Any) -> Diagnostic:
    if name in ABSENT:
        return Diagnostic(f"generation has no `{name}` (asked for: {value!r})", help="leave it out")
    return Diagnostic(f"generation has no option `{name}`", label=did_you_mean(name, NAMES))


def _together(settings: Settings, options: Mapping[str, Any]) -> list[Diagnostic]:
    """What contradicts itself. What does nothing is a mistake where the caller says it, and none in a file."""
    beams, groups, returned = settings.num_beams, settings.num_beam_groups, settings.num_return_sequences
    said = {name for name, value in options.items() if value is not None and value != getattr(_DEFAULTS, name)}
    problems = []

    def problem(message: str, help: str) -> None:
        problems.append(Diagnostic(message, help=help))

    for total, new in _LENGTHS:
        if options.get(total) is not None and options.get(new) is not None:
            problem(f"{total} = {options[total]} and {new} = {options[new]} say the same thing twice",
                    f"give one of them: {total} counts the prompt, {new} does not")  # fmt: skip
    if returned > beams and not settings.do_sample:
        problem(f"num_return_sequences = {returned}, but there is only num_beams = {beams} text to return for a prompt"
                if beams == 1 else f"num_return_sequences = {returned} is more than num_beams = {beams}",
                "more beams (num_beams), or sampling (do_sample=True)")  # fmt: skip
    elif returned > beams > 1:
        problem(f"num_return_sequences = {returned} is more than num_beams = {beams}", "more beams")
    for name in _SAMPLING:
        if name in said and not settings.do_sample:
            problem(f"{name} = {options[name]!r} means nothing without sampling", "do_sample=True, or leave it out")
    for name in _BEAMS:
        if name in said and beams == 1:
            problem(f"{name} = {options[name]!r} means nothing without beams", "num_beams=4, or leave it out")
    if beams % groups:
        problem(f"{beams} beams cannot be split into {groups} groups", "num_beams a multiple of num_beam_groups")
    if groups > 1 and settings.do_sample:
        problem("groups of beams do not sample", "do_sample=False, or num_beam_groups=1")
    if (groups > 1) != (settings.diversity_penalty > 0) and beams > 1:
        problem(f"num_beam_groups = {groups} and diversity_penalty = {settings.diversity_penalty} do not go together",
                "groups differ by a penalty above 0; a penalty needs groups")  # fmt: skip
    if options.get("penalty_alpha") and (settings.do_sample or beams > 1):
        problem("contrastive search (penalty_alpha) neither samples nor has beams", "do_sample=False, num_beams=1")
    elif options.get("penalty_alpha") and settings.top_k < 2:
        problem(f"contrastive search chooses among top_k = {settings.top_k}", "top_k of 2 or more")
    return problems
