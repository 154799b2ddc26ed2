"""The commands that make, change and show things, for the command line: results to stdout.

Each takes what was parsed and returns an exit code, or None for 0. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .language.spec import Spec


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
        print_json({
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
    print_json(done.as_dict()) if args.json else print(done)


def validate(args: argparse.Namespace) -> int:
    """Check specs without building them: keys, types, names, sizes. No torch is imported."""
    from .language.validate import check_file

    results = {file: check_file(file, args.set) for file in args.files}
    if args.json:
        print_json({file: [diagnostic.as_dict() for diagnostic in found] for file, found in results.items()})
    else:
        problems = [diagnostic.render(color(sys.stderr)) for found in results.values() for diagnostic in found]
        if problems:
            print("\n\n".join(problems), file=sys.stderr)
        for file, found in results.items():
            print(f"{file}: " + (f"{len(found)} problem{'s' * (len(found) > 1)}" if found else "ok"))
    return 1 if any(results.values()) else 0


def list_(args: argparse.Namespace) -> None:
    """List the specs and the pretrained names that come with modelwright."""
    from .language.catalogue import catalogue, family_reference

    if args.reference:
        print(family_reference(), end="")
        return
    entries = catalogue()
    if args.json:
        print_json(entries)
        return
    for entry in entries:
        print(f"{entry['spec']}  {entry['title']}" + (f"  ({entry['paper']})" if entry["paper"] else ""))
        print(f"  heads       {', '.join(entry['heads'])}")
        width = max((len(name) for name in entry["pretrained"]), default=0)
        for index, (name, where) in enumerate(entry["pretrained"].items()):
            print(f"  {'pretrained' if index == 0 else '':<10}  {name:<{width}}  {where}")


def describe(args: argparse.Namespace) -> None:
    """Show a model's tree with shapes, its parameters, memory and operations. Nothing is allocated."""
    from .assemble import assemble
    from .describe import describe as describe_model
    from .language.spec import load_spec
    from .language.validate import checked_hparams

    spec = load_spec(args.spec, args.set)
    model = assemble(spec, checked_hparams(spec), _heads(args)).model
    description = describe_model(model, batch=args.batch, length=args.length)
    print_json(description.as_dict()) if args.json else print(description)


def render(args: argparse.Namespace) -> None:
    """Print the merged spec, each line with the file and line it came from."""
    from .language.render import render as render_spec

    spec = _spec(args.spec, args.set)
    if args.json:
        print_json(spec.composition.tree)
    else:
        print(render_spec(spec.composition, color(sys.stdout)), end="")


def diff(args: argparse.Namespace) -> None:
    """Show what distinguishes two specs."""
    from .language.render import diff as diff_specs
    from .language.render import render_diff

    changes = diff_specs(_spec(args.a).composition, _spec(args.b, args.set).composition)
    if args.json:
        print_json([change.as_dict() for change in changes])
    else:
        print(render_diff(changes, color(sys.stdout)) if changes else "no difference")


def schema(args: argparse.Namespace) -> None:
    """Print the JSON schema of the spec language, generated from the blocks, plugins included."""
    from .language.schema import block_reference, build_schema

    print(block_reference(), end="") if args.reference else print_json(build_schema())


def inspect(args: argparse.Namespace) -> int:
    """Say what a checkpoint, archive or config is: format, family, config, tensors. Nothing is loaded."""
    from .weights.inspection import inspect as inspect_path

    found = inspect_path(args.path, verify=args.verify, cache_dir=args.cache_dir)
    if args.json:
        print_json(found.as_dict())
    else:
        print(found)
        for problem in found.problems:
            print(f"\n{problem.render(color(sys.stderr))}", file=sys.stderr)
    return 4 if found.problems else 0


def tokenize(args: argparse.Namespace) -> None:
    """Show how a text becomes ids: tokens, ids, and where in the text each comes from. No torch is imported."""
    from ..tokenizers.shown import rows_of, table
    from .tokenizer import load_tokenizer

    text = _standard_input() if args.text in (None, "-") else args.text
    tokenizer = load_tokenizer(args.name, spec=args.spec, cache_dir=args.cache_dir, revision=args.revision)
    rows = rows_of(tokenizer, text, args.pair, add_special_tokens=args.special)
    print_json(rows) if args.json else print(table(rows))


def _standard_input() -> str:
    """The text that is piped in, without the line break at its end."""
    from ..errors import UsageError

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("no text is given", help="name it, or pipe it in: echo … | modelwright tokenize NAME")
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as problem:
        raise UsageError(f"the text that is piped in is not UTF-8: {problem}") from None


def _spec(name: str, overrides: list[str] | None = None) -> Spec:
    from .language.spec import load_spec

    return load_spec(name, overrides)


def _heads(args: argparse.Namespace) -> str | list[str] | None:
    return args.head[0] if args.head and len(args.head) == 1 else args.head


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def color(stream: Any) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ
