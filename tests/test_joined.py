"""Projections of one input as one product: the numbers of each by itself, for as long as each is what it was."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from modelwright.blocks import Context, get
from modelwright.blocks.attention import Attention
from modelwright.blocks.joined import Joined
from modelwright.blocks.linear import Linear


def attention(**arguments: object) -> Attention:
    torch.manual_seed(0)
    made = get("attention")(**{"hidden_size": 24, "num_heads": 4, "num_key_value_heads": 2} | arguments).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def apart(block: Attention, hidden: torch.Tensor) -> list[torch.Tensor]:
    return [F.linear(hidden, p.weight, p.bias) for p in (block.query, block.key, block.value)]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each product that was one."""
    rows: list[int] = []
    whole = Joined.__call__

    def counting(joined: Joined, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows.append(hidden.numel() // hidden.shape[-1])
        return whole(joined, hidden)

    monkeypatch.setattr(Joined, "__call__", counting)
    return rows


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (1, 1), (2, 1), (8, 1), (3, 40), (0, 1)])
@torch.no_grad()
def test_products_are_those_of_each(shape: tuple[int, ...], bias: bool, served: list[int]) -> None:
    """Within 2e-5: sums in another order, here of 24 products of about 1. Values, shapes and names stay."""
    block = attention(bias=bias)
    before = copy.deepcopy(block.state_dict())
    assert block.join(1) == [block.query, block.key, block.value]
    after = block.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    hidden = torch.randn(*shape, 24)
    for ours, own in zip(block.project(hidden), apart(block, hidden), strict=True):
        torch.testing.assert_close(ours, own, atol=2e-5, rtol=2e-5)
    assert len(served) == 1


@torch.no_grad()
def test_weights_are_views_of_one_matrix() -> None:
    block = attention()
    block.join(1)
    assert len({p.weight.untyped_storage().data_ptr() for p in (block.query, block.key, block.value)}) == 1
    assert block.query.weight.stride() == (1, 48), "one row reads columns"
    assert block.bfloat16().join(1) and block.query.weight.is_contiguous(), "but rows in 16 bits"


def halve(block: Attention) -> None:
    block.value.weight.mul_(0.5)


def shift(block: Attention) -> None:
    block.key.bias.add_(1.0)


def replace(block: Attention) -> None:
    block.key.weight.data = block.key.weight.data * 0.5


def another(block: Attention) -> None:
    block.value = nn.Sequential(block.value, nn.Tanh())


def hook(block: Attention) -> None:
    block.query.register_forward_hook(lambda module, inputs, output: output + 1)


def load(block: Attention) -> None:
    block.load_state_dict({name: value * 0.5 for name, value in block.state_dict().items()})


def narrow(block: Attention) -> None:
    block.double().float()
    block.query.weight.mul_(0.5)


@pytest.mark.parametrize("change", [halve, shift, replace, another, hook, load, narrow])
@torch.no_grad()
def test_a_projection_that_changed(change: Callable[[Attention], None], served: list[int]) -> None:
    block, twin = attention(), attention()
    block.join(1)
    hidden = torch.randn(2, 3, 24)
    before = block(hidden, Context())
    change(block), change(twin)
    torch.testing.assert_close(block(hidden, Context()), twin(hidden, Context()), atol=2e-5, rtol=2e-5)
    assert len(served) == 1 and not torch.allclose(block(hidden, Context()), before)
    block.drop_stale()
    assert block.joined is None


def test_where_it_is_not_used(served: list[int]) -> None:
    """Gradients, autocast, export: each by itself. Training forgets it."""
    block = attention()
    block.join(1)
    block(torch.randn(2, 3, 24), Context()).sum().backward()
    assert all(p.weight.grad is not None for p in (block.query, block.key, block.value))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert block.project(torch.randn(2, 24))[0].dtype == torch.bfloat16
    assert served == [] and block.joined is not None
    block.train()
    assert block.joined is None


@pytest.mark.parametrize("other", [Linear(24, 12, bias=False), nn.Linear(24, 12), Linear(24, 12).double()])
def test_what_cannot_be_joined(other: nn.Module) -> None:
    block = attention()
    block.value = other
    assert block.join(1) == () and block.joined is None
    assert attention().join(2) == (), "more rows gain nothing"


@torch.no_grad()
def test_a_copy_has_its_own_weights() -> None:
    block = attention()
    block.join(1)
    twin = copy.deepcopy(block)
    twin.query.weight.zero_()
    hidden = torch.randn(1, 24)
    torch.testing.assert_close(block.project(hidden)[0], apart(block, hidden)[0])
    torch.testing.assert_close(twin.project(hidden)[0], apart(twin, hidden)[0])


@torch.no_grad()
def test_gated_feed_forward(served: list[int]) -> None:
    torch.manual_seed(0)
    block = get("feed_forward")(hidden_size=24, intermediate_size=40, gated=True, activation="silu").eval()
    hidden = torch.randn(1, 1, 24)
    before = block(hidden, Context())
    assert len(block.join(1)) == 2
    torch.testing.assert_close(block(hidden, Context()), before)
    assert served == [1]
    plain = get("feed_forward")(hidden_size=24, intermediate_size=40)
    assert plain.join(1) == ()
