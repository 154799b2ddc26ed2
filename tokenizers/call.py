"""The arguments of a tokenizer call, checked and brought into one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import TokenizerError, did_you_mean
from .batch import STRATEGIES
from .sequence import Source

UNLIMITED = 10**20  # a maximal length beyond this one means that there is none
SIDES = ("right", "left")
TENSORS = ("pt", "np")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long rows may be (`truncation` by `max_length`), and how long they must be (`padding`)."""

    padding: str | None  # longest, max_length or None
    truncation: str | None  # a strategy or None
    max_length: int | None


def limits(
    padding: bool | str | None, truncation: bool | str | None, max_length: int | None, model_max_length: int,
    multiple: int | None,
) -> Limits:
    """As in the reference: a `max_length` alone truncates; one that is left out is the model's, and if the model has
    none either, then neither truncation nor padding to it takes place."""
    for name, value, least in (("max_length", max_length, 0), ("pad_to_multiple_of", multiple, 1)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise TokenizerError(f"{name}={value!r} is no length", help=f"a whole number from {least}, or None")
    if max_length is not None and padding is False and truncation is None:
        truncation = True
    pads = {True: "longest", False: None, None: None, "do_not_pad": None, "longest": "longest",
            "max_length": "max_length"}
    cuts = {True: "longest_first", False: None, None: None, "do_not_truncate": None,
            **{strategy: strategy for strategy in STRATEGIES}}
    how_to_pad = pads[one_of("padding", padding, pads)]
    how_to_cut = cuts[one_of("truncation", truncation, cuts)]
    if max_length is None and (how_to_cut or how_to_pad == "max_length"):
        if model_max_length > UNLIMITED:
            how_to_cut, how_to_pad = None, None if how_to_pad == "max_length" else how_to_pad
        else:
            max_length = model_max_length
    if how_to_cut and how_to_pad and multiple is not None and max_length is not None and max_length % multiple:
        raise TokenizerError(
            f"rows cut to max_length={max_length} cannot be padded to a multiple of {multiple}",
            help=f"the nearest max_length is {max(multiple, max_length - max_length % multiple)}",
        )
    return Limits(how_to_pad, how_to_cut, max_length)


def one_of(name: str, value: Any, choices: Any) -> Any:
    """`value`, if it is among the choices; else a TokenizerError."""
    try:
        known = value in choices
    except TypeError:
        known = False
    if not known:
        words = [choice for choice in choices if isinstance(choice, str)]
        raise TokenizerError(f"{name}={value!r} is not known", help=did_you_mean(str(value), words) or None)
    return value


def samples(
    text: Any, text_pair: Any, split: bool, empty_pairs: bool = False
) -> tuple[list[tuple[Source, ...]], bool]:
    """The inputs as a list of one or two sources each, and whether they are a batch.

    A source is a string, or with `split` a list of words. A batch is a list of sources, or of pairs of sources.
    """
    batched = _is_list(text) and (not split or (bool(text) and _is_list(text[0])))
    if not batched:
        # An empty pair is none, as in the reference's Rust tokenizers (in a batch it counts).
        single = text_pair is None if empty_pairs else not text_pair
        return [_sample((text,) if single else (text, text_pair), split, "text", "text_pair")], False
    if text_pair is None:
        found = []
        for number, item in enumerate(text):
            pair = _is_list(item) and len(item) == 2 and (not split or all(map(_is_list, item)))
            found.append(_sample(tuple(item) if pair else (item,), split, *[f"text[{number}]"] * 2))
        return found, True
    if not _is_list(text_pair):
        raise TokenizerError("text is a batch, but text_pair is not", help="give one text_pair for each text")
    if len(text) != len(text_pair):
        raise TokenizerError(f"{len(text)} texts, but {len(text_pair)} in text_pair", help="one for each text")
    return [
        _sample(both, split, f"text[{number}]", f"text_pair[{number}]")
        for number, both in enumerate(zip(text, text_pair, strict=True))
    ], True


def _sample(sources: tuple[Any, ...], split: bool, *names: str) -> tuple[Source, ...]:
    for name, source in zip(names, sources, strict=False):
        if split and not (_is_list(source) and all(isinstance(word, str) for word in source)):
            raise TokenizerError(
                f"{name} is {_kind(source)}, but with is_split_into_words=True it must be a list of words"
            )
        if not split and not isinstance(source, str):
            words = " (a list of words needs is_split_into_words=True)" if _is_list(source) else ""
            raise TokenizerError(f"{name} is {_kind(source)}, not a string{words}")
    return sources


def _kind(value: Any) -> str:
    if _is_list(value):
        odd = next((item for item in value if not isinstance(item, str)), None)
        return f"a list of {len(value)}" + ("" if odd is None else f" with a {type(odd).__name__}")
    return f"a {type(value).__name__}" if value is not None else "None"


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
