"""Text from language models: `generate`, `stream`, and the parts they are made of."""

from __future__ import annotations

from .call import generate
from .result import GenerateOutput
from .settings import Settings
from .streaming import stream
from .warpers import top_k_top_p_filtering

__all__ = ["GenerateOutput", "Settings", "generate", "stream", "top_k_top_p_filtering"]
