"""What is said of processors."""

from __future__ import annotations

import pytest
import torch

from modelwright.blocks import processor
from modelwright.blocks.processor import capabilities, slow_types

HALVES = {torch.bfloat16, torch.float16}


def test_which_types_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what torch says of the processor; nothing where it says nothing."""
    for has, expected in [
        ({}, set()),
        ({"avx2": True}, HALVES),
        ({"avx2": True, "avx512_bw": True}, {torch.float16}),
        ({"avx2": True, "avx512_bw": True, "avx512_fp16": True}, set()),
        ({"avx2": True, "avx_ne_convert": True}, set()),
    ]:
        monkeypatch.setattr(processor, "capabilities", lambda has=has: has)
        assert slow_types() == expected


def test_a_torch_that_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "avx2" in capabilities() or torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert capabilities() == {}
