"""modelwright beside transformers in one run: import, load, memory, forward, decoding, each as a ratio.

    python -P benchmarks/load_and_forward.py [--rounds N] [--size base|tiny] [--threads N] [--json]

Every measurement is a process of its own, and the sides take turns (A B A B …). A ratio is of two neighbours; the
table shows its median over the rounds, and the least and greatest. What each line means: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

# Nothing large may be imported here: on Linux a child starts with its parent's peak of memory as its own.

ROOT = Path(__file__).resolve().parent.parent
MEASURE = Path(__file__).with_name("measure.py")
DIGITS = {"ms": 1, "MiB": 0, "file sizes": 2}


class Case(NamedTuple):
    """A case of measure.py, and who takes it. The ratio is that of the first side to the second."""

    name: str
    title: str
    sides: tuple[str, ...]


PAIR = ("modelwright", "transformers")
CASES = (
    Case("bert", "BERT with its masked LM head", PAIR),
    Case("gpt2", "GPT-2 with its LM head", PAIR),
    Case("transfo_xl", "Transformer-XL body (transformers 5 has none)", PAIR[:1]),
    Case("xlnet", "XLNet body of 2 layers, a long text", PAIR),
    Case("t5_encoder", "T5 encoder of 2 layers, a long text", PAIR),
    Case("chunking", "feed-forward block", ("chunk_size 64", "chunk_size 0")),
)


def measure(case: str, side: str, size: str, threads: int, folder: Path) -> dict[str, Any]:
    """What one process of measure.py prints. SystemExit with its errors if it fails."""
    environment = os.environ | {
        "PYTHONPATH": str(folder), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    command = [sys.executable, "-P", str(MEASURE), case, side, size, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stderr}\n{case}, {side}: failed with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(case: Case, rounds: list[Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """One entry a figure: median per side, and the ratio of the sides within each round as median, least, greatest."""
    entries = []
    for name in rounds[0][case.sides[0]]:
        figure, _, unit = name.removesuffix("]").rpartition(" [")
        values = {side: [taken[side][name] for taken in rounds] for side in case.sides}
        entry = {"figure": figure, "unit": unit, "median": {side: median(values[side]) for side in values}}
        if len(case.sides) == 2:
            first, second = values.values()
            ratios = [a / b for a, b in zip(first, second, strict=True)]
            entry["ratio"] = {"median": median(ratios), "least": min(ratios), "greatest": max(ratios)}
        entries.append(entry)
    return entries


def table(case: Case, entries: list[dict[str, Any]]) -> str:
    """The entries of a case for people."""
    ratio = "ratio  (least - greatest)" if len(case.sides) == 2 else ""
    lines = [f"{case.title:<60}" + "".join(f"{side:>14}" for side in case.sides) + f"   {ratio}"]
    for entry in entries:
        numbers = (f"{value:>14,.{DIGITS[entry['unit']]}f}" for value in entry["median"].values())
        line = f"  {entry['figure']:<46}{entry['unit']:>12}" + "".join(numbers)
        if "ratio" in entry:
            line += "   {median:.2f}  ({least:.2f} - {greatest:.2f})".format(**entry["ratio"])
        lines.append(line)
    return "\n".join(line.rstrip() for line in lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="modelwright beside transformers: import, load, memory, forward")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side (default: 5)")
    parser.add_argument("--size", choices=("base", "tiny"), default="base", help="tiny only shows that it runs")
    parser.add_argument("--threads", type=int, default=1, help="threads of either side (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON in the place of tables")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads count from 1")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "modelwright").symlink_to(ROOT)  # this checkout, whatever is installed
        versions = measure("prepare", "", options.size, options.threads, folder)
        report: dict[str, Any] = {
            "versions": versions,
            "size": options.size,
            "threads": options.threads,
            "rounds": options.rounds,
            "cases": {},
        }
        if not options.json:
            print(", ".join(f"{library} {version}" for library, version in versions.items()))
            print(f"size {options.size}, {options.threads} thread(s), medians of {options.rounds} round(s)", flush=True)
        for case in CASES:
            rounds = [
                {side: measure(case.name, side, options.size, options.threads, folder) for side in case.sides}
                for _ in range(options.rounds)
            ]
            report["cases"][case.name] = entries = compare(case, rounds)
            if not options.json:
                print(f"\n{table(case, entries)}", flush=True)
    if options.json:
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
