"""Dictionaries that work out what they lack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from operator import not_
from typing import Any

LIMIT = 1 << 16
LONGEST = 64  # characters of what is remembered of texts; longer stretches seldom come back


class Cache(dict):
    """`cache[key]` is `compute(key)`, remembered. A full cache starts afresh, which costs less than keeping order;
    string keys longer than `longest` are computed every time, so that the memory held stays bounded."""

    __slots__ = ("_compute", "_limit", "_longest")

    def __init__(self, compute: Callable[[Any], Any], limit: int = LIMIT, longest: int | None = None) -> None:
        super().__init__()
        self._compute, self._limit, self._longest = compute, limit, longest

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._compute, self._limit, self._longest)  # a copy starts empty

    def of(self, keys: Sequence[Any]) -> list[Any]:
        """The value of each key."""
        return list(map(self.__getitem__, keys))

    def __missing__(self, key: Any) -> Any:
        value = self._compute(key)
        if self._longest is None or len(key) <= self._longest:
            if len(self) >= self._limit:
                self.clear()
            self[key] = value
        return value


class BatchCache(Cache):
    """The same where `compute` takes several keys and gives a value for each; none is None. It is asked once for all
    that `of` lacks."""

    __slots__ = ()

    def of(self, keys: Sequence[Any]) -> list[Any]:
        if len(keys) > self._limit:
            runs = range(0, len(keys), self._limit)
            return [value for start in runs for value in self.of(keys[start:start + self._limit])]
        found = list(map(self.get, keys))
        if None not in found:
            return found
        new = list(set(compress(keys, map(not_, found))))
        values = dict(zip(new, self._compute(new), strict=True))
        kept = values
        if self._longest is not None and max(map(len, new)) > self._longest:
            kept = {key: values[key] for key in new if len(key) <= self._longest}
        if len(self) + len(kept) > self._limit:
            self.clear()
        self.update(kept)
        return list(map(values.get, keys, found))

    def __missing__(self, key: Any) -> Any:
        return self.of([key])[0]
