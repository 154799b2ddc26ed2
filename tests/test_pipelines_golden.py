"""Pipelines against transformers 4.57.6: the same checkpoints, inputs and options, and what it answered."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import modelwright as mw

GOLDEN = Path(__file__).parent / "golden" / "pipelines"
CALLS = [
    pytest.param(folder, one, id=f"{folder.name}-{number}-{one['task']}")
    for folder in sorted(GOLDEN.iterdir())
    for number, one in enumerate(json.loads((folder / "calls.json").read_text("utf-8"))["calls"])
]


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


@cache
def made(task: str, folder: Path, options: str) -> Any:
    return mw.pipeline(task, model=folder, **json.loads(options))


@pytest.mark.parametrize(("folder", "one"), CALLS)
def test_as_the_reference(folder: Path, one: dict[str, Any]) -> None:
    options = dict(one["options"])
    options |= options.pop("tokenizer_kwargs", {})
    pipe = made(one["task"], folder, json.dumps(options))
    with warnings.catch_warnings():  # of targets that are no words of the vocabulary
        warnings.simplefilter("ignore")
        ours = pipe(one["inputs"], **one["call"])
    expected = one["expected"]
    if one["task"] == "question-answering" and one["call"].get("top_k", 1) > 1:
        expected = real(expected)
    assert_same(ours, expected)


def real(answers: Any) -> Any:
    """Without what the reference fills lists up with where a context has fewer answers than were asked for: spans of
    no probability, some of which end before they begin."""
    if isinstance(answers, dict):
        return answers
    if all(isinstance(one, list) for one in answers):
        return [real(one) for one in answers]
    kept = [one for one in answers if one["score"] > 0]
    return kept[0] if len(kept) == 1 else kept
