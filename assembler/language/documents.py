"""YAML files read safely, with the place of every key and value.

The text is taken as a stream of parser events, which never nest in the parser itself, and bounded while it streams:
depth, aliases, number of nodes. Tags, merge keys and several documents are refused, so nothing but plain mappings,
lists and scalars can come out. Scalars are those of YAML 1.2's core schema: `1e-12` is a number, `on` a string.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any

import yaml
from yaml import events

from ...errors import Diagnostic, Note, Place, SpecError

Path = tuple[str | int, ...]  # of a value within a document: ("model", "encoder", "repeat")

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_ALIASES = 100
MAX_NODES = 20_000  # aliases expanded
MAX_DIGITS = 100
MAX_SNIPPET = 500  # a longer source line is not shown in errors

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what the parser counts as one
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_KIND = {type(None): "null", bool: "a truth value", int: "an integer", float: "a number"}


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says: `tree` of dicts, lists and scalars, and where each value and each key stands in the file."""

    source: str
    tree: Any
    places: dict[Path, Place]
    key_places: dict[Path, Place]  # by the path of the key's value


def load_document(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file. SpecError if it cannot be read or is not what the module docstring says."""
    file = File(path)
    source = display(file)
    try:
        if not file.is_file():
            raise SpecError(f"there is no file `{source}`")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"cannot read `{source}`: {error.strerror}") from error
    return parse_document(data, source)


def display(file: File) -> str:
    """How a file is named in messages: relative to the current directory if it is below it."""
    try:
        return str(file.absolute().relative_to(File.cwd())) if file.is_absolute() else str(file)
    except (ValueError, OSError):
        return str(file)


def parse_document(data: bytes | str, source: str) -> Document:
    """Read YAML text. Errors cite `source`."""
    try:
        data = data.encode() if isinstance(data, str) else data
        if len(data) > MAX_BYTES:
            raise SpecError(Diagnostic(f"larger than {MAX_BYTES >> 10} KiB, the most a spec may be", Place(source)))
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(source, data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start))
        raise SpecError(Diagnostic("not UTF-8 text", place)) from error
    except UnicodeEncodeError as error:
        raise SpecError(Diagnostic("not text: it holds half of a surrogate pair", Place(source))) from error
    return _Composer(text, source).document()


@dataclass(slots=True)
class _Node:
    value: Any  # a scalar, a list of nodes, or a dict of key -> node
    place: Place
    key_places: dict[str, Place] = field(default_factory=dict)
    size: int = 1  # nodes, aliases expanded
    height: int = 0
    complete: bool = True  # false while its children are still being read

    def add(self, child: _Node) -> None:
        self.size += child.size
        self.height = max(self.height, child.height + 1)


class _Composer:
    """Builds the tree of one document from parser events."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self.lines = _BREAK.split(text)
        self.snippets = list(map(_snippet, self.lines))
        self.anchors: dict[str, _Node] = {}
        self.aliases = self.nodes = 0
        self.problems: list[Diagnostic] = []

    def document(self) -> Document:
        try:
            root = self.read()
        except yaml.YAMLError as error:
            self.problems.append(self.syntax_problem(error))
        if self.problems:
            raise SpecError(*self.problems)
        places: dict[Path, Place] = {}
        key_places: dict[Path, Place] = {}
        return Document(self.source, _flatten(root, (), places, key_places), places, key_places)

    def read(self) -> _Node:
        parser = _PARSER(self.text)
        try:
            stream = iter(parser.get_event, None)
            root = _Node(None, Place(self.source))
            documents = 0
            for event in stream:
                if isinstance(event, events.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self.stop("a second document begins here", self.place(event), "a spec is a single document")
                    root = self.node(next(stream), stream, 0)
            return root
        finally:
            parser.dispose()

    def node(self, event: events.Event, stream: Iterator[events.Event], depth: int) -> _Node:
        place = self.place(event)
        if isinstance(event, events.AliasEvent):
            return self.alias(event.anchor, place, depth)
        if depth > MAX_DEPTH:
            self.stop(f"nested more than {MAX_DEPTH} levels deep", place)
        self.count(1, place)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problem(f"tag `{tag}` is not allowed", place, "quote a value to make it a string")
        node = _Node(None, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if isinstance(event, events.ScalarEvent):
            node.value = event.value if event.style else self.scalar(event.value, place)
            return node
        node.complete = False
        read = self.mapping if isinstance(event, events.MappingStartEvent) else self.sequence
        node.value = read(node, stream, depth + 1)
        node.complete = True
        return node

    def sequence(self, node: _Node, stream: Iterator[events.Event], depth: int) -> list[_Node]:
        items = []
        while not isinstance(event := next(stream), events.SequenceEndEvent):
            items.append(self.node(event, stream, depth))
            node.add(items[-1])
        return items

    def mapping(self, node: _Node, stream: Iterator[events.Event], depth: int) -> dict[str, _Node]:
        items: dict[str, _Node] = {}
        while not isinstance(event := next(stream), events.MappingEndEvent):
            key, place = self.key(event, stream, depth), self.place(event)
            value = self.node(next(stream), stream, depth)
            node.add(value)
            if key is None:
                continue
            if key in items:
                first = Note(f"`{key}` stands here already", node.key_places[key])
                self.problems.append(Diagnostic(f"duplicate key `{key}`", place, notes=(first,)))
            items.setdefault(key, value)
            node.key_places.setdefault(key, place)
        return items

    def key(self, event: events.Event, stream: Iterator[events.Event], depth: int) -> str | None:
        """The key, or None if it cannot be one."""
        node = self.node(event, stream, depth)
        if not isinstance(event, events.ScalarEvent):
            self.problem("a key is a plain or quoted string", node.place)
        elif not isinstance(node.value, str):
            kind = _KIND[type(node.value)]
            self.problem(f"key `{event.value}` is {kind}, not a string", node.place, f'quote it: "{event.value}"')
        elif node.value == "<<" and not event.style:
            self.problem("merge keys `<<` are not allowed", node.place, "specs share by `extends`")
        else:
            return node.value
        return None

    def alias(self, anchor: str, place: Place, depth: int) -> _Node:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            self.stop(f"more than {MAX_ALIASES} aliases", place)
        node = self.anchors.get(anchor)
        if node is None:
            self.stop(f"no anchor `&{anchor}` stands before this alias", place)
        if not node.complete:
            self.stop(f"`*{anchor}` stands within what it refers to", place)
        if depth + node.height > MAX_DEPTH:
            self.stop(f"nested more than {MAX_DEPTH} levels deep", place)
        self.count(node.size, place)
        return node

    def count(self, nodes: int, place: Place) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self.stop(f"more than {MAX_NODES} values, aliases expanded", place)

    def scalar(self, text: str, place: Place) -> Any:
        try:
            return _plain_scalar(text)
        except OverflowError as error:
            self.problem(str(error), place, "quote it if it is not a number")
            return None

    def place(self, event: events.Event) -> Place:
        start, end = event.start_mark, event.end_mark
        text = self.lines[start.line] if start.line < len(self.lines) else ""
        block = isinstance(event, events.CollectionStartEvent) and not event.flow_style
        last = end.column if end.line == start.line else len(text.rstrip())
        width = 1 if block else max(1, last - start.column)
        snippet = self.snippets[start.line] if text else ""
        return Place(self.source, start.line + 1, start.column + 1, width, snippet)

    def problem(self, message: str, place: Place, help: str | None = None) -> None:
        self.problems.append(Diagnostic(message, place, help=help))

    def stop(self, message: str, place: Place, help: str | None = None) -> None:
        self.problem(message, place, help)
        raise SpecError(*self.problems)

    def syntax_problem(self, error: yaml.YAMLError) -> Diagnostic:
        mark = getattr(error, "problem_mark", None)
        if mark is None:  # a character that may not stand in YAML
            position = min(getattr(error, "position", 0), len(self.text))
            before = _BREAK.split(self.text[:position])
            line, column = len(before) - 1, len(before[-1])
            what = "a character that may not stand in YAML"
        else:
            line, column = mark.line, mark.column
            what = " ".join(filter(None, (getattr(error, "context", None), error.problem)))
        text = self.lines[line] if line < len(self.lines) else ""
        help = "within [ ] and { }, and before `: `, quote what holds `${…}`" if "${" in text else None
        return Diagnostic(f"not YAML: {what}", Place(self.source, line + 1, column + 1, 1, _snippet(text)), help=help)


def _snippet(line: str) -> str:
    if len(line) > MAX_SNIPPET:
        return ""
    return one_line(line)


def _plain_scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2; OverflowError if it is a number too large to hold."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise OverflowError(f"an integer of {len(text)} digits")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise OverflowError(f"`{text[:MAX_DIGITS]}` is larger than any number that can be held")
        return value
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def nodes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The value itself and everything below it, with paths, in order."""
    waiting = [(path, value)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [((*path, key), item) for key, item in items][::-1]


def _flatten(node: _Node, path: Path, places: dict[Path, Place], key_places: dict[Path, Place]) -> Any:
    """The plain value of a node; notes places on the way. What an alias stands for has the place of its anchor."""
    places[path] = node.place
    if isinstance(node.value, list):
        return [_flatten(item, (*path, i), places, key_places) for i, item in enumerate(node.value)]
    if isinstance(node.value, dict):
        key_places.update({(*path, key): place for key, place in node.key_places.items()})
        return {key: _flatten(item, (*path, key), places, key_places) for key, item in node.value.items()}
    return node.value


def one_line(text: str) -> str:
    """The text without anything that could break a line or steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def shown(value: Any) -> str:
    """A value as messages show it: as YAML would write it, cut if long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return one_line(text if len(text) <= 60 else text[:57] + "…")


def at_override(error: SpecError, place: Place) -> SpecError:
    """The same problems of a text that is no file, as problems of `place`."""
    return SpecError(*(replace(problem, place=place, notes=()) for problem in error.diagnostics))
