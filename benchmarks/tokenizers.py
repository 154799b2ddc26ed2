#!/usr/bin/env python3
"""Tokenizers of this checkout against the Rust library `tokenizers` and the library `sentencepiece`, on one core.

    python -P benchmarks/tokenizers.py DATA [--rounds N] [--only MODEL] [--json]

DATA is a folder with real vocabularies and texts, as `shared/data` of the project; texts are cut into passages of about
a thousand characters, which are one batch. Figures are MB of UTF-8 per second of CPU time, medians of the rounds. Cold:
a new tokenizer sees the text for the first time. Warm: it sees it again. Offsets of SentencePiece models are compared
with the Rust library's, from a tokenizer.json of the same pieces. `--processes N` also encodes the English text many
times over, in one process and in N, by the clock.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or os.curdir).resolve() not in (ROOT, ROOT / "benchmarks")]

Run = Callable[[list[str]], Any]
FILES = {
    "English": ["botchan.txt", "tinyshakespeare.txt", "wikitext2-test.txt"],
    "12 languages": ["xquad-paragraphs-12-languages.tsv"],
    "Japanese": ["wagahai.txt"],
}


def ours(spec: str | None, folder: Path, **options: Any) -> dict[str, Callable[[], Run]]:
    import modelwright as mw

    def make() -> Any:
        return mw.load_tokenizer(folder, spec=spec, **options)

    def ids() -> Run:
        tokenizer = make()
        return lambda lines: tokenizer(lines, return_attention_mask=False, return_token_type_ids=False).input_ids

    def offsets() -> Run:
        tokenizer = make()
        return lambda lines: tokenizer(lines, return_offsets_mapping=True).offset_mapping

    return {"ids": ids, "offsets": offsets}


def rust(make: Callable[[Any], Any]) -> dict[str, Callable[[], Run]]:
    import tokenizers

    def ids() -> Run:
        tokenizer = make(tokenizers)
        fast = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
        return lambda lines: [encoding.ids for encoding in fast(lines)]

    def offsets() -> Run:
        tokenizer = make(tokenizers)
        return lambda lines: [(encoding.ids, encoding.offsets) for encoding in tokenizer.encode_batch(lines)]

    return {"ids": ids, "offsets": offsets}


def whole(file: Path) -> Callable[[Any], Any]:
    return lambda wheel: wheel.Tokenizer.from_file(str(file))


def library(file: Path) -> dict[str, Callable[[], Run]]:
    import sentencepiece

    def ids() -> Run:
        processor = sentencepiece.SentencePieceProcessor(str(file))
        return lambda lines: [processor.encode(line) for line in lines]

    return {"ids": ids}


def word_piece(vocabulary: Path) -> Callable[[Any], Any]:
    def make(wheel: Any) -> Any:
        made = wheel.Tokenizer(wheel.models.WordPiece.from_file(str(vocabulary), unk_token="[UNK]"))
        made.normalizer = wheel.normalizers.BertNormalizer()
        made.pre_tokenizer = wheel.pre_tokenizers.BertPreTokenizer()
        tokens = [(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        made.post_processor = wheel.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=tokens)
        return made

    return make


def byte_level(folder: Path) -> Callable[[Any], Any]:
    def make(wheel: Any) -> Any:
        made = wheel.Tokenizer(wheel.models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe")))
        made.pre_tokenizer = wheel.pre_tokenizers.ByteLevel(add_prefix_space=False)
        return made

    return make


def passages(text: str, length: int = 1000) -> list[str]:
    """Lines, joined to about a thousand characters."""
    parts: list[str] = []
    held: list[str] = []
    for line in filter(None, text.split("\n")):
        held.append(line)
        if sum(map(len, held)) >= length:
            parts.append("\n".join(held))
            held = []
    return [*parts, "\n".join(held)] if held else parts


def measured(make: Callable[[], Run], lines: list[str], size: int) -> tuple[float, float]:
    """MB/s of the first and of the second pass."""
    run = make()
    speeds: list[float] = []
    for _ in range(2):
        gc.collect()
        start = time.process_time()
        run(lines)
        speeds.append(size / 1e6 / (time.process_time() - start))
    return speeds[0], speeds[1]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--only", help="one model of the table")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    if importlib.util.find_spec("modelwright") is None:
        spec = importlib.util.spec_from_file_location(
            "modelwright", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        sys.modules["modelwright"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["modelwright"])
    home = args.data / "tokenizers"
    pairs = {
        "WordPiece": (
            ours("bert", home / "bert-base-uncased"), rust(word_piece(home / "bert-base-uncased" / "vocab.txt"))
        ),
        "byte-level BPE": (ours("gpt2", home / "gpt2"), rust(byte_level(home / "gpt2"))),
        "SentencePiece": (ours("t5", home / "t5-base"), {
            **library(home / "t5-base" / "spiece.model"),
            "offsets": rust(whole(home / "t5-small" / "tokenizer.json"))["offsets"],
        }),
        "Unigram": (
            ours(None, home / "t5-small" / "tokenizer.json"), rust(whole(home / "t5-small" / "tokenizer.json"))
        ),
    }
    rows: list[dict[str, Any]] = []
    for text, files in FILES.items():
        lines = [part for file in files for part in passages((args.data / "text" / file).read_text("utf-8"))]
        size = sum(len(line.encode()) for line in lines)
        for name, (mine, theirs) in pairs.items():
            if args.only not in (None, name):
                continue
            for what in mine:
                turns: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
                for _ in range(args.rounds):
                    for side, makers in (("ours", mine), ("theirs", theirs)):
                        if what in makers:
                            turns[side].append(measured(makers[what], lines, size))
                for number, state in enumerate(("cold", "warm")):
                    found = {side: [pair[number] for pair in pairs_] for side, pairs_ in turns.items()}
                    rows.append({
                        "text": text, "model": name, "what": what, "cache": state, "ours": median(found["ours"]),
                        "theirs": median(found["theirs"]) if found["theirs"] else None,
                        "ratio": median(a / b for a, b in zip(found["ours"], found["theirs"], strict=True))
                        if found["theirs"] else None,
                    })
                    if not args.json:
                        row = rows[-1]
                        reference = f"{row['theirs']:8.2f} {row['ratio']:6.2f}x" if row["theirs"] else ""
                        print(f"{text:<14}{name:<16}{what:<9}{state:<6}{row['ours']:8.2f} {reference}", flush=True)
    if args.processes > 1:
        rows += shared_out(args.data, args.processes, not args.json)
    if args.json:
        print(json.dumps(rows, indent=1))


def shared_out(data: Path, processes: int, show: bool) -> list[dict[str, Any]]:
    """Seconds by the clock for a large batch, workers running, in one process and in several."""
    import modelwright as mw

    lines = [part for file in FILES["English"] for part in passages((data / "text" / file).read_text("utf-8"))] * 8
    size = sum(len(line.encode()) for line in lines)
    rows: list[dict[str, Any]] = []
    for what, options in (("ids", {}), ("offsets", {"return_offsets_mapping": True})):
        tokenizer = mw.load_tokenizer(data / "tokenizers" / "gpt2", spec="gpt2")
        seconds: dict[int, float] = {}
        for count in (1, processes):
            tokenizer(lines, processes=count, **options)
            start = time.perf_counter()
            tokenizer(lines, processes=count, **options)
            seconds[count] = time.perf_counter() - start
        rows.append({"text": "English", "model": "byte-level BPE", "what": what, "MB": size / 1e6, "seconds": seconds})
        if show:
            print(f"{size / 1e6:.0f} MB, {what}: {seconds[1]:.2f} s in one process, {seconds[processes]:.2f} s in "
                  f"{processes}", flush=True)
    return rows


if __name__ == "__main__":
    main()
