"""The benchmark runs, and its ratios are what it says. Nothing here depends on how long anything takes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "load_and_forward.py"
PAIR = ["modelwright", "transformers"]


def printed(name: str, *arguments: str) -> str:
    """What one round of a benchmark prints."""
    command = [sys.executable, "-P", str(SCRIPT.with_name(name)), *arguments, "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("load_and_forward", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sides_take_turns_and_ratios_are_of_neighbours(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[tuple[str, str]] = []
    figures = {"modelwright": [1.0, 2.0, 9.0], "transformers": [4.0, 4.0, 10.0]}

    def measure(case: str, side: str, *rest: object) -> dict[str, object]:
        if case == "prepare":
            return {"modelwright": "1", "transformers": "2"}
        taken.append((case, side))
        values = figures.get(side, [3.0, 3.0, 3.0])
        return {"forward [ms]": values[(taken.count((case, side)) - 1)], "memory [MiB]": 1000.0}

    monkeypatch.setattr(benchmark, "measure", measure)
    benchmark.main(["--rounds", "3"])
    assert [side for case, side in taken if case == "bert"] == PAIR * 3
    first, *tables = capsys.readouterr().out.split("\n\n")
    assert first.startswith("modelwright 1, transformers 2\n")
    assert tables[0].splitlines()[0].split()[-6:-3] == [*PAIR, "ratio"]
    assert tables[0].splitlines()[1].split() == ["forward", "ms", "2.0", "4.0", "0.50", "(0.25", "-", "0.90)"]
    assert tables[0].splitlines()[2].split() == ["memory", "MiB", "1,000", "1,000", "1.00", "(1.00", "-", "1.00)"]
    assert tables[2].splitlines()[1].split() == ["forward", "ms", "2.0"]  # alone: no ratio


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--threads", "0"], ["--size", "huge"]])
def test_wrong_options_are_one_error(
    benchmark: ModuleType, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(wrong)
    assert stopped.value.code == 2
    assert wrong[0] in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="there is nothing to compare with")
def test_runs() -> None:
    command = [sys.executable, "-P", str(SCRIPT), "--size", "tiny", "--rounds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {"modelwright", "transformers", "torch"} == set(report["versions"])
    cases = report["cases"]
    for name in ("bert", "gpt2"):
        assert all(list(entry["median"]) == PAIR and entry["ratio"]["median"] > 0 for entry in cases[name])
        assert {"ms", "MiB", "file sizes"} == {entry["unit"] for entry in cases[name]}
    assert any(entry["figure"].startswith("decode") for entry in cases["gpt2"])
    assert all(list(entry["median"]) == PAIR[:1] and "ratio" not in entry for entry in cases["transfo_xl"])
    assert len(cases["chunking"]) == 2


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="there is nothing to compare with")
def test_pipelines_run() -> None:
    """On both sides the same vectors come out, whatever that takes."""
    report = json.loads(printed("pipelines.py", "--size", "tiny", "--texts", "24", "--json"))
    assert 1 <= report["tokens"]["shortest"] <= report["tokens"]["mean"] <= report["tokens"]["longest"] <= 512
    assert [set(PAIR) <= set(row) and row["ratio"] > 0 for row in report["rows"]] == [True, True]
    assert all(row["difference"] <= 2e-5 for row in report["rows"])


def test_tensorflow_bundle_runs() -> None:
    head, *lines = printed("tensorflow_bundle.py", "--size", "tiny").splitlines()
    assert "memory grown" in head and len(lines) == 6 and all(" s " in line for line in lines)


@pytest.mark.skipif(importlib.util.find_spec("tokenizers") is None, reason="there is nothing to compare with")
def test_tokenizers_run(shared_data: Path, tmp_path: Path) -> None:
    """On a few lines of each text: every model in both states, with its ratio to the peer."""
    pytest.importorskip("sentencepiece")
    (tmp_path / "tokenizers").symlink_to(shared_data / "tokenizers")
    (tmp_path / "text").mkdir()
    for file in (shared_data / "text").glob("*.t*"):
        with file.open(encoding="utf-8") as lines:
            (tmp_path / "text" / file.name).write_text("".join(islice(lines, 8)), encoding="utf-8")
    rows = json.loads(printed("tokenizers.py", str(tmp_path), "--json"))
    assert len({(row["text"], row["model"], row["what"], row["cache"]) for row in rows}) == len(rows) == 3 * 4 * 2 * 2
    assert all(row["ratio"] == pytest.approx(row["ours"] / row["theirs"]) for row in rows)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="there is nothing to compare with")
def test_generation_runs() -> None:
    report = json.loads(printed("generation.py", "--size", "tiny", "--tokens", "5", "--threads", "2", "--json"))
    assert report["threads"] == 2
    assert [(job["rows"], job["beams"]) for job in report["jobs"]] == [(1, 1), (8, 1), (1, 4), (8, 4)]
    assert all(job["same_ids"] and list(job["ms_a_step"]) == [*PAIR[::-1]] for job in report["jobs"])
    assert all(job["limit_ms"] > 0 and job["times_as_fast"]["modelwright"] > 0 for job in report["jobs"])
