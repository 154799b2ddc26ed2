"""16-bit products on processors without such arithmetic: float32 sums, rounded once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from modelwright.blocks import native, processor, widened
from modelwright.blocks.linear import linear
from modelwright.blocks.widened import pays, product

HALVES = (torch.bfloat16, torch.float16)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without 16-bit arithmetic, whatever this one is."""
    monkeypatch.setattr(processor, "SLOW", frozenset(HALVES))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("shape", [(1,), (4,), (2, 5), (33, 1)])
@pytest.mark.parametrize(("outputs", "inputs"), [(50, 24), (24, 50), (1, 7)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("piece", [2**19, 100])
@torch.no_grad()
def test_products_are_float64_ones_rounded(
    dtype: torch.dtype, by_columns: bool, shape: tuple[int, ...], outputs: int, inputs: int, bias: bool, piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Within one rounding to 16 bits (2^-8 and 2^-11 of the value), of float32 sums of up to 50 products of about 1."""
    monkeypatch.setattr(widened, "PIECE", piece)
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs).to(dtype)
    weight = weight.t().contiguous().t() if by_columns else weight
    hidden, added = torch.randn(*shape, inputs).to(dtype), torch.randn(outputs).to(dtype) if bias else None
    expected = F.linear(hidden.double(), weight.double(), None if added is None else added.double())
    ours = product(hidden, weight, added)
    assert ours.dtype == dtype and ours.is_contiguous()
    torch.testing.assert_close(ours.double(), expected, rtol=torch.finfo(dtype).eps / 2, atol=2e-5)


@torch.no_grad()
def test_when_it_pays(slow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """From four rows on, or where a weight lies column by column; and only of one type throughout."""
    monkeypatch.setattr(native, "LIBRARY", None)
    used: list[int] = []
    monkeypatch.setattr(widened, "product", lambda *values: used.append(1) or product(*values))
    weight = torch.randn(8, 6).bfloat16()
    for rows, laid_out, pays_off in [(1, weight, False), (3, weight, False), (4, weight, True), (9, weight, True),
                                     (1, weight.t().contiguous().t(), True), (0, weight, False)]:  # fmt: skip
        hidden = torch.randn(rows, 6).bfloat16()
        assert pays(hidden, laid_out) == pays_off
        used.clear()
        torch.testing.assert_close(linear(hidden, laid_out), F.linear(hidden, weight), rtol=2**-7, atol=1e-2)
        assert len(used) == pays_off
    assert not pays(torch.randn(9, 6), weight.float()) and not pays(torch.randn(9, 6), weight)
    with torch.enable_grad():
        linear(torch.randn(9, 6).bfloat16(), weight.requires_grad_()).sum().backward()
    assert weight.grad is not None
