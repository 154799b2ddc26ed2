"""A dictionary that works out what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LIMIT = 1 << 16


class Cache(dict):
    """`cache[key]` is `compute(key)`, remembered. A full cache starts afresh, which costs less than keeping order;
    string keys longer than `longest` are computed every time, so that the memory held stays bounded."""

    __slots__ = ("_compute", "_limit", "_longest")

    def __init__(self, compute: Callable[[Any], Any], limit: int = LIMIT, longest: int | None = None) -> None:
        super().__init__()
        self._compute, self._limit, self._longest = compute, limit, longest

    def __reduce__(self) -> tuple[Any, ...]:
        return Cache, (self._compute, self._limit, self._longest)  # a copy starts empty

    def __missing__(self, key: Any) -> Any:
        value = self._compute(key)
        if self._longest is None or len(key) <= self._longest:
            if len(self) >= self._limit:
                self.clear()
            self[key] = value
        return value
