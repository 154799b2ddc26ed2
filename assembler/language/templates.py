"""Strings with `${…}` in them, taken apart: nothing is looked up here.

`${name}`, `${name.key[0]}` stand for hparams, `${calc:…}` for arithmetic over such. Every other form (`oc.env`, other
resolvers, relative and computed names) is refused before anything could carry it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .documents import nodes

_REFERENCE = re.compile(r"\$\{\s*([A-Za-z_]\w*)((?:\.\w+|\[\w+\])*)\s*\}", re.ASCII)
_CALC = re.compile(r"\$\{\s*calc\s*:", re.ASCII)
_RESOLVER = re.compile(r"\$\{\s*([\w.-]+)\s*:", re.ASCII)


class TemplateError(ValueError):
    """A `${…}` that is not allowed. `text` is the part at fault."""

    def __init__(self, message: str, text: str, help: str | None = None) -> None:
        super().__init__(message)
        self.text = text
        self.help = help


@dataclass(frozen=True, slots=True)
class Reference:
    """`${name}` or a key or item of it."""

    text: str  # as written
    name: str  # of the hparam
    access: str  # what follows the name: `.key`, `[0]`

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Calculation:
    """`${calc:…}`. In `expression`, `_0_`, `_1_`, … stand for the references."""

    text: str
    expression: str
    references: tuple[Reference, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(reference.name for reference in self.references)


Piece = str | Reference | Calculation


def has_interpolation(text: object) -> bool:
    return isinstance(text, str) and "${" in text


def pieces(text: str) -> Iterator[Piece]:
    """The literal text and the interpolations of a string, in order. TemplateError."""
    position = 0
    while (start := text.find("${", position)) >= 0:
        if text[:start].endswith("\\"):
            raise TemplateError("a literal `${` is not possible", text[start - 1 : start + 2])
        if start > position:
            yield text[position:start]
        piece = _calculation(text, start) if _CALC.match(text, start) else _reference(text, start)
        yield piece
        position = start + len(piece.text)
    if position < len(text):
        yield text[position:]


def _reference(text: str, start: int) -> Reference:
    if match := _REFERENCE.match(text, start):
        return Reference(match[0], match[1], match[2])
    shown = text[start : text.find("}", start) + 1 or len(text)]
    if match := _RESOLVER.match(text, start):
        raise TemplateError(f"resolver `{match[1]}` is not allowed", shown, "only `${name}` and `${calc:…}` are")
    if not shown.endswith("}"):
        raise TemplateError("`${` is never closed", shown)
    raise TemplateError(f"`{shown}` does not name an hparam", shown, "write `${name}`, or `${calc:…}` for arithmetic")


def _calculation(text: str, start: int) -> Calculation:
    body = text.index(":", start) + 1
    end = _closing(text, start, body)
    whole, expression = text[start : end + 1], text[body:end].strip()
    quote = expression[:1]
    if quote and quote in "'\"" and expression[1:].find(quote) == len(expression) - 2:
        expression = expression[1:-1]  # quoted as a whole, as YAML may need it
    parts: list[str] = []
    references: list[Reference] = []
    inside, position = "", 0
    while position < len(expression):
        character = expression[position]
        if expression.startswith("${", position):
            reference = _reference(expression, position)
            if inside:
                raise TemplateError(
                    f"`{reference.text}` within quotes would be plain text", whole, "leave the quotes out"
                )
            parts.append(f" _{len(references)}_ ")
            references.append(reference)
            position += len(reference.text)
            continue
        inside = _quoted(inside, character)
        parts.append(" " if character.isspace() else character)
        position += 1
    return Calculation(whole, "".join(parts).strip(), tuple(references))


def _closing(text: str, start: int, position: int) -> int:
    """Where the brace that ends the expression is."""
    inside = ""
    while position < len(text):
        if text.startswith("${", position):
            position += len(_reference(text, position).text)
            continue
        inside = _quoted(inside, text[position])
        if text[position] == "}" and not inside:
            return position
        position += 1
    raise TemplateError("`${calc:` is never closed", text[start:], "a quote or a brace is missing")


def _quoted(inside: str, character: str) -> str:
    """The quote that is open after `character`, given the one before."""
    if inside:
        return "" if character == inside else inside
    return character if character in "'\"" else ""


def references(value: Any) -> list[str]:
    """Names of the hparams that a value as written refers to, itself and below."""
    found: dict[str, None] = {}
    for _, item in nodes(value):
        if has_interpolation(item):
            try:
                for piece in pieces(item):
                    found.update(dict.fromkeys(() if isinstance(piece, str) else piece.names))
            except TemplateError:  # reported when it is resolved
                continue
    return list(found)
