"""Tokens a second of `generate`, beside transformers' on the same checkpoint.

    python -P benchmarks/generation.py [--size base|tiny] [--tokens 32] [--rounds 3]
                                       [--dtype float32] [--compile] [--threads 1] [--json]

A GPT-2 of the published small size with random weights; both libraries take turns in one process, with one thread and
CPU time, or with several and the clock. `compiled` is modelwright with its steps compiled. `limit` is what reading
every weight once for each step would take at the rate at which these threads read memory, measured beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

SIZES: dict[str, dict[str, int]] = {
    "base": {}, "tiny": {"vocab_size": 99, "n_embd": 16, "n_layer": 2, "n_head": 2},
}  # fmt: skip
#: Rows of prompts, beams.
JOBS = ((1, 1), (8, 1), (1, 4), (8, 4))
PROMPT = 32


def timed(clock: Callable[[], float], call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes by a clock, and what it returns."""
    start = clock()
    result = call()
    return clock() - start, result


def reading_rate(torch: Any, linear: Any, clock: Callable[[], float]) -> float:
    """Bytes a second that are read from memory, the best of five times 400 MB: in one run, in two runs side by side,
    and as a matrix times a vector."""
    numbers = torch.ones(100_000_000)
    halves, matrix, vector = numbers.view(2, -1), numbers.view(-1, 1000), torch.ones(1, 1000)
    ways = (numbers.sum, lambda: halves[0].dot(halves[1]), lambda: linear(vector, matrix))
    with torch.no_grad():
        return 4e8 / min(timed(clock, way)[0] for way in ways for _ in range(5))


def run(
    size: str, tokens: int, rounds: int, compile: bool, dtype: str = "float32", threads: int = 1
) -> dict[str, Any]:
    """Times of each job, by side."""
    warnings.filterwarnings("ignore")
    import torch
    import transformers

    import modelwright

    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        config = transformers.GPT2Config(bos_token_id=0, eos_token_id=0, **SIZES[size])
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
        peer = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=dtype).eval()
        model = modelwright.build("gpt2", weights=Path(folder), head="causal_lm", dtype=dtype)
        sides: dict[str, Callable[..., Any]] = {"transformers": peer.generate, "modelwright": model.generate}
        if compile:
            sides["compiled"] = lambda ids, **options: model.generate(ids, compile=True, **options)
        rate = reading_rate(torch, modelwright.blocks.linear.linear, clock)
        stored = sum(p.numel() * p.element_size() for p in model.parameters())
        jobs = []
        for rows, beams in JOBS:
            ids = torch.randint(1, config.vocab_size, (rows, PROMPT), generator=torch.Generator().manual_seed(rows))
            options = {"max_new_tokens": tokens, "pad_token_id": 0, "eos_token_id": None}
            options |= {"num_beams": beams} if beams > 1 else {}
            texts = {name: side(ids, **options) for name, side in sides.items()}  # once, to warm up
            times: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(rounds):
                for name, side in sides.items():
                    call = partial(side, ids, **options)
                    times[name].append(timed(clock, call)[0])
            ratios = {n: [a / b for a, b in zip(times["transformers"], times[n], strict=True)] for n in sides}
            jobs.append({
                "rows": rows, "beams": beams, "tokens": tokens,
                "ms_a_step": {name: 1000 * median(found) / tokens for name, found in times.items()},
                "limit_ms": 1000 * stored / rate,
                "times_as_fast": {name: median(found) for name, found in ratios.items() if name != "transformers"},
                "same_ids": all(torch.equal(text, texts["transformers"]) for text in texts.values()),
            })  # fmt: skip
        versions = {module.__name__: module.__version__ for module in (modelwright, transformers, torch)}
    return {"processor": platform.processor(), "versions": versions, "dtype": dtype, "threads": threads,
            "bytes_a_second": rate, "weights": stored, "jobs": jobs}  # fmt: skip


def table(report: dict[str, Any]) -> str:
    rate, stored = report["bytes_a_second"] / 1e9, report["weights"] / 1e6
    lines = [", ".join(f"{name} {version}" for name, version in report["versions"].items()),
             f"weights {stored:,.0f} MB of {report['dtype']}, memory read at {rate:.1f} GB/s: "
             f"{stored / rate:.1f} ms a step (threads: {report['threads']})"]
    for job in report["jobs"]:
        times = "  ".join(f"{name} {ms:8.1f}" for name, ms in job["ms_a_step"].items())
        faster = "  ".join(f"{name} {ratio:.2f}x" for name, ratio in job["times_as_fast"].items())
        same = "" if job["same_ids"] else "  (ids differ)"
        lines.append(f"batch {job['rows']}, beams {job['beams']}: ms a step {times}; {faster}{same}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--tokens", type=int, default=32, help="written in each call (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken (%(default)s)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--compile", action="store_true", help="the compiled step as well: takes minutes to begin")
    parser.add_argument("--threads", type=int, default=1, help="of both libraries (%(default)s)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    if min(args.tokens, args.rounds, args.threads) < 1:
        parser.error("--tokens, --rounds and --threads must be 1 or more")
    report = run(args.size, args.tokens, args.rounds, args.compile, args.dtype, args.threads)
    print(json.dumps(report, indent=1) if args.json else table(report))


if __name__ == "__main__":
    main()
