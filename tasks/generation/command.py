"""`modelwright generate NAME PROMPT`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from ...errors import UsageError

#: Options with a flag of their own, and the type of their values. All others go by `--option name=value`.
FLAGS = {
    "max_new_tokens": int, "max_length": int, "min_length": int, "num_beams": int, "num_return_sequences": int,
    "temperature": float, "top_k": int, "top_p": float, "repetition_penalty": float, "length_penalty": float,
    "no_repeat_ngram_size": int,
}  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    """What `generate` takes on the command line, beside what all commands do."""
    parser.add_argument("name", metavar="NAME", help="pretrained name, hub id, folder or file of weights")
    parser.add_argument("prompt", metavar="PROMPT", nargs="?", help="read from standard input if absent")
    parser.add_argument("--spec", help="whose model it is; found from the weights if absent")
    parser.add_argument("--head", help="head that scores words; the spec's first if absent")
    parser.add_argument("--tokenizer", metavar="NAME", help="where the vocabulary is; beside the weights if absent")
    for name, kind in FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N" if kind is int else "X")
    parser.add_argument("--do-sample", action="store_true", help="draw words by chance")
    parser.add_argument("--seed", type=int, help="of that chance")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="any other, as JSON")
    parser.add_argument("--stream", action="store_true", help="print text as it is written")
    parser.add_argument("--device", help="where the model runs")
    parser.add_argument("--dtype", help="float32, bfloat16, float16; the checkpoint's own if absent")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--cache-dir", metavar="DIR", help="instead of the Hugging Face cache")


def options_of(args: Namespace) -> dict[str, Any]:
    """The options of generation. UsageError."""
    options = {name: value for name in FLAGS if (value := getattr(args, name)) is not None}
    if args.do_sample:
        options["do_sample"] = True
    for text in args.option:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option {text} is not NAME=VALUE")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def run(args: Namespace) -> None:
    """Write on from a prompt, or about it."""
    import torch

    import modelwright as mw

    from .text import inputs_of

    options = options_of(args)
    prompt = sys.stdin.read().rstrip("\n") if args.prompt is None else args.prompt
    if not prompt:
        raise UsageError("the prompt is empty", help="give a text, or pipe one in")
    where = {"cache_dir": args.cache_dir, "revision": args.revision}
    model = mw.build(
        args.spec, weights=args.name, head=args.head or _head(args), overrides=args.set, device=args.device,
        dtype=args.dtype, **where,
    )  # fmt: skip
    tokenizer = mw.load_tokenizer(args.tokenizer or args.name, spec=model.spec.name if args.spec else None, **where)
    if args.seed is not None:
        options["generator"] = torch.Generator(model.device).manual_seed(args.seed)
    if args.stream:
        if args.json:
            raise UsageError("--json prints one value at the end, --stream pieces on the way: choose one")
        print("" if model.encoder_names else prompt, end="", flush=True)
        for piece in mw.stream(model, tokenizer, prompt, **options):
            print(piece, end="", flush=True)
        print()
        return
    inputs = inputs_of(model, tokenizer, [prompt])
    sequences = mw.generate(model, **inputs, tokenizer=tokenizer, **options)
    start = 0 if model.encoder_names else inputs["input_ids"].shape[1]
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in sequences[:, start:].tolist()]
    if args.json:
        print(json.dumps({"prompt": prompt, "generated": texts}, indent=1, ensure_ascii=False))
        return
    for text in texts:
        print(text if model.encoder_names else prompt + text)


def _head(args: Namespace) -> str:
    """The head for text of the spec that the weights are for: the one its config names, else the first."""
    from ...assembler.language.spec import load_spec
    from ...assembler.weights.checkpoint import open_checkpoint, spec_of

    checkpoint = open_checkpoint(args.name, cache_dir=args.cache_dir, revision=args.revision)
    checkpoint.store.close()
    sections = load_spec(args.spec or spec_of(checkpoint), args.set).sections
    heads = [head for head in sections["generation"].get("heads") or () if head in sections["heads"]]
    if not heads:
        raise UsageError(f"{args.name} has no head that writes text")
    named = (checkpoint.config or {}).get("architectures") or ()
    classes = {c: head for format in sections["configs"].values()
               for head, c in (format.get("architectures") or {}).items() if head in heads}  # fmt: skip
    return next((classes[name] for name in named if name in classes), heads[0])
