"""What an error is: a message, the place it is about, the chain of values behind it, and the way out.

Every mistake a user can make ends in a `ModelwrightError`, which prints as (colour only on a terminal):

    error: unknown key `hiden_size` in `hparams`
      --> specs/my-bert.yaml:7:3
       |
     7 |   hiden_size: 768
       |   ^^^^^^^^^^ did you mean `hidden_size`?
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written: a file position, or a command-line override (no line)."""

    source: str
    line: int | None = None
    column: int | None = None
    width: int = 1
    text: str = field(default="", compare=False)  # the source line, for the snippet

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Note:
    """A `= name = value   place` line: one link in the chain of values behind an error."""

    text: str
    place: Place | str | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    message: str
    place: Place | None = None
    label: str = ""  # stands behind the carets
    notes: tuple[Note, ...] = ()
    help: str | None = None
    severity: str = "error"

    def render(self, color: bool = False) -> str:
        red, blue, bold, off = ("\x1b[31m", "\x1b[34m", "\x1b[1m", "\x1b[0m") if color else ("",) * 4
        lines = [f"{red}{bold}{self.severity}{off}{bold}: {self.message}{off}"]
        margin = "  "
        if self.place is not None:
            if self.place.line is not None and self.place.text:
                number = str(self.place.line)
                margin = " " * (len(number) + 2)
                carets = " " * (self.place.column - 1) + "^" * max(1, self.place.width)
                lines += [
                    f"{margin[:-1]}{blue}-->{off} {self.place}",
                    f"{margin}{blue}|{off}",
                    f" {blue}{number} |{off} {self.place.text}",
                    f"{margin}{blue}|{off} {red}{carets}{' ' + self.label if self.label else ''}{off}",
                ]
            else:
                lines.append(f"  {blue}-->{off} {self.place}" + (f"  {self.label}" if self.label else ""))
        elif self.label:
            lines.append(f"{margin} {self.label}")
        width = max((len(note.text) for note in self.notes), default=0)
        for note in self.notes:
            place = f"   {note.place}" if note.place is not None else ""
            lines.append(f"{margin}{blue}={off} {note.text.ljust(width) if place else note.text}{place}")
        if self.help:
            head, *rest = self.help.splitlines()
            lines.append(f"{margin}{blue}={off} help: {head}")
            lines += [f"{margin}  {line}" for line in rest]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        place = self.place and {
            "source": self.place.source, "line": self.place.line, "column": self.place.column, "width": self.place.width
        }
        return {
            "severity": self.severity, "message": self.message, "place": place, "label": self.label or None,
            "notes": [note.text + (f" ({note.place})" if note.place is not None else "") for note in self.notes],
            "help": self.help,
        }


class ModelwrightError(Exception):
    """Base of everything modelwright raises for a user's mistake; carries one diagnostic or several."""

    exit_code = 1

    def __init__(self, *problems: Diagnostic | str, help: str | None = None) -> None:
        self.diagnostics = tuple(p if isinstance(p, Diagnostic) else Diagnostic(p, help=help) for p in problems)
        super().__init__(*problems)

    def render(self, color: bool = False) -> str:
        return "\n\n".join(diagnostic.render(color) for diagnostic in self.diagnostics)

    def __str__(self) -> str:
        return self.render()


class SpecError(ModelwrightError):
    """The spec, an override or an hparam is invalid."""

    exit_code = 1


class UsageError(ModelwrightError):
    """The call itself is wrong: an option, an argument, an input the model does not take."""

    exit_code = 2


class DownloadError(ModelwrightError):
    """A file or name cannot be had: not found, no network, offline, interrupted, wrong checksum."""

    exit_code = 3


class WeightsError(ModelwrightError):
    """A checkpoint is damaged, hostile, or does not fit the model."""

    exit_code = 4


class TokenizerError(ModelwrightError):
    """A vocabulary is missing or damaged, or a tokenizer call contradicts itself."""

    exit_code = 3


def nearest(word: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """The choices most like `word`, best first; empty if none comes near."""
    return difflib.get_close_matches(word, list(choices), n=count, cutoff=0.6)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`did you mean …?`, or the choices themselves when there are few, or nothing."""
    choices = list(choices)
    close = nearest(word, choices, count=2)
    if close:
        likeness = [difflib.SequenceMatcher(None, name, word).ratio() for name in close]
        near = [name for name, ratio in zip(close, likeness, strict=True) if ratio > likeness[0] - 0.1]
        return "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"
    return "known: " + ", ".join(f"`{name}`" for name in choices) if 0 < len(choices) <= 12 else ""


def nearest_divisors(number: int, divisor: int) -> str | None:
    """The way out of an uneven split: the two divisors of `number` nearest to `divisor`, in words."""
    found: list[int] = []
    for distance in range(min(max(abs(number), divisor), 1 << 16)):
        found += [d for d in {divisor - distance, divisor + distance} if 0 < d <= abs(number) and number % d == 0]
        if len(found) >= 2:
            break
    return f"nearest divisors of {number}: {', '.join(map(str, sorted(found[:2])))}" if found else None
