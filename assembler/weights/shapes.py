"""Hparams that nobody wrote down, told by the shapes of a checkpoint's tensors.

A spec says where to look: `<wte[0]> * 2` is an expression of `calc` in which `<…>` asks the checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate, count
from typing import Any

from ...errors import Diagnostic, WeightsError
from ..language.calc import CalcError, evaluate
from .patterns import fill, indices

Shapes = Mapping[str, tuple[int, ...]]  # by stored name, without the file's prefix

_QUESTION = re.compile(
    r"<(?:(?P<asked>count|has|dims|sum|ends|has_each|lacks_each) )?(?P<name>[^<>\[\]]+?)(?:\[(?P<dim>-?\d+)\])?>"
)
_OTHER, _WORDS, _ELSE = " beside ", " as ", " else "


class _Untold(Exception):
    """The checkpoint has no such tensor."""


def read_shapes(rules: Mapping[str, Any], shapes: Shapes, told: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """The hparams that shapes tell, those of `rules` whose tensors there are.

    | `<…>` | |
    |---|---|
    | `<wte[0]>` | the size of a dimension |
    | `<dims wte>` | how many dimensions |
    | `<has wte>` | whether there is one |
    | `<count h{i}/ln_1/g>` | how many there are, numbered from 0 |
    | `<sum table_{i}[0]>` | the sum of a dimension of these |
    | `<ends table_{i}[0]>` | running sums of a dimension of these, without the last |
    | `<has_each a_{i} beside b_{i}>` | for each second one, whether there is the first |
    | `<has_each a_{i} beside b_{i} as yes else no>` | and these words for it |
    | `<lacks_each a_{i} beside b_{i}>` | the contrary |

    Names of hparams that the config has `told`, or shapes before, may occur too. Of several texts the first counts
    whose tensors there are. `name` is the checkpoint for messages. WeightsError if an expression has no value.
    """
    found: dict[str, Any] = {}
    for hparam, texts in rules.items():
        for text in [texts] if isinstance(texts, str) else texts:
            try:
                found[hparam] = _value(text, shapes, {**told, **found})
                break
            except _Untold:
                continue
            except CalcError as error:
                raise WeightsError(
                    Diagnostic(f"the shapes in {name} do not tell {hparam}: {error}", help=f"it is to be `{text}`")
                ) from None
    return found


def _value(text: str, shapes: Shapes, told: Mapping[str, Any]) -> Any:
    names: dict[str, Any] = dict(told)

    def ask(found: re.Match[str]) -> str:
        key = f"_{len(names)}_"
        names[key] = _answer(found, shapes)
        return key

    expression = _QUESTION.sub(ask, text)
    return names[expression] if expression in names else evaluate(expression, names)


def _answer(found: re.Match[str], shapes: Shapes) -> Any:
    asked, name, dim = found["asked"], found["name"], int(found["dim"] or 0)
    if asked == "has":
        return name in shapes
    if asked == "count":
        return sum(1 for _ in _numbered(name, shapes))
    if asked in ("has_each", "lacks_each"):
        wanted, _, rest = name.partition(_OTHER)
        beside, as_, words = rest.partition(_WORDS)
        yes, _, no = words.partition(_ELSE) if as_ else (True, "", False)
        there = [(fill(wanted, index) in shapes) is (asked == "has_each") for index in _numbered(beside, shapes)]
        return [yes if one else no for one in there]
    if asked in ("sum", "ends"):
        ends = list(accumulate(_size(fill(name, index), dim, shapes) for index in _numbered(name, shapes)))
        if asked == "ends":
            return ends[:-1]
        if not ends:
            raise _Untold
        return ends[-1]
    if name not in shapes:
        raise _Untold
    return len(shapes[name]) if asked == "dims" else _size(name, dim, shapes)


def _numbered(name: str, shapes: Shapes) -> Iterator[dict[str, str]]:
    """The index of each tensor of that name, from 0 on without a gap."""
    for letter in indices(name):
        for number in count():
            index = {letter: str(number)}
            if fill(name, index) not in shapes:
                return
            yield index


def _size(name: str, dim: int, shapes: Shapes) -> int:
    shape = shapes[name]
    if not -len(shape) <= dim < len(shape):
        raise _Untold
    return shape[dim]
