"""Nodes of a spec -> blocks. Runs under the meta device; nothing here allocates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..blocks import BlockError, registry
from ..errors import Diagnostic, SpecError

Path = tuple[str | int, ...]


class Constructor:
    """Builds blocks from interpolated nodes that validation has passed.

    `locate(path)` gives the diagnostic's place and notes for a path into the spec.
    """

    def __init__(self, locate: Callable[[Path], dict[str, Any]]) -> None:
        self._locate = locate

    def build(self, node: Mapping[str, Any], path: Path, kind: str | None = None) -> nn.Module:
        """The block of a node, its slots filled. `kind` is that of the layer it is in, if layers are of several kinds.

        SpecError, located, if the block refuses its arguments.
        """
        cls = registry.get(node["block"])
        arguments = {}
        for name, parameter in registry.parameters(cls).items():
            if name not in node:
                continue
            value, here = node[name], (*path, name)
            if parameter.slot is None:
                arguments[name] = value
            elif parameter.slot == "factory":
                arguments[name] = self._factory(value, here, kind)
            elif parameter.slot == "one":
                arguments[name] = self._slot(value, here, kind)
            else:
                built = {key: self._slot(child, (*here, key), kind) for key, child in value.items()}
                arguments[name] = {key: child for key, child in built.items() if child is not None}
        try:
            return cls(**arguments)
        except BlockError as error:
            at = next(((*path, name) for name in error.arguments[::-1] if name in node), path)
            raise SpecError(Diagnostic(error.message, help=error.help, **self._locate(at))) from None

    def _factory(self, node: Mapping[str, Any] | None, path: Path, outer: str | None) -> Callable[..., Any] | None:
        if not wanted(node):
            return None
        return lambda kind=outer: self._slot(node, path, kind)

    def _slot(self, node: Mapping[str, Any] | None, path: Path, kind: str | None) -> nn.Module | None:
        """What fills a slot; None if the node is not there."""
        if node is not None and "by_kind" in node:
            return self._slot(node["by_kind"][kind], (*path, "by_kind", kind), kind)
        return self.build(node, path, kind) if wanted(node) else None


def wanted(node: Mapping[str, Any] | None) -> bool:
    """Whether a node is there: not deleted, and its `when` holds."""
    return node is not None and bool(node.get("when", True))
