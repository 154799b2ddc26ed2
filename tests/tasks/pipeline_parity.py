"""What pipelines return, compared; and the checkpoints of the golden cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden" / "pipelines"


def assert_same(ours: Any, theirs: Any, where: str = "result") -> None:
    """Scores to 1e-5, relative to those above 1; everything else exactly."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict) and list(ours) == list(theirs), f"{where}: {ours} and {theirs}"
        for key, value in theirs.items():
            assert_same(ours[key], value, f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs), f"{where}: {ours} and {theirs}"
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    elif isinstance(theirs, float):
        near = isinstance(ours, float) and abs(ours - theirs) <= 1e-5 * max(1, abs(theirs))
        assert near, f"{where}: {ours} and {theirs}"
    else:
        assert ours == theirs and type(ours) is type(theirs), f"{where}: {ours!r} and {theirs!r}"
