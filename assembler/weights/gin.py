"""Configs in gin's notation, read as data: `encoder/SelfAttention.num_heads = %num_heads`. Nothing is configured."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import Diagnostic, DownloadError, Place, WeightsError

LIMIT = 2**20  # bytes; those of releases have a few thousand
MOST_REFERENCES = 20  # from macro to macro
_BINDING = re.compile(r"(%?[A-Za-z_][\w./]*)\s*=\s*(.*)", re.DOTALL)
_REFERENCE = re.compile(r"%([A-Za-z_][\w./]*)")
_OPEN, _CLOSE = "([{", ")]}"


def read_gin(path: Path) -> dict[str, Any]:
    """Values by name (`scope/configurable.parameter`, or a macro's), macros put in for their names.

    What is not a plain Python value (`@function()`, …) stays the text it is. WeightsError if the file is not such a
    config, DownloadError if it cannot be read.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= LIMIT else ""
    except OSError as error:
        raise DownloadError(Diagnostic(f"cannot be read: {error.strerror}", Place(str(path)))) from None
    except UnicodeDecodeError:
        raise WeightsError(Diagnostic("this is not a text file", Place(str(path)))) from None
    if size > LIMIT:
        raise WeightsError(Diagnostic(f"a config of {size:,} bytes; {LIMIT:,} is the most", Place(str(path))))
    written: dict[str, str] = {}
    for line, statement in _statements(text):
        if statement.startswith(("import ", "from ", "include ")):
            continue
        found = _BINDING.fullmatch(statement)
        if found is None:
            place = Place(str(path), line)
            raise WeightsError(Diagnostic(f"`{statement[:60]}` is not of the form `name = value`", place))
        written[found[1].removeprefix("%")] = found[2].strip()
    read: dict[str, Any] = {}  # by their texts: a macro may be put in for many names
    return {name: _value(text, written, read) for name, text in written.items()}


def gin_text(values: Mapping[str, Any]) -> str:
    """The config that says these values; those of a mapping are parameters of its name."""
    lines = []
    for name, value in values.items():
        bindings = {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, Mapping) else {name: value}
        lines += [f"{key} = {one!r}\n" for key, one in bindings.items()]
    return "".join(lines)


def _statements(text: str) -> list[tuple[int, str]]:
    """Statements and the lines they begin in: comments gone, what is in brackets or ends with `\\` joined."""
    statements: list[tuple[int, str]] = []
    parts: list[str] = []
    start, depth = 0, 0
    for number, raw in enumerate(text.splitlines(), 1):
        line, change = _uncommented(raw)
        go_on = line.endswith("\\")
        line = line.removesuffix("\\").strip()
        if not parts:
            start = number
        if line:
            parts.append(line)
        depth = max(depth + change, 0)
        if parts and not depth and not go_on:
            statements.append((start, " ".join(parts)))
            parts = []
    if parts:
        statements.append((start, " ".join(parts)))
    return statements


def _uncommented(line: str) -> tuple[str, int]:
    """A line without its comment, and how many more brackets it opens than it closes."""
    quote, depth, escaped = "", 0, False
    for position, character in enumerate(line):
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = character == "\\" and not escaped
        elif character in "'\"":
            quote = character
        elif character == "#":
            return line[:position].rstrip(), depth
        else:
            depth += (character in _OPEN) - (character in _CLOSE)
    return line.rstrip(), depth


def _value(text: str, written: dict[str, str], read: dict[str, Any]) -> Any:
    for _ in range(MOST_REFERENCES):
        macro = _REFERENCE.fullmatch(text)
        if macro is None or macro[1] not in written:
            break
        text = written[macro[1]]
    if text not in read:
        read[text] = _literal(text)
    return read[text]


def _literal(text: str) -> Any:
    try:
        return _as_data(ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _as_data(value: Any) -> Any:
    return [_as_data(one) for one in value] if isinstance(value, list | tuple) else value
