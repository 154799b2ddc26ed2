"""Products by oneDNN: those of `torch.nn.functional.linear`, where it is faster."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from modelwright.blocks import onednn
from modelwright.blocks.linear import linear

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise") or not torch.backends.mkldnn.is_available(),
    reason="this torch has no oneDNN",
)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(33,), (3, 20), (2, 3, 50)])
@pytest.mark.parametrize(("outputs", "inputs"), [(50, 24), (24, 50), (1, 7), (64, 64)])
@pytest.mark.parametrize("part", [False, True])
@torch.no_grad()
def test_products(shape: tuple[int, ...], outputs: int, inputs: int, bias: bool, part: bool) -> None:
    """Within 2e-5: sums in another order, here of 50 products of about 1. Also with parts of wider tensors."""
    torch.manual_seed(0)
    weight, hidden = torch.randn(outputs, 2 * inputs), torch.randn(*shape, 2 * inputs)
    weight, hidden = (t[..., :inputs] if part else t[..., :inputs].contiguous() for t in (weight, hidden))
    added = torch.randn(outputs) if bias else None
    ours = onednn.product(hidden, weight, added)
    torch.testing.assert_close(ours, F.linear(hidden, weight, added), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({}, "none"),
        ({"cpu_name": "Intel(R) Xeon(R)", "avx512_f": True}, "none"),
        ({"cpu_name": "AMD EPYC", "avx512_f": False}, "wide"),
        ({"cpu_name": "AMD EPYC", "avx512_f": True}, "all"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated")
@torch.no_grad()
def test_where_it_is_used(has: dict[str, object], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the processor; never for few rows, other types, other layouts and gradients."""
    monkeypatch.setattr(onednn, "capabilities", lambda: has)
    assert onednn.gain() == expected
    monkeypatch.setattr(onednn, "GAIN", expected)
    used: list[int] = []
    product = onednn.product
    monkeypatch.setattr(onednn, "product", lambda *values: used.append(values[0].shape[0]) or product(*values))
    wide, square = torch.randn(20, 8), torch.randn(8, 8)
    for rows in (0, 1, 32, 33, 256, 257):
        for weight in (wide, square):
            hidden = torch.randn(rows, 8)
            torch.testing.assert_close(linear(hidden, weight), F.linear(hidden, weight), atol=2e-5, rtol=2e-5)
    assert used == {"none": [], "wide": [33, 256], "all": [33, 33, 256, 256, 257, 257]}[expected]
    used.clear()
    linear(torch.randn(40, 8), wide.t().contiguous().t())
    linear(torch.randn(40, 8).double(), wide.double())
    with torch.enable_grad():
        linear(torch.randn(40, 8), wide.clone().requires_grad_()).sum().backward()
    traced = torch.jit.trace(lambda hidden: linear(hidden, wide), torch.randn(40, 8), check_trace=False)
    assert used == [] and "onednn" not in str(traced.graph)
