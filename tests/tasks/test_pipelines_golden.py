"""Pipelines against transformers 4.57.6: the same checkpoints, inputs and options, and what it answered."""

from __future__ import annotations

import json
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pipeline_parity import GOLDEN, assert_same

import modelwright as mw

CALLS = [
    pytest.param(folder, one, id=f"{folder.name}-{number}-{one['task']}")
    for folder in sorted(GOLDEN.iterdir())
    for number, one in enumerate(json.loads((folder / "calls.json").read_text("utf-8"))["calls"])
]


@cache
def made(task: str, folder: Path, options: str) -> Any:
    # the release's default for a WordPiece in a vocab.txt; it has no other where that can be seen
    clean = {"clean_up_tokenization_spaces": True} if folder.name == "bert_words" else {}
    tokenizer = mw.load_tokenizer(folder, **clean)
    return mw.pipeline(task, model=folder, tokenizer=tokenizer, **json.loads(options))


@pytest.mark.parametrize(("folder", "one"), CALLS)
def test_as_the_reference(folder: Path, one: dict[str, Any]) -> None:
    options = dict(one["options"])
    options |= options.pop("tokenizer_kwargs", {})
    if one["task"] == "translation_en_to_ro":  # where we put what the spec says
        options["prefix"] = ""
    pipe = made(one["task"], folder, json.dumps(options))
    with warnings.catch_warnings():  # of targets that are no words of the vocabulary
        warnings.simplefilter("ignore")
        ours = pipe(one["inputs"], **one["call"])
    expected = one["expected"]
    if one["task"] == "question-answering" and one["call"].get("top_k", 1) > 1:
        expected = real(expected)
    if folder.name == "xlm_answers":
        asked = one["inputs"]
        ours, expected = worded(ours, asked), worded(expected, asked)
    assert_same(ours, expected)


def worded(answers: Any, asked: Any) -> Any:
    """Answers of whole words between blanks, without their ends: all that the reference gives with a tokenizer that
    knows no offsets. It counts the blank behind a word in."""
    if isinstance(answers, list):
        return [worded(one, asked[number] if isinstance(asked, list) else asked) for number, one in enumerate(answers)]
    if not answers["answer"]:
        return answers
    context, start, end = asked["context"], answers["start"], answers["start"] + len(answers["answer"])
    words = [word.span() for word in re.finditer(r"\S+", context)]
    touched = [(first, last) for first, last in words if last > start and first < end]
    text = " ".join(context[first:last] for first, last in touched)
    return {"score": answers["score"], "start": touched[0][0], "answer": text}


def real(answers: Any) -> Any:
    """Without what the reference fills lists up with where a context has fewer answers than were asked for: spans of
    no probability, some of which end before they begin."""
    if isinstance(answers, dict):
        return answers
    if all(isinstance(one, list) for one in answers):
        return [real(one) for one in answers]
    kept = [one for one in answers if one["score"] > 0]
    return kept[0] if len(kept) == 1 else kept
