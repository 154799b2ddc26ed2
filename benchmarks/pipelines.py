#!/usr/bin/env python3
"""Feature extraction from many texts of realistic lengths: `mw.pipeline` against transformers' pipeline.

    python -P benchmarks/pipelines.py [DATA] [--size base|small|tiny] [--texts N] [--batch-size N] [--rounds N] [--json]

DATA is a folder with real vocabularies and texts, as `shared/data` of the project; without it texts are drawn from a
generator, with lengths of a log-normal distribution. One thread, CPU time of the process, sides in turn.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or os.curdir).resolve() not in (ROOT, ROOT / "benchmarks")]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
#: What differs from bert-base; `small` has the size of all-MiniLM-L6-v2.
SIZES: dict[str, dict[str, int]] = {
    "base": {},
    "small": {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
    "tiny": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
}
POOLED, TOKENS = "one vector a text", "a vector a token"


def from_data(data: Path, count: int, draw: random.Random) -> tuple[list[str], list[str]]:
    """Stretches of one to six sentences of real prose, and a real vocabulary."""
    text = " ".join((data / "text" / name).read_text("utf-8") for name in ("botchan.txt", "tinyshakespeare.txt"))
    sentences = re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text))
    texts = []
    for _ in range(count):
        start = draw.randrange(len(sentences) - 6)
        texts.append(" ".join(sentences[start : start + draw.choice((1, 1, 1, 2, 2, 3, 4, 6))]))
    vocabulary = (data / "tokenizers" / "bert-base-uncased" / "vocab.txt").read_text("utf-8").splitlines()
    return texts, vocabulary


def generated(count: int, draw: random.Random) -> tuple[list[str], list[str]]:
    """Words at random, 30 in the middle, a tenth of the texts above 85; and the vocabulary of these words."""
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(5000)]
    lengths = (min(500, max(1, int(draw.lognormvariate(3.4, 0.8)))) for _ in range(count))
    texts = [" ".join(draw.choices(words, k=length)) for length in lengths]
    return texts, list(dict.fromkeys([*SPECIAL, *words]))


def prepare(folder: Path, size: str, vocabulary: list[str]) -> None:
    """A random BERT and its vocabulary, as both sides read them."""
    import modelwright as mw

    mw.build("bert", vocab_size=len(vocabulary), **SIZES[size]).save(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 512, "do_lower_case": True}))


def sides(folder: Path, batch_size: int) -> dict[str, dict[str, Callable[[list[str]], Any]]]:
    """What is measured, by side."""
    import torch
    import transformers

    import modelwright as mw

    ours = mw.pipeline("feature-extraction", model=folder, batch_size=batch_size, progress=False)
    theirs = transformers.pipeline(
        "feature-extraction", model=str(folder), tokenizer=str(folder), batch_size=batch_size, device="cpu"
    )

    def their_means(texts: list[str]) -> list[Any]:
        # their pipeline does not pool: what people write behind it; rows come out with the padding of their batch
        lengths = [len(theirs.tokenizer(text, truncation=True)["input_ids"]) for text in texts]
        found = theirs(texts, truncation=True, return_tensors=True)
        return [rows[0, :length].mean(dim=0) for rows, length in zip(found, lengths, strict=True)]

    return {
        TOKENS: {
            "modelwright": lambda texts: ours(texts, truncation=True, return_tensors=True),
            "transformers": lambda texts: theirs(texts, truncation=True, return_tensors=True),
        },
        POOLED: {
            "modelwright": lambda texts: torch.stack(
                ours(texts, truncation=True, return_tensors=True, pooling="mean")
            ),
            "transformers": lambda texts: torch.stack(their_means(texts)),
        },
    }


def timed(call: Callable[[list[str]], Any], texts: list[str]) -> tuple[float, Any]:
    """Seconds of CPU time, and the result."""
    gc.collect()
    start = time.process_time()
    result = call(texts)
    return time.process_time() - start, result


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    for name in ("texts", "batch_size", "rounds"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if importlib.util.find_spec("modelwright") is None:
        spec = importlib.util.spec_from_file_location(
            "modelwright", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        sys.modules["modelwright"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["modelwright"])
    import torch

    torch.set_num_threads(1)
    draw = random.Random(0)
    texts, vocabulary = generated(args.texts, draw) if args.data is None else from_data(args.data, args.texts, draw)
    folder = Path(tempfile.mkdtemp(prefix="modelwright-benchmark-"))
    try:
        prepare(folder, args.size, vocabulary)
        report = measured(sides(folder, args.batch_size), texts, args.rounds)
    finally:
        shutil.rmtree(folder)
    if args.json:
        print(json.dumps(report, indent=1))
        return
    lengths = report["tokens"]
    print(f"{args.texts} texts of {lengths['shortest']} to {lengths['longest']} tokens, on average "
          f"{lengths['mean']:.0f}; {args.size}, {args.batch_size} in a batch")  # fmt: skip
    for row in report["rows"]:
        print(f"{row['what']:<20}{row['modelwright']:8.2f} s{row['transformers']:8.2f} s{row['ratio']:7.2f}x"
              f"   difference {row['difference']:.0e}")  # fmt: skip


def measured(pairs: dict[str, dict[str, Callable[[list[str]], Any]]], texts: list[str], rounds: int) -> dict[str, Any]:
    """Medians of all rounds, and the ratio of neighbours, theirs to ours."""
    rows = []
    for what, calls in pairs.items():
        for call in calls.values():
            call(texts[:16])
        times: dict[str, list[float]] = {side: [] for side in calls}
        for _ in range(rounds):
            results = {}
            for side, call in calls.items():
                seconds, results[side] = timed(call, texts)
                times[side].append(seconds)
        gap = max(
            float((mine.squeeze(0) - other.squeeze(0)[: mine.squeeze(0).shape[0]]).abs().max())
            for mine, other in zip(results["modelwright"], results["transformers"], strict=True)
        )
        if what == TOKENS:
            counts = [mine.shape[1] for mine in results["modelwright"]]
        ratio = median(b / a for a, b in zip(times["modelwright"], times["transformers"], strict=True))
        medians = {side: median(of) for side, of in times.items()}
        rows.append({"what": what, **medians, "ratio": ratio, "difference": gap})
    tokens = {"shortest": min(counts), "longest": max(counts), "mean": sum(counts) / len(counts)}
    return {"tokens": tokens, "rows": rows}


if __name__ == "__main__":
    main()
