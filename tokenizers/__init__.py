"""Text to ids and back, assembled like the models from a spec's `tokenizer` section.

Nothing is imported before it is used: who asks for the names of files needs no regular expressions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "AddedToken": ".added_tokens",
    "Encoding": ".encoding",
    "Tokenizer": ".tokenizer",
    "build_tokenizer": ".build",
    "open_tokenizer": ".build",
}

__all__ = ["AddedToken", "Encoding", "Tokenizer", "build_tokenizer", "open_tokenizer"]

if TYPE_CHECKING:
    from .added_tokens import AddedToken
    from .build import build_tokenizer, open_tokenizer
    from .encoding import Encoding
    from .tokenizer import Tokenizer


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module `modelwright.tokenizers` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOME[name], __name__), name)
