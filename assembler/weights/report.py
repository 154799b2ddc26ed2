"""The load report: what became of every parameter and every stored tensor, repeated layers folded into one row."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ROWS = 16  # of one kind that are printed


def fold(names: Iterable[str]) -> list[str]:
    """`a.0.b, a.1.b, a.2.b` -> `a.{0…2}.b`, also between `_` and `/`; order of first appearance."""
    rows: dict[str, list[int]] = {}
    for name in names:
        match = re.search(r"(?<![^._/])(\d+)(?![^._/])", name)
        if match is None:
            rows.setdefault(name, [])
        else:
            rows.setdefault(f"{name[: match.start()]}\0{name[match.end() :]}", []).append(int(match[1]))
    return [key.replace("\0", ranges(numbers)) if numbers else key for key, numbers in rows.items()]


def ranges(numbers: Iterable[int]) -> str:
    """`{0…2,7}`; a single number as it is."""
    numbers = sorted(set(numbers))
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    text = ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}…{run[-1]}" for run in runs)
    return text if len(numbers) == 1 else f"{{{text}}}"


@dataclass
class LoadReport:
    """Names on the left of the arrow are ours (loaded, fresh, missing, tied), the others are stored names."""

    weights: str = ""  # what was asked for
    format: str = ""
    files: list[str] = field(default_factory=list)
    dtype: str = ""
    tensors: int = 0  # parameters filled from the checkpoint
    values: int = 0  # numbers in them
    seconds: float = 0.0
    fresh: list[str] = field(default_factory=list)  # start untrained, as the spec allows
    missing: list[str] = field(default_factory=list)  # start untrained because the caller allowed it
    tied: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)  # stored for parts and heads that were not asked for
    duplicates: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)  # stored, unknown, and the caller allowed it
    verified: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return dict(vars(self))

    def __str__(self) -> str:
        if not self.weights:
            return f"no weights: all {len(self.fresh)} parameters start untrained"
        checked = ", every value finite" if self.verified else ""
        lines = [
            f"loaded {self.tensors} tensors, {self.values / 1e6:.1f} M values, {self.dtype}{checked} "
            f"({self.format}, {self.seconds:.2f} s)",
            *(f"  from  {file}" for file in self.files),
        ]
        for title, names, note in (
            ("fresh", self.fresh, "not in the checkpoint; starts untrained, train it before use"),
            ("missing", self.missing, "not in the checkpoint; starts untrained because you allowed it"),
            ("tied", self.tied, "one parameter under several names"),
            ("unused", self.unused, "in the checkpoint for parts or heads not built"),
            ("duplicates", self.duplicates, "stored twice, equal"),
            ("ignored", self.ignored, "known to hold nothing learned"),
            ("unexpected", self.unexpected, "in the checkpoint, unknown to the spec; left out because you allowed it"),
        ):
            rows = fold(names)
            if rows:
                lines.append(f"  {title:<10} {len(names):>4}  {note}")
                lines += [f"                  {row}" for row in rows[:ROWS]]
                if len(rows) > ROWS:
                    lines.append(f"                  … and {len(rows) - ROWS} rows more")
        return "\n".join(lines)
