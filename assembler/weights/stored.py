"""The names of a checkpoint, as the mapping sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..stores import TensorInfo

if TYPE_CHECKING:
    from .mapping import Source


class Stored:
    """Old spellings renewed, the file's prefix decided."""

    def __init__(self, tensors: Mapping[str, TensorInfo], section: Mapping[str, Any]) -> None:
        self.tensors = tensors
        self.actual = {name: name for name in tensors}
        for old, new in (section.get("accept") or {}).items():
            for name in tensors:
                renewed = name.removesuffix(old) + new
                if name.endswith(old) and renewed not in tensors:
                    del self.actual[name]
                    self.actual[renewed] = name
        self.prefixes: list[str] = section.get("prefix") or [""]
        self.prefix = self.prefixes[0]
        self._twins: dict[str, list[str]] = {}
        for twin, name in (section.get("duplicates") or {}).items():
            self._twins.setdefault(name, []).append(twin)

    def bare_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every shape by name, with and without what may be a prefix."""
        return {name.removeprefix(prefix): self.shape(name) for prefix in (*self.prefixes, "") for name in self.actual}

    def decide(self, sources: list[Source]) -> None:
        """Settle the prefix: the one with which most tensors of the body are there."""
        body = [source.stored for source in sources if source.body]
        self.prefix = max(self.prefixes, key=lambda prefix: sum(prefix + name in self.actual for name in body))

    def names(self, source: Source) -> list[str]:
        """Where a source's tensor may stand, the usual name first. The twin of a part may be a head's."""
        prefix = self.prefix if source.body else ""
        twins = [before + twin for twin in self._twins.get(source.stored, ()) for before in dict.fromkeys((prefix, ""))]
        return [prefix + source.stored, *twins]

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[self.actual[name]].shape)
