#!/usr/bin/env python3
"""The command line: `modelwright build SPEC --weights W`, and what goes with it.

Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 the spec is invalid, 2 usage, 3 network or file,
4 weights do not fit, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

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

INTERRUPTED = 130


def generate(args: argparse.Namespace) -> None:
    """Write on from a prompt, or about it."""
    from .tasks.generation.command import run

    run(args)


def run_task(args: argparse.Namespace) -> None:
    """Do a task with a model: classify texts, find names, answer questions, fill gaps, translate, make vectors."""
    from .tasks.pipelines.command import run

    run(args)


def parser() -> argparse.ArgumentParser:
    from .assembler import commands
    from .tasks.generation.command import add_arguments
    from .tasks.pipelines.command import add_arguments as add_task_arguments

    main = argparse.ArgumentParser(
        prog="modelwright", description="Transformer models from YAML, with the authors' original weights.",
        epilog="exit codes: 0 ok, 1 invalid spec, 2 usage, 3 network or file, 4 weights do not fit, 130 interrupted",
    )  # fmt: skip
    subparsers = main.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, *shared: argparse.ArgumentParser) -> argparse.ArgumentParser:
        text = run.__doc__
        sub = subparsers.add_parser(name, help=text.partition("\n")[0], description=text, parents=[*shared, common])
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

    sub = command("build", commands.build, overrides, heads)
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

    sub = command("convert", commands.convert, overrides, heads)
    sub.add_argument("spec", metavar="SPEC", nargs="?", help="name or file; found from the weights if absent")
    sub.add_argument("--weights", metavar="W", required=True, help="pretrained name, hub id, folder, file, or URL")
    sub.add_argument("--to", metavar="FORMAT", required=True, help="a format of the spec's, or modelwright")
    sub.add_argument("--output", metavar="DIR", type=Path, required=True, help="a new folder; it gets all or none")
    sub.add_argument("--dtype", help="what parameters become: float32, bfloat16, float16; their own if absent")
    sub.add_argument("--no-verify", dest="verify", action="store_false", help="do not read every value to find NaN")
    sub.add_argument("--allow-unexpected", action="store_true", help="what the spec does not know is left out")
    sub.add_argument("--revision", help="branch, tag or commit on the hub")
    sub.add_argument("--cache-dir", metavar="DIR", help="instead of the Hugging Face cache")

    sub = command("validate", commands.validate, overrides)
    sub.add_argument("files", metavar="FILE", nargs="+", help="spec files or names")
    sub = command("list", commands.list_)
    sub.add_argument("--reference", action="store_true", help="print the table of all families in Markdown instead")
    sub = command("describe", commands.describe, overrides, heads)
    sub.add_argument("spec", metavar="SPEC")
    sub.add_argument("--batch", type=int, default=1, help="rows, to count operations for (%(default)s)")
    sub.add_argument("--length", type=int, default=128, help="tokens a row (%(default)s)")
    sub = command("render", commands.render, overrides)
    sub.add_argument("spec", metavar="SPEC")
    sub = command("diff", commands.diff, overrides)
    sub.add_argument("a", metavar="SPEC")
    sub.add_argument("b", metavar="OTHER", help="`--set` changes this one")
    sub = command("inspect", commands.inspect)
    sub.add_argument("path", metavar="PATH", help="file, folder, archive, URL, pretrained name or hub id")
    sub.add_argument("--verify", action="store_true", help="read every tensor: stored checksums, NaN")
    sub.add_argument("--cache-dir", metavar="DIR", type=Path, help="instead of the Hugging Face cache")
    sub = command("tokenize", commands.tokenize)
    sub.add_argument("name", metavar="NAME", help="as for `build --weights`, or a vocabulary file")
    sub.add_argument("text", metavar="TEXT", nargs="?", help="what is piped in, if absent or `-`")
    sub.add_argument("--pair", metavar="TEXT", help="a second text")
    sub.add_argument("--spec", help="whose tokenizer it is; found from the name or the files if absent")
    sub.add_argument("--no-special", dest="special", action="store_false", help="without special tokens")
    sub.add_argument("--revision", help="branch, tag or commit on the hub")
    sub.add_argument("--cache-dir", metavar="DIR", help="instead of the Hugging Face cache")
    add_arguments(command("generate", generate, overrides))
    add_task_arguments(command("run", run_task))
    sub = command("schema", commands.schema)
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
    from .assembler.commands import color, print_json
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
            print_json({"errors": problems, "exit_code": error.exit_code})
        print(error.render(color(sys.stderr)), file=sys.stderr)
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
