"""Text from language models: `generate`, `stream`, and the parts they are made of.

Nothing is imported before it is used, so that the command line can ask for its options without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "GenerateOutput": ".result",
    "Settings": ".settings",
    "generate": ".call",
    "inputs_of": ".text",
    "stream": ".streaming",
    "top_k_top_p_filtering": ".warpers",
}

__all__ = ["GenerateOutput", "Settings", "generate", "inputs_of", "stream", "top_k_top_p_filtering"]

if TYPE_CHECKING:
    from .call import generate
    from .result import GenerateOutput
    from .settings import Settings
    from .streaming import stream
    from .text import inputs_of
    from .warpers import top_k_top_p_filtering


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name], __name__), name)
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
