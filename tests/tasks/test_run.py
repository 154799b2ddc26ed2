"""`modelwright run`: texts as words or lines, results as lines for people or for machines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pipeline_parity import GOLDEN, assert_same

import modelwright as mw
from modelwright import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def call(task: str, folder: str, *words: str, lines: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        try:
            code = cli.main(["run", task, "--model", str(GOLDEN / folder), *words])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def test_texts_before_and_behind_options(run: Any) -> None:
    expected = mw.pipeline("text-classification", model=GOLDEN / "bert_classes")(["Well made!", "Who?"])
    texts = ("Well made!", "Who?")
    for words in ((*texts, "--json"), ("--json", *texts), ("--json", "--", *texts)):
        code, out, err = run("text-classification", "bert_classes", *words)
        assert code == 0 and err == "", err
        assert_same([json.loads(line) for line in out.splitlines()], expected)
    code, out, _ = run("sentiment-analysis", "bert_classes", "Well made!")
    assert out == f"{expected[0]['score']:.4f}  {expected[0]['label']}\n"


def test_lines_of_standard_input(run: Any) -> None:
    expected = mw.pipeline("ner", model=GOLDEN / "bert_entities")(["Wolfgang lives here.", "", "😀"])
    code, out, err = run("ner", "bert_entities", "--json", lines="Wolfgang lives here.\n\n😀\n")
    assert code == 0 and err == ""
    assert_same([json.loads(line) for line in out.splitlines()], expected)
    pairs = [{"question": "Who?", "context": "Wolfgang lives here."}, {"question": "Where?", "context": "in Berlin"}]
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
    code, out, _ = run("question-answering", "bert_answers", "--json", "--json-input", lines=lines)
    expected = mw.pipeline("question-answering", model=GOLDEN / "bert_answers")(pairs)
    assert_same([json.loads(line) for line in out.splitlines()], expected)


def test_what_tasks_need_beside_texts(run: Any) -> None:
    code, out, _ = run("question-answering", "bert_answers", "--context", "Wolfgang lives here.", "Who?", "Where?")
    assert code == 0 and len(out.splitlines()) == 2
    code, out, _ = run("zero-shot-classification", "roberta_inference", "--labels", "sport, politics", "Well made!")
    assert code == 0 and sorted(line.split("  ")[1] for line in out.splitlines()) == ["politics", "sport"]
    code, out, _ = run("text-classification", "bert_classes", "--pair", "b", "--option", "top_k=null", "a")
    assert code == 0 and len(out.splitlines()) == 3
    code, out, _ = run("sentence-similarity", "bert_classes", "a", "b", "a")
    assert code == 0 and json.loads(out)[1] == pytest.approx(1.0)
    code, out, _ = run("feature-extraction", "bert_classes", "--option", "pooling=cls", "a")
    assert code == 0 and len(json.loads(out)) == 16
    code, out, _ = run("fill-mask", "bert_words", "--option", "top_k=2", "the [MASK] and [MASK]")
    assert code == 0 and len(out.splitlines()) == 4


@pytest.mark.parametrize(
    ("task", "words", "lines", "code", "message"),
    [
        ("text-clasification", ["a"], "", 2, "did you mean `text-classification`?"),
        ("ner", ["a"], "", 4, "its heads: sequence_classification"),
        ("text-classification", ["a", "--option", "top_k"], "", 2, "--option top_k is not NAME=VALUE"),
        ("text-classification", ["a", "--option", "topk=2"], "", 2, "did you mean `top_k`?"),
        ("text-classification", ["--json-input"], "{", 2, "line 1 of the input is no JSON"),
        ("text-classification", ["a", "--colour"], "", 2, "unrecognized arguments: --colour"),
        ("text-classification", ["word " * 60], "", 2, "truncation=True leaves out what is too much"),
    ],
)
def test_mistakes(run: Any, task: str, words: list[str], lines: str, code: int, message: str) -> None:
    found, out, err = run(task, "bert_classes", *words, lines=lines)
    assert found == code and out == "" and message in err


def test_other_commands_still_refuse_what_they_do_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["list", "more"], ["tokenize", "bert", "a", "b"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        assert "unrecognized arguments" in capsys.readouterr().err


def test_in_a_pipe() -> None:
    """Standard output has results and nothing else: no bar, no warning."""
    folder = str(GOLDEN / "bert_classes")
    command = [sys.executable, str(ROOT / "cli.py"), "run", "text-classification", "--model", folder, "--json"]
    done = subprocess.run(command, input="Well made!\nWho?\n" * 3, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 6 and results[0] == pytest.approx(results[2]) and results[0].keys() == {"label", "score"}
