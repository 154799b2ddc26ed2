"""What this processor can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def capabilities() -> Mapping[str, Any]:
    """Names of instruction sets (`avx2`, `avx512_f`, …) and `cpu_name`, by torch; empty if this torch cannot tell."""
    return getattr(torch.cpu, "get_capabilities", dict)()
