"""Weights in panels: the products of `torch.nn.functional.linear`, for as long as the weight is what it was."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from modelwright.blocks.linear import Linear
from modelwright.blocks.panels import WIDTH, Panels


def arranged(inputs: int, outputs: int, *, bias: bool = True) -> Linear:
    torch.manual_seed(0)
    module = Linear(inputs, outputs, bias=bias).eval()
    torch.nn.init.normal_(module.weight)
    if bias:
        torch.nn.init.normal_(module.bias)
    module.arrange(8)
    return module


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each product with panels."""
    rows: list[int] = []
    multiply = Panels.multiply

    def counting(panels: Panels, hidden: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        rows.append(hidden.numel() // hidden.shape[-1])
        return multiply(panels, hidden, bias)

    monkeypatch.setattr(Panels, "multiply", counting)
    return rows


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [1, WIDTH - 1, WIDTH, WIDTH + 1, 50])
@pytest.mark.parametrize("shape", [(2,), (4, 2), (32, 1), (1, 3, 5)])
@torch.no_grad()
def test_products_are_those_of_the_weight(shape: tuple[int, ...], outputs: int, bias: bool, served: list[int]) -> None:
    """Within 2e-5: sums in another order, here of 24 products of about 1."""
    module = arranged(24, outputs, bias=bias)
    hidden = torch.randn(*shape, 24)
    torch.testing.assert_close(module(hidden), F.linear(hidden, module.weight, module.bias), atol=2e-5, rtol=2e-5)
    assert served == [hidden.numel() // 24]


def test_rows_they_are_not_for(served: list[int]) -> None:
    """None, one and many rows, gradients, autocast, other types: the weight itself."""
    module = arranged(8, 20)
    with torch.no_grad():
        for rows in (0, 1, 33):
            hidden = torch.randn(rows, 8)
            torch.testing.assert_close(module(hidden), F.linear(hidden, module.weight, module.bias))
        with torch.autocast("cpu", torch.bfloat16):
            assert module(torch.randn(8, 8)).dtype == torch.bfloat16
        assert module.double()(torch.randn(8, 8).double()).dtype == torch.float64
    module = arranged(8, 20)
    module(torch.randn(8, 8)).sum().backward()
    assert module.weight.grad is not None and served == []


def halve(module: Linear) -> None:
    module.weight.mul_(0.5)


def replace(module: Linear) -> None:
    module.weight.data = module.weight.data * 0.5


def load(module: Linear) -> None:
    module.load_state_dict({"weight": module.weight * 0.5, "bias": module.bias})


def step(module: Linear) -> None:
    with torch.enable_grad():
        module.train()(torch.ones(8, 8)).sum().backward()
    torch.optim.SGD(module.parameters(), lr=1.0).step()
    module.eval()


@pytest.mark.parametrize("change", [halve, replace, load, step])
@torch.no_grad()
def test_a_weight_that_changed(change: Callable[[Linear], None], served: list[int]) -> None:
    module = arranged(8, 20)
    hidden = torch.randn(8, 8)
    before = module(hidden)
    change(module)
    torch.testing.assert_close(module(hidden), F.linear(hidden, module.weight, module.bias))
    assert not torch.equal(module(hidden), before) and len(served) == 1
    module.drop_stale()
    assert module.panels is None


@torch.no_grad()
def test_copies_and_files_of_the_module(served: list[int]) -> None:
    module = arranged(8, 20)
    assert set(module.state_dict()) == {"weight", "bias"}
    twin = copy.deepcopy(module)
    hidden = torch.randn(8, 8)
    torch.testing.assert_close(twin(hidden), module(hidden))


@torch.no_grad()
def test_an_exported_module_knows_no_panels() -> None:
    """Its rows stay free."""
    module = arranged(8, 20)
    program = torch.export.export(module, (torch.randn(8, 8),), dynamic_shapes=({0: torch.export.Dim("rows")},))
    hidden = torch.randn(40, 8)
    torch.testing.assert_close(program.module()(hidden), F.linear(hidden, module.weight, module.bias))


def test_weights_made_in_inference_mode(served: list[int]) -> None:
    """They count no writes, which is no reason to fail."""
    with torch.inference_mode():
        module = arranged(8, 20)
        hidden = torch.randn(8, 8)
        torch.testing.assert_close(module(hidden), F.linear(hidden, module.weight, module.bias))
    assert served == [8]
