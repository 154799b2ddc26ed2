"""Reversible layers: the same numbers and gradients as any others, from memory that does not grow with their number."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from modelwright.blocks import BlockError, Context, Layer
from modelwright.blocks.attention import Attention, CrossAttention
from modelwright.blocks.feed_forward import FeedForward
from modelwright.blocks.lsh_attention import LSHAttention
from modelwright.blocks.norm import LayerNorm
from modelwright.blocks.reversible import ReversibleStack

WIDTH, LENGTH = 16, 32


def layer(dropout: float = 0.0, seed: int | None = None, **arguments: object) -> Layer:
    hashed = {"chunk_length": 4, "num_hashes": 2, "num_buckets": 4, "hash_seed": seed, "dropout": dropout}
    operations = {
        "attention": LSHAttention(hidden_size=WIDTH, num_heads=2, **hashed),
        "feed_forward": FeedForward(hidden_size=WIDTH, intermediate_size=24, dropout=dropout),
    }
    return Layer(**{"sublayers": operations, "norm": lambda: LayerNorm(width=WIDTH), "residual": "pre",
                    "dropout": dropout} | arguments)  # fmt: skip


def stack(depth: int, **arguments: object) -> ReversibleStack:
    torch.manual_seed(0)
    made = ReversibleStack(layer=lambda: layer(**arguments), repeat=depth, norm=LayerNorm(width=2 * WIDTH))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def hidden(seed: int = 1) -> Tensor:
    return torch.randn(2, LENGTH, WIDTH, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def gradients(model: ReversibleStack, given: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
    weight = torch.randn(2, LENGTH, 2 * WIDTH, generator=torch.Generator().manual_seed(2)).to(given.dtype)
    result = model(given, Context(attention_mask=mask))
    return result, list(torch.autograd.grad((result * weight).sum(), [given, *model.parameters()]))


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_the_plain_computation(masked: bool) -> None:
    model = stack(6, seed=3)
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[1, 20:] = 0
    found, ours = gradients(model.train(), hidden(), mask if masked else None)
    expected, plain = gradients(model.eval(), hidden(), mask if masked else None)  # eval keeps its activations
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * max(1.0, other.abs().max().item()))


def held(model: ReversibleStack) -> int:
    """Bytes that a forward pass leaves allocated."""
    given = hidden()
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        result = model(given, Context())
    assert result.requires_grad
    return sum(event.self_cpu_memory_usage for event in profile.function_events)


@pytest.mark.parametrize("arguments", [{"seed": 3}, {"dropout": 0.1}], ids=str)
def test_memory_does_not_depend_on_depth(arguments: dict[str, float]) -> None:
    shallow, deep = stack(2, **arguments), stack(12, **arguments)
    assert held(shallow.train()) == held(deep.train())
    assert held(deep.eval()) > 4 * held(shallow.eval())  # what the measure shows of layers that keep theirs


@pytest.mark.parametrize("within", [False, True])
def test_backward_computes_from_what_forward_computed_from(within: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: a vector that falls into another bucket the second time would be taken away wrongly."""
    seen: list[Tensor] = []
    change = Layer.change
    monkeypatch.setattr(Layer, "change", lambda self, operation, given, context: (
        seen.append(given.detach().clone()) or change(self, operation, given, context)))  # fmt: skip
    model = stack(12, dropout=0.2).train()
    with torch.autocast("cpu", torch.bfloat16):
        total = model(hidden(), Context()).square().sum()
        if within:
            total.backward()
    if not within:
        total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    half = len(seen) // 2
    assert half == 24
    assert all(torch.equal(one, other) for one, other in zip(seen[:half], reversed(seen[half:]), strict=True))


def test_dropout_and_hashing_are_drawn_alike_both_times() -> None:
    """Finite differences through forward alone are the gradients, if every pass draws the same."""
    model = stack(2, dropout=0.3).double().train()
    given = hidden().detach().double()

    def loss(shift: Tensor) -> Tensor:
        torch.manual_seed(5)
        return model(given + shift, Context()).square().sum()

    direction = torch.randn(given.shape, dtype=given.dtype, generator=torch.Generator().manual_seed(6))
    shift = torch.zeros_like(given, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(shift), shift)
    slope = (loss(1e-6 * direction) - loss(-1e-6 * direction)).detach() / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=0)


def test_draws_are_fresh_each_time_and_follow_the_seed() -> None:
    model, given = stack(2, dropout=0.3).train(), hidden()
    torch.manual_seed(5)
    first, second = model(given, Context()), model(given, Context())
    torch.manual_seed(5)
    assert torch.equal(model(given, Context()), first) and not torch.equal(first, second)


def test_shared_frozen_and_unused_parameters() -> None:
    model = stack(3, seed=3)
    model.layers[2] = model.layers[0]  # one layer, run twice
    model.layers[1].attention.value.weight.requires_grad_(False)
    plain = copy.deepcopy(model).eval()
    for one in (model.train(), plain):
        one(hidden(), Context()).square().sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert (ours.grad is None) == (not ours.requires_grad), name
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-5 * theirs.grad.abs().max().item())


def test_what_cannot_be_reversed_is_refused() -> None:
    with pytest.raises(BlockError, match="residual `pre`"):
        ReversibleStack(layer=lambda: layer(residual="post"), repeat=1)
    attention = {"attention": Attention(hidden_size=WIDTH, num_heads=2)}
    cross = attention | {"cross_attention": CrossAttention(hidden_size=WIDTH, num_heads=2)}
    with pytest.raises(BlockError, match="gradients"):
        ReversibleStack(layer=lambda: layer(sublayers=cross), repeat=1)
    odd = ReversibleStack(layer=lambda: layer(sublayers=dict(attention)), repeat=1).train()  # one stream is untouched
    first, second = odd(hidden(), Context()).chunk(2, dim=-1)
    assert torch.equal(first, hidden()) and not torch.equal(second, hidden())
