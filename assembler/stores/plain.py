"""Plain values for writing: what a reader found in one file, as another file can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .arrays import StoredArray, StoredBytes
from .base import problem, quoted
from .rebuild import Attributes, Global, StoredTensor

DEPTH = 64
DESCRIPTIONS = (StoredTensor, StoredArray, StoredBytes, Global)


def plain_values(values: Mapping[str, object], path: Path) -> dict[str, object]:
    """`values` with objects that were read as their attributes turned into dicts. WeightsError for descriptions of
    tensors and arrays, whose bytes are in another file than `path`."""
    return {name: _plain(value, name, path, 0) for name, value in values.items()}


def _plain(value: object, name: str, path: Path, depth: int) -> object:
    if isinstance(value, DESCRIPTIONS) or depth > DEPTH:
        help = "read it first (`store.read_value`), or leave it out"
        raise problem(path, f"{quoted(name)} is not a plain value but what another file says of one", help)
    if isinstance(value, Attributes):
        value = dict(value)
    if type(value) is dict:
        return {key: _plain(inner, name, path, depth + 1) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(inner, name, path, depth + 1) for inner in value)
    return value
