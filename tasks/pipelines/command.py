"""`modelwright run`: texts from the command line or a pipe, results to stdout as they come."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import UsageError
from .catalogue import find_task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes. Imports no torch."""
    parser.add_argument("task", metavar="TASK", help="text-classification, ner, … (docs/pipelines.md)")
    parser.add_argument("text", metavar="TEXT", nargs="*", help="inputs; the lines of standard input if absent")
    parser.add_argument("--model", required=True, metavar="NAME", help="pretrained name, hub id, or folder")
    parser.add_argument("--tokenizer", metavar="NAME", help="the model's own if absent")
    parser.add_argument("--context", metavar="TEXT", help="where the answers to questions are")
    parser.add_argument("--pair", metavar="TEXT", help="a second text for each")
    parser.add_argument("--labels", metavar="A,B,…", help="candidate labels of a zero-shot classification")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the task")
    parser.add_argument("--json-input", action="store_true", help="lines of standard input are JSON")
    parser.add_argument("--batch-size", type=int, default=8, help="rows that run together (%(default)s)")
    parser.add_argument("--spec", help="whose model it is; found from the weights if absent")
    parser.add_argument("--head", metavar="NAME", help="head that does the task, if not the usual one")
    parser.add_argument("--device", help="where the model runs")
    parser.add_argument("--dtype", help="of the parameters; the checkpoint's own if absent")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--cache-dir", metavar="DIR", help="instead of the Hugging Face cache")


def run(args: argparse.Namespace) -> None:
    """Print what becomes of each input: with `--json` a line of JSON, else lines for people."""
    from .create import pipeline

    task = find_task(args.task)
    shown = sys.stderr.isatty() and not sys.stdout.isatty()
    pipe = pipeline(
        args.task, model=args.model, tokenizer=args.tokenizer, spec=args.spec, head=args.head, device=args.device,
        dtype=args.dtype, cache_dir=args.cache_dir, revision=args.revision, batch_size=args.batch_size,
        progress=None if shown else False, **_options(args),
    )  # fmt: skip
    given = [*args.text] if args.text else _lines(sys.stdin, args.json_input)
    for result in pipe(iter(_inputs(task.name, given, args))):
        if args.json:
            print(json.dumps(result, ensure_ascii=False), flush=True)
        else:
            print(*_shown(result), sep="\n", flush=True)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """`--option top_k=3`: a value is JSON, or else a text."""
    options: dict[str, Any] = {}
    for text in args.option:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--option {text} is not NAME=VALUE")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    if args.labels is not None:
        options["candidate_labels"] = args.labels
    return options


def _lines(stream: Iterable[str], as_json: bool) -> Iterator[Any]:
    for number, line in enumerate(stream, start=1):
        text = line.rstrip("\r\n")
        if not as_json:
            yield text
            continue
        try:
            yield json.loads(text)
        except ValueError as error:
            raise UsageError(f"line {number} of the input is no JSON: {error}") from None


def _inputs(task: str, given: Iterable[Any], args: argparse.Namespace) -> Iterable[Any]:
    """Inputs of the task, from texts and what the command line says of all of them."""
    if task == "sentence-similarity" and args.text:
        source, *sentences = args.text
        return [{"source_sentence": source, "sentences": sentences}]
    if task == "question-answering" and args.context is not None:
        return ({"question": text, "context": args.context} for text in given)
    if args.pair is not None:
        return ({"text": text, "text_pair": args.pair} for text in given)
    return given


def _shown(result: Any) -> Iterator[str]:
    """A result in lines: what it says first, then the numbers."""
    if isinstance(result, Mapping) and "labels" in result:
        for label, score in zip(result["labels"], result["scores"], strict=True):
            yield f"{score:.4f}  {label}"
    elif isinstance(result, Mapping):
        words = [str(value) for name, value in result.items() if not isinstance(value, float) and name not in _PLACES]
        numbers = [f"{value:.4f}" for value in result.values() if isinstance(value, float)]
        places = ["-".join(str(result[name]) for name in _PLACES)] if set(_PLACES) <= set(result) else []
        yield "  ".join((*numbers, *places, *words))
    elif isinstance(result, list) and result and isinstance(result[0], Mapping | list) and not _numbers(result[0]):
        for one in result:
            yield from _shown(one)
    else:
        yield json.dumps(result, ensure_ascii=False)


_PLACES = ("start", "end")


def _numbers(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, float)
