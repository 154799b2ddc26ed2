"""What this processor can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def capabilities() -> Mapping[str, Any]:
    """Names of instruction sets (`avx2`, `avx512_f`, …) and `cpu_name`, by torch; empty if this torch cannot tell."""
    return getattr(torch.cpu, "get_capabilities", dict)()


def slow_types() -> frozenset[torch.dtype]:
    """The types for which torch has no fast product on this processor."""
    has = capabilities()
    if not has.get("avx2"):
        return frozenset()  # another kind of processor, or a torch that cannot tell
    native = {
        torch.bfloat16: has.get("avx512_bw") or has.get("avx_ne_convert"),
        torch.float16: has.get("avx512_fp16") or has.get("avx_ne_convert"),
    }
    return frozenset(dtype for dtype, fast in native.items() if not fast)


SLOW = slow_types()
