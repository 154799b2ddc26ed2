"""A merged spec as text: YAML with the origin of every line, and the difference of two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ...errors import SpecError
from .compose import Composition, Origin
from .documents import Path, one_line, parse_document, shown
from .layers import SECTIONS

_PLAIN = re.compile(r"[A-Za-z_][\w./+-]*( [\w./+-]+)*", re.ASCII)
_COLUMN = 72  # origins of longer lines stand further right


@dataclass(frozen=True, slots=True)
class Change:
    """One value that two specs do not have in common. Without an origin a side lacks it."""

    path: Path
    old: Any
    new: Any
    old_origin: Origin | None
    new_origin: Origin | None

    @property
    def sign(self) -> str:
        return "+" if self.old_origin is None else "-" if self.new_origin is None else "~"


def render(composition: Composition, color: bool = False) -> str:
    """The merged spec as YAML, each line with a comment that says where it is from."""
    tree = _ordered(composition.tree)
    rows = [(line, _comment(composition.origins.get(path))) for line, path in _lines(tree, (), "")]
    column = min(_COLUMN, max((len(line) for line, _ in rows), default=0))
    dim, off = ("\x1b[2m", "\x1b[0m") if color else ("", "")
    return "".join(f"{line.ljust(column)}  {dim}# {comment}{off}\n" for line, comment in rows)


def diff(old: Composition, new: Composition) -> list[Change]:
    """The values that differ, in the order of the spec. A list is one value."""
    before, after = dict(_leaves(_ordered(old.tree), ())), dict(_leaves(_ordered(new.tree), ()))
    changes = []
    for path in [*before, *(path for path in after if path not in before)]:
        sides = [
            (leaves.get(path), composition.origins.get(path) if path in leaves else None)
            for leaves, composition in ((before, old), (after, new))
        ]
        if (path in before) != (path in after) or flow(before[path]) != flow(after[path]):
            changes.append(Change(path, sides[0][0], sides[1][0], sides[0][1], sides[1][1]))
    return changes


def render_diff(changes: list[Change], color: bool = False) -> str:
    """One line a change: `+` only in the new spec, `-` only in the old one, `~` in both."""
    tint = {"+": "\x1b[32m", "-": "\x1b[31m", "~": "\x1b[33m"}
    rows = []
    for change in changes:
        values = {"+": flow(change.new), "-": flow(change.old), "~": f"{flow(change.old)} -> {flow(change.new)}"}
        line = f"{change.sign} {'.'.join(map(str, change.path))}: {values[change.sign]}"
        rows.append((change.sign, line, _comment(change.new_origin or change.old_origin)))
    column = min(_COLUMN, max((len(line) for _, line, _ in rows), default=0))
    start, stop = (tint, "\x1b[0m") if color else (dict.fromkeys(tint, ""), "")
    return "".join(f"{start[sign]}{line.ljust(column)}{stop}  # {comment}\n" for sign, line, comment in rows)


def flow(value: Any) -> str:
    """The value on one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return value if _is_plain(value) else yaml.dump(
            value, Dumper=yaml.SafeDumper, default_style='"', allow_unicode=True, width=1 << 30
        ).strip()
    if isinstance(value, float):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else shown(value)


def _is_plain(text: str) -> bool:
    """Whether the string can stand without quotes."""
    if not _PLAIN.fullmatch(text):
        return False
    try:
        return parse_document(text, "").tree == text
    except SpecError:
        return False


def _lines(node: dict[str, Any], path: Path, indent: str) -> Iterator[tuple[str, Path]]:
    for key, value in node.items():
        below = (*path, key)
        if isinstance(value, dict) and value:
            yield f"{indent}{flow(key)}:", below
            yield from _lines(value, below, indent + "  ")
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            yield f"{indent}{flow(key)}:", below
            yield from ((f"{indent}  - {flow(item)}", (*below, index)) for index, item in enumerate(value))
        else:
            yield f"{indent}{flow(key)}: {flow(value)}", below


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _comment(origin: Origin | None) -> str:
    if origin is None:
        return ""
    replaced = origin.replaced
    if replaced is None or isinstance(replaced.value, dict | list):
        return one_line(_line(origin))
    return one_line(f"{_line(origin)} (replaces {shown(replaced.value)}, {_line(replaced)})")


def _ordered(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: tree[key] for key in (*SECTIONS, *tree) if key in tree}


def _line(origin: Origin) -> str:
    place = origin.key or origin.place
    return place.source if place.line is None else f"{place.source}:{place.line}"
