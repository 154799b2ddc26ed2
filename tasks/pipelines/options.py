"""Options of a task: a dataclass that lists them, checked and brought together from where they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ...errors import Diagnostic, UsageError, did_you_mean

Options = TypeVar("Options")
_WORDS: dict[Any, str] = {bool: "True or False", str: "a text", list[str]: "a list of texts", NoneType: "None"}


def changed(options: Options, given: Mapping[str, Any], task: str) -> Options:
    """`options` with those that are given. UsageError for names that the task does not know."""
    known = [field.name for field in fields(options)]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(*(
            Diagnostic(f"{task} takes no option `{name}`", label=did_you_mean(name, known),
                       help=f"it takes {', '.join(known)}")
            for name in unknown
        ))  # fmt: skip
    hints = _hints(type(options)) if given else {}
    wrong = [Diagnostic(f"{name}={value!r} must be {form}") for name, value in given.items()
             if (form := _other_than(hints[name], value))]  # fmt: skip
    if wrong:
        raise UsageError(*wrong)
    return replace(options, **given)


_hints = cache(get_type_hints)  # which evaluates the text of each annotation


def _other_than(hint: Any, value: Any) -> str | None:
    """What an option must be, by its type, if `value` is something else. Only of switches and texts: numbers have
    bounds besides, which tasks check."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if not {*kinds} <= {*_WORDS} or any(isinstance(value, get_origin(kind) or kind) for kind in kinds):
        return None
    return " or ".join(_WORDS[kind] for kind in kinds)


def whole(name: str, value: Any, least: int = 1) -> None:
    """UsageError unless `value` is a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name}={value!r} is no whole number from {least}")


def one_of(name: str, value: Any, choices: Iterable[str]) -> None:
    """UsageError unless `value` is among the choices."""
    choices = [*choices]
    if value not in choices:
        raise UsageError(f"{name}={value!r} is not known", help=did_you_mean(str(value), choices) or None)
