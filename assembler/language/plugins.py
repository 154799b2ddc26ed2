"""Own blocks that installed packages bring: the entry-point group `modelwright.blocks`, each entry a module."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from ...errors import UsageError

GROUP = "modelwright.blocks"


@cache
def load_plugins() -> bool:
    """Import the modules of the group, once a process; whether there are any. UsageError if one cannot be imported."""
    found = entry_points(group=GROUP)
    for entry in found:
        try:
            entry.load()
        except ImportError as error:
            raise UsageError(f"the blocks of `{entry.name}` ({entry.value}) cannot be imported: {error}") from None
    return bool(found)
