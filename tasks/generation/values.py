"""What no option of generation may be, whatever the others are."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import Diagnostic

if TYPE_CHECKING:
    from .settings import Settings

_SWITCHES = (
    "do_sample", "renormalize_logits", "remove_invalid_values", "use_cache", "output_scores", "output_logits",
    "return_dict_in_generate",
)  # fmt: skip
_COUNTS = {
    "max_length": 1, "max_new_tokens": 1, "min_length": 0, "min_new_tokens": 0, "top_k": 0, "num_beams": 1,
    "num_beam_groups": 1, "num_return_sequences": 1, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
}  # fmt: skip
#: Bounds, and whether the lower one itself is allowed.
_RANGES = {
    "temperature": (0, math.inf, False), "top_p": (0, 1, False), "min_p": (0, 1, True), "typical_p": (0, 1, False),
    "epsilon_cutoff": (0, 1, True), "eta_cutoff": (0, 1, True), "repetition_penalty": (0, math.inf, False),
    "encoder_repetition_penalty": (0, math.inf, False), "diversity_penalty": (0, math.inf, True),
    "penalty_alpha": (0, 1, True), "length_penalty": (-math.inf, math.inf, True), "max_time": (0, math.inf, False),
}  # fmt: skip


def wrong_values(settings: Settings) -> list[Diagnostic]:
    """One for each option that is wrong by itself."""
    problems = []
    for name, least in _COUNTS.items():
        value = getattr(settings, name)
        if value is not None and not (_is_whole(value) and value >= least):
            problems.append(Diagnostic(f"{name} must be a whole number, {least} or more, but is {value!r}"))
    for name, (low, high, closed) in _RANGES.items():
        value = getattr(settings, name)
        if value is not None and not (_is_number(value) and low <= value <= high and (closed or value > low)):
            problems.append(Diagnostic(f"{name} must be {_bounds(low, high, closed)}, but is {value!r}"))
    for name in _SWITCHES:
        value = getattr(settings, name)
        if not isinstance(value, int) or value not in (0, 1):
            problems.append(Diagnostic(f"{name} must be True or False, but is {value!r}"))
    for name, (fits, form, help) in _FORMS.items():
        value = getattr(settings, name)
        if value is not None and not fits(value):
            problems.append(Diagnostic(f"{name} must be {form}, but is {value!r}", help=help))
    return problems


def takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with two arguments by position; true if it does not tell."""
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # some that are written in C have no signature
        return True
    return True


def listed(ids: int | list[int] | tuple[int, ...] | None) -> list[int]:
    """An id, or ids, or none."""
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def _bounds(low: float, high: float, closed: bool) -> str:
    if low == -math.inf:
        return "a number"
    least = f"{low} or more" if closed else f"more than {low}"
    return least if high == math.inf else f"{least} and at most {high}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and not math.isnan(value))


def _is_id(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _are_ids(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_id, value))


def _is_word(value: Any) -> bool:
    return bool(_are_ids(value) and value)


def _are_words(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_word, value))


def _are_biases(value: Any) -> bool:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    paired = isinstance(pairs, list | tuple) and all(isinstance(one, list | tuple) and len(one) == 2 for one in pairs)
    return paired and all(_is_word(sequence) and _is_number(bias) for sequence, bias in pairs)


def _grows(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and _is_whole(value[0]) and _is_number(value[1])


def _are_texts(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else value
    return isinstance(texts, list | tuple) and all(isinstance(text, str) and text for text in texts)


_IDS = (lambda value: _is_id(value) or _are_ids(value), "a token id or a list of them", None)
_ID = (_is_id, "a token id", None)
#: What an option may be beside None, in words, and what to do.
_FORMS: dict[str, tuple[Callable[[Any], bool], str, str | None]] = {
    "early_stopping": (
        lambda value: value == "never" if isinstance(value, str) else isinstance(value, int) and value in (0, 1),
        'True, False or "never"', None,
    ),
    "eos_token_id": (*_IDS[:2], "None: nothing ends a text"),
    "forced_eos_token_id": _IDS, "suppress_tokens": _IDS, "begin_suppress_tokens": _IDS, "decoder_start_token_id": _IDS,
    "bos_token_id": _ID, "pad_token_id": _ID, "forced_bos_token_id": _ID,
    "bad_words_ids": (
        _are_words, "a list of words, each a list of token ids",
        "tokenizer(words, add_special_tokens=False)['input_ids']",
    ),
    "sequence_bias": (_are_biases, "a mapping of tuples of token ids to numbers, or a list of such pairs", None),
    "exponential_decay_length_penalty": (_grows, "two numbers: from which new token on, and the factor", None),
    "stop_strings": (_are_texts, "a text or a list of them, none of them empty", None),
}  # fmt: skip
