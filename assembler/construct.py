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

    def build(self, node: Mapping[str, Any], path: Path) -> nn.Module:
        """The block of a node, its slots filled. SpecError, located, if the block refuses its arguments."""
        cls = registry.get(node["block"])
        arguments = {}
        for name, parameter in registry.parameters(cls).items():
            if name not in node:
                continue
            value, here = node[name], (*path, name)
            if parameter.slot is None:
                arguments[name] = value
            elif parameter.slot != "named" and not wanted(value):
                arguments[name] = None
            elif parameter.slot == "one":
                arguments[name] = self.build(value, here)
            elif parameter.slot == "factory":
                arguments[name] = lambda value=value, here=here: self.build(value, here)
            else:
                arguments[name] = {
                    key: self.build(child, (*here, key)) for key, child in value.items() if wanted(child)
                }
        try:
            return cls(**arguments)
        except BlockError as error:
            at = next(((*path, name) for name in error.arguments[::-1] if name in node), path)
            raise SpecError(Diagnostic(error.message, help=error.help, **self._locate(at))) from None


def wanted(node: Mapping[str, Any] | None) -> bool:
    """Whether a node is there: not deleted, and its `when` holds."""
    return node is not None and bool(node.get("when", True))
