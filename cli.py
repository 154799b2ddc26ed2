#!/usr/bin/env python3
"""The command line: `modelwright build SPEC --weights W`, and what goes with it.

Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 the spec is invalid, 2 usage, 3 network or file,
4 weights do not fit, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run as a script: this checkout is the package, and its folder must not hide others
    _root = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or os.curdir).resolve() != _root]
    import importlib.util

    _spec = importlib.util.spec_from_file_location(
        "modelwright", _root / "__init__.py", submodule_search_locations=[str(_root)]
    )
    sys.modules["modelwright"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["modelwright"])
    __package__ = "modelwright"

if TYPE_CHECKING:
    from .assembler.language.spec import Spec

INTERRUPTED = 130


def build(args: argparse.Namespace) -> None:
    """Assemble a model, pour weights in, say what became of each, and write it out if asked to."""
    import modelwright as mw

    model = mw.build(
        args.spec, weights=args.weights, head=_heads(args), overrides=args.set, device=args.device, dtype=args.dtype,
        allow_missing=args.allow_missing, allow_unexpected=args.allow_unexpected, verify=args.verify,
        cache_dir=args.cache_dir, revision=args.revision, dry_run=args.dry_run,
    )  # fmt: skip
    files = [str(path) for path in model.save(args.output, args.format)] if args.output and not args.dry_run else []
    parts = [*model.part_names, *(f"heads.{name}" for name in model.heads)]
    if args.json:
        _print_json({
            "spec": model.spec.name, "parts": parts, "parameters": model.num_parameters(),
            "config": model.config.to_dict(), "report": model.load_report.as_dict(), "written": files,
        })  # fmt: skip
        return
    print(f"{model.spec.name}: {', '.join(parts)}; {model.num_parameters():,} parameters")
    print(model.load_report)
    if args.dry_run:
        print("dry run: names and shapes fit, no tensor was read")
    for file in files:
        print(f"written  {file}")


def convert(args: argparse.Namespace) -> None:
    """Write weights in another format of their spec, with every head that they have, and say what became of each."""
    import modelwright as mw

    done = mw.convert(
        args.weights, args.to, args.output, args.spec, head=_heads(args), overrides=args.set, dtype=args.dtype,
        allow_unexpected=args.allow_unexpected, verify=args.verify, cache_dir=args.cache_dir, revision=args.revision,
    )  # fmt: skip
    _print_json(done.as_dict()) if args.json else print(done)


def validate(args: argparse.Namespace) -> int:
    """Check specs without building them: keys, types, names, sizes. No torch is imported."""
    from .assembler.language.validate import check_file

    results = {file: check_file(file, args.set) for file in args.files}
    if args.json:
        _print_json({file: [diagnostic.as_dict() for diagnostic in found] for file, found in results.items()})
    else:
        problems = [diagnostic.render(_color(sys.stderr)) for found in results.values() for diagnostic in found]
        if problems:
            print("\n\n".join(problems), file=sys.stderr)
        for file, found in results.items():
            print(f"{file}: " + (f"{len(found)} problem{'s' * (len(found) > 1)}" if found else "ok"))
    return 1 if any(results.values()) else 0


def list_(args: argparse.Namespace) -> None:
    """List the specs and the pretrained names that come with modelwright."""
    from .assembler.language.catalogue import catalogue, family_reference

    if args.reference:
        print(family_reference(), end="")
        return
    entries = catalogue()
    if args.json:
        _print_json(entries)
        return
    for entry in entries:
        print(f"{entry['spec']}  {entry['title']}" + (f"  ({entry['paper']})" if entry["paper"] else ""))
        print(f"  heads       {', '.join(entry['heads'])}")
        width = max((len(name) for name in entry["pretrained"]), default=0)
        for index, (name, where) in enumerate(entry["pretrained"].items()):
            print(f"  {'pretrained' if index == 0 else '':<10}  {name:<{width}}  {where}")


def describe(args: argparse.Namespace) -> None:
    """Show a model's tree with shapes, its parameters, memory and operations. Nothing is allocated."""
    from .assembler.assemble import assemble
    from .assembler.describe import describe as describe_model
    from .assembler.language.spec import load_spec
    from .assembler.language.validate import checked_hparams

    spec = load_spec(args.spec, args.set)
    model = assemble(spec, checked_hparams(spec), _heads(args)).model
    description = describe_model(model, batch=args.batch, length=args.length)
    _print_json(description.as_dict()) if args.json else print(description)


def render(args: argparse.Namespace) -> None:
    """Print the merged spec, each line with the file and line it came from."""
    from .assembler.language.render import render as render_spec

    spec = _spec(args.spec, args.set)
    if args.json:
        _print_json(spec.composition.tree)
    else:
        print(render_spec(spec.composition, _color(sys.stdout)), end="")


def diff(args: argparse.Namespace) -> None:
    """Show what distinguishes two specs."""
    from .assembler.language.render import diff as diff_specs
    from .assembler.language.render import render_diff

    changes = diff_specs(_spec(args.a).composition, _spec(args.b, args.set).composition)
    if args.json:
        _print_json([change.as_dict() for change in changes])
    else:
        print(render_diff(changes, _color(sys.stdout)) if changes else "no difference")


def schema(args: argparse.Namespace) -> None:
    """Print the JSON schema of the spec language, generated from the blocks, plugins included."""
    from .assembler.language.schema import block_reference, build_schema

    print(block_reference(), end="") if args.reference else _print_json(build_schema())


def inspect(args: argparse.Namespace) -> int:
    """Say what a checkpoint, archive or config is: format, family, config, tensors. Nothing is loaded."""
    from .assembler.weights.inspection import inspect as inspect_path

    found = inspect_path(args.path, verify=args.verify, cache_dir=args.cache_dir)
    if args.json:
        _print_json(found.as_dict())
    else:
        print(found)
        for problem in found.problems:
            print(f"\n{problem.render(_color(sys.stderr))}", file=sys.stderr)
    return 4 if found.problems else 0


def tokenize(args: argparse.Namespace) -> None:
    """Show how a text becomes ids: tokens, ids, and where in the text each comes from. No torch is imported."""
    from .assembler.tokenizer import load_tokenizer

    text = _standard_input() if args.text in (None, "-") else args.text
    tokenizer = load_tokenizer(args.name, spec=args.spec, cache_dir=args.cache_dir, revision=args.revision)
    texts = (text, args.pair) if args.pair is not None else (text,)
    encoding = tokenizer(
        *texts, add_special_tokens=args.special, return_offsets_mapping=True, return_token_type_ids=True
    )
    places = zip(encoding.offset_mapping, encoding.sequence_ids(), strict=True)
    rows = [
        {"token": token, "id": number, "type": kind, "start": start, "end": end,
         "text": None if sequence is None else texts[sequence][start:end]}
        for token, number, kind, ((start, end), sequence) in zip(
            encoding.tokens(), encoding.input_ids, encoding.token_type_ids, places, strict=True
        )
    ]  # fmt: skip
    if args.json:
        _print_json(rows)
        return
    cells = [("", "id", "type", "from", "token", "text")] + [
        (str(number), str(row["id"]), str(row["type"]), "" if row["text"] is None else f"{row['start']}-{row['end']}",
         _visible(row["token"]), "" if row["text"] is None else _visible(row["text"]))
        for number, row in enumerate(rows)
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        numbers = "  ".join(f"{cell:>{width}}" for cell, width in zip(row[:3], widths, strict=False))
        texts = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[3:], widths[3:], strict=True))
        print(f"{numbers}  {texts}".rstrip())


def _standard_input() -> str:
    """The text that is piped in, without the line break at its end."""
    from .errors import UsageError

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no text is given", help="name it, or pipe it in: echo … | modelwright tokenize NAME")
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as problem:
        raise UsageError(f"the text that is piped in is not UTF-8: {problem}") from None


def generate(args: argparse.Namespace) -> None:
    """Write on from a prompt, or about it."""
    from .tasks.generation.command import run

    run(args)


def run_task(args: argparse.Namespace) -> None:
    """Do a task with a model: classify texts, find names, answer questions, fill gaps, translate, make vectors."""
    from .tasks.pipelines.command import run

    run(args)


def _visible(text: str | None) -> str:
    """Text for one line of a table: what does not print is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text or "")


def _spec(name: str, overrides: list[str] | None = None) -> Spec:
    from .assembler.language.spec import load_spec

    return load_spec(name, overrides)


def _heads(args: argparse.Namespace) -> str | list[str] | None:
    return args.head[0] if args.head and len(args.head) == 1 else args.head


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def _color(stream: Any) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ


def parser() -> argparse.ArgumentParser:
    from .tasks.generation.command import add_arguments
    from .tasks.pipelines.command import add_arguments as add_task_arguments

    main = argparse.ArgumentParser(
        prog="modelwright", description="Transformer models from YAML, with the authors' original weights.",
        epilog="exit codes: 0 ok, 1 invalid spec, 2 usage, 3 network or file, 4 weights do not fit, 130 interrupted",
    )  # fmt: skip
    commands = main.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, *shared: argparse.ArgumentParser) -> argparse.ArgumentParser:
        text = run.__doc__
        sub = commands.add_parser(name, help=text.partition("\n")[0], description=text, parents=[*shared, common])
        sub.set_defaults(run=run)
        return sub

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print results for machines")
    common.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="import own blocks")
    common.add_argument("--traceback", action="store_true", help="show where in the code an error was raised")
    overrides = argparse.ArgumentParser(add_help=False)
    overrides.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                           help="change an hparam (num_hidden_layers=6) or a value by its path")  # fmt: skip
    heads = argparse.ArgumentParser(add_help=False)
    heads.add_argument("--head", action="append", metavar="NAME", help="head to build; again for several")

    sub = command("build", build, overrides, heads)
    sub.add_argument("spec", metavar="SPEC", nargs="?", help="name or file; found from the weights if absent")
    sub.add_argument("--weights", metavar="W", help="pretrained name (or name@format), hub id, folder, file or URL")
    sub.add_argument("--device", help="where the parameters go")
    sub.add_argument("--dtype", help="what they become: float32, bfloat16, float16; the checkpoint's own if absent")
    sub.add_argument("--output", metavar="DIR", type=Path, help="write the model there")
    sub.add_argument("--format", default="huggingface", help="format of what is written (%(default)s)")
    sub.add_argument("--dry-run", action="store_true", help="check names and shapes, read no tensor, write nothing")
    sub.add_argument("--no-verify", dest="verify", action="store_false", help="do not read every value to find NaN")
    sub.add_argument("--allow-missing", action="store_true", help="what the checkpoint lacks starts untrained")
    sub.add_argument("--allow-unexpected", action="store_true", help="what the spec does not know is left out")
    sub.add_argument("--revision", help="branch, tag or commit on the hub")
    sub.add_argument("--cache-dir", metavar="DIR", help="instead of the Hugging Face cache")

    sub = command("convert", convert, overrides, heads)
    sub.add_argument("spec", metavar="SPEC", nargs="?", help="name or file; found from the weights if absent")
    sub.add_argument("--weights", metavar="W", required=True, help="pretrained name, hub id, folder, file, or URL")
    sub.add_argument("--to", metavar="FORMAT", required=True, help="a format of the spec's, or modelwright")
    sub.add_argument("--output", metavar="DIR", type=Path, required=True, help="a new folder; it gets all or none")
    sub.add_argument("--dtype", help="what parameters become: float32, bfloat16, float16; their own if absent")
    sub.add_argument("--no-verify", dest="verify", action="store_false", help="do not read every value to find NaN")
    sub.add_argument("--allow-unexpected", action="store_true", help="what the spec does not know is left out")
    sub.add_argument("--revision", help="branch, tag or commit on the hub")
    sub.add_argument("--cache-dir", metavar="DIR", help="instead of the Hugging Face cache")

    sub = command("validate", validate, overrides)
    sub.add_argument("files", metavar="FILE", nargs="+", help="spec files or names")
    sub = command("list", list_)
    sub.add_argument("--reference", action="store_true", help="print the table of all families in Markdown instead")
    sub = command("describe", describe, overrides, heads)
    sub.add_argument("spec", metavar="SPEC")
    sub.add_argument("--batch", type=int, default=1, help="rows, to count operations for (%(default)s)")
    sub.add_argument("--length", type=int, default=128, help="tokens a row (%(default)s)")
    sub = command("render", render, overrides)
    sub.add_argument("spec", metavar="SPEC")
    sub = command("diff", diff, overrides)
    sub.add_argument("a", metavar="SPEC")
    sub.add_argument("b", metavar="OTHER", help="`--set` changes this one")
    sub = command("inspect", inspect)
    sub.add_argument("path", metavar="PATH", help="file, folder, archive, URL, pretrained name or hub id")
    sub.add_argument("--verify", action="store_true", help="read every tensor: stored checksums, NaN")
    sub.add_argument("--cache-dir", metavar="DIR", type=Path, help="instead of the Hugging Face cache")
    sub = command("tokenize", tokenize)
    sub.add_argument("name", metavar="NAME", help="as for `build --weights`, or a vocabulary file")
    sub.add_argument("text", metavar="TEXT", nargs="?", help="what is piped in, if absent or `-`")
    sub.add_argument("--pair", metavar="TEXT", help="a second text")
    sub.add_argument("--spec", help="whose tokenizer it is; found from the name or the files if absent")
    sub.add_argument("--no-special", dest="special", action="store_false", help="without special tokens")
    sub.add_argument("--revision", help="branch, tag or commit on the hub")
    sub.add_argument("--cache-dir", metavar="DIR", help="instead of the Hugging Face cache")
    add_arguments(command("generate", generate, overrides))
    add_task_arguments(command("run", run_task))
    sub = command("schema", schema)
    sub.add_argument("--reference", action="store_true", help="print the reference of all blocks in Markdown instead")
    return main


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """The command line. argparse takes an open list of texts for empty when options follow the words before it, so
    texts behind options come back as unknown."""
    main = parser()
    args, rest = main.parse_known_args(argv)
    texts = getattr(args, "text", None)
    ended = rest[:1] == ["--"]
    unknown = [word for word in rest[ended:] if word.startswith("-") and not ended] if isinstance(texts, list) else rest
    if unknown:
        main.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        texts += rest[ended:]
    return args


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    args = parsed(argv)
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # torch's, where there is no NumPy
    from .errors import DownloadError, ModelwrightError, UsageError

    try:
        for module in args.plugin:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise UsageError(f"the plugin `{module}` cannot be imported: {error}") from None
        code = args.run(args) or 0
        print(end="", flush=True)
        return code
    except ModelwrightError as error:
        if args.traceback:
            raise
        if args.json:
            problems = [diagnostic.as_dict() for diagnostic in error.diagnostics]
            _print_json({"errors": problems, "exit_code": error.exit_code})
        print(error.render(_color(sys.stderr)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if args.traceback:
            raise
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if args.traceback:
            raise
        print(f"error: {error.strerror or error}", file=sys.stderr)
        return DownloadError.exit_code


if __name__ == "__main__":
    sys.exit(main())
