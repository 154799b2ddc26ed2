"""Options of a task: a dataclass that lists them, checked and brought together from where they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from ...errors import Diagnostic, UsageError, did_you_mean

Options = TypeVar("Options")


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
    return replace(options, **given)


def whole(name: str, value: Any, least: int = 1) -> None:
    """UsageError unless `value` is a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name}={value!r} is no whole number from {least}")


def one_of(name: str, value: Any, choices: Iterable[str]) -> None:
    """UsageError unless `value` is among the choices."""
    choices = [*choices]
    if value not in choices:
        raise UsageError(f"{name}={value!r} is not known", help=did_you_mean(str(value), choices) or None)
