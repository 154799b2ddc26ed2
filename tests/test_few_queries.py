"""Attention of a few queries in C: that of float64 arithmetic, the same bits beside padding, and only where nothing
else counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

import modelwright as mw
from modelwright.blocks import few_queries, native
from modelwright.blocks.few_queries import attention, pays
from modelwright.blocks.kernel import attend

needs_library = pytest.mark.skipif(
    native.LIBRARY is None, reason="native.c was not built, or this processor has no AVX2"
)
#: Rows, heads of queries, heads of keys, queries, keys, width, width of values.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1), (2, 4, 2, 3, 17, 8, 8), (3, 6, 6, 1, 100, 64, 64), (2, 4, 1, 2, 33, 80, 80),
    (1, 2, 2, 4, 9, 7, 13), (2, 2, 2, 1, 300, 128, 72),
]  # fmt: skip


def numbers(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries as a projection leaves them, keys and values in buffers with more room."""
    rows, heads, shared, queries, keys, width, wide = shape
    query = torch.randn(rows, queries, heads, width).to(dtype).transpose(1, 2)
    key, value = (torch.randn(rows, shared, keys + 5, size).to(dtype)[:, :, :keys] for size in (width, wide))
    return query, key, value


def reference(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> torch.Tensor:
    """torch's, in float64."""
    added = mask if mask is None or mask.dtype == torch.bool else mask.double()
    return F.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), attn_mask=added, scale=scale, enable_gqa=True
    )


def masks(shape: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor | None]:
    """Of every kind and breadth; each query sees something."""
    rows, heads, _, queries, keys, _, _ = shape
    visible = [torch.rand(size) > 0.3 for size in [(rows, 1, 1, keys), (rows, heads, queries, keys), (queries, keys)]]
    for mask in visible:
        mask[..., 0] = True
    added = [torch.randn(size).to(dtype) for size in [(1, heads, queries, keys), (rows, 1, queries, keys)]]
    lowest = torch.finfo(dtype).min
    hiding = [added[1].masked_fill(~visible[0], value) for value in (lowest, lowest / 2, -torch.inf)]
    return [None, *visible, *added, *hiding]


@needs_library
@pytest.mark.parametrize("dtype", native.TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_it_is_that_of_float64(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Within 2e-6 of means of numbers of about 1, and one rounding in 16 bits."""
    torch.manual_seed(0)
    query, key, value = numbers(shape, dtype)
    for mask in masks(shape, dtype):
        ours = attention(query, key, value, mask, 0.3)
        assert ours.dtype == dtype and ours.transpose(1, 2).is_contiguous()
        rounding = 0 if dtype == torch.float32 else torch.finfo(dtype).eps / 2
        expected = reference(query, key, value, mask, 0.3)
        torch.testing.assert_close(ours.double(), expected, atol=2e-6, rtol=2e-6 + rounding)


@needs_library
@torch.no_grad()
def test_scores_far_apart() -> None:
    """One key is all there is; what lies below by 87 and more is nothing."""
    key = torch.tensor([0.0, -1, -86, -87.5, -104, -1e4, -1e30, 3])[None, None, :, None]
    value = torch.eye(8)[None, None]
    for scale in (1.0, 1e-3, 30.0, 1e6):
        ours = attention(torch.ones(1, 1, 1, 1), key, value, None, scale)
        expected = reference(torch.ones(1, 1, 1, 1), key, value, None, scale)
        torch.testing.assert_close(ours.double(), expected, atol=1e-37, rtol=1e-5)


@needs_library
@torch.no_grad()
def test_a_query_that_sees_nothing() -> None:
    """Zeros, or, where the lowest number is added to all scores, the mean: as torch's fused kernel has it."""
    query, key, value = numbers((1, 1, 1, 2, 5, 8, 8))
    hidden = torch.ones(1, 1, 2, 5, dtype=torch.bool)
    hidden[:, :, 1] = False
    for mask in (hidden, torch.zeros(hidden.shape).masked_fill(~hidden, -torch.inf)):
        ours = attention(query, key, value, mask, 1.0)
        assert ours[:, :, 1].eq(0).all()
        torch.testing.assert_close(ours, F.scaled_dot_product_attention(query, key, value, mask, scale=1.0))
    lowest = torch.zeros(hidden.shape).masked_fill(~hidden, torch.finfo(torch.float32).min)
    torch.testing.assert_close(attention(query, key, value, lowest, 1.0)[0, 0, 1], value[0, 0].mean(dim=0))


@needs_library
@pytest.mark.parametrize("place", ["query", "key", "value", "mask"])
@torch.no_grad()
def test_no_number_stays_none(place: str) -> None:
    """Wherever it stands; and what is hidden is not even read."""
    given = dict(zip(("query", "key", "value"), numbers((1, 1, 1, 1, 20, 16, 16)), strict=True))
    given["mask"] = torch.zeros(1, 1, 1, 20)
    given[place].select(2 if place != "mask" else 3, 0).fill_(torch.nan)
    assert attention(*given.values(), 1.0).isnan().any()
    if place in ("key", "value"):
        given["mask"] = torch.arange(20)[None, None, None] > 0
        assert attention(*given.values(), 1.0).isfinite().all()


@needs_library
@pytest.mark.parametrize("added", [False, True])
@torch.no_grad()
def test_the_same_bits_alone_and_beside_padding(added: bool) -> None:
    """In any batch, with one thread and with several, wherever the padding is."""
    torch.manual_seed(0)
    rows, keys = 6, 90
    query, key, value = numbers((rows, 4, 2, 2, keys, 64, 64))
    visible = torch.ones(rows, 1, 1, keys, dtype=torch.bool)
    for row in range(rows):
        visible[row, ..., : 7 * row] = False
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min) if added else visible
    alone = torch.cat([
        attention(query[r : r + 1], key[r : r + 1, :, 7 * r :], value[r : r + 1, :, 7 * r :], None, 0.125)
        for r in range(rows)
    ])  # fmt: skip
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3, 5):
            torch.set_num_threads(count)
            assert torch.equal(attention(query, key, value, mask, 0.125), alone)
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of queries that went through it."""
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        few_queries, "attention", lambda *values: shapes.append(tuple(values[0].shape)) or attention(*values)
    )
    return shapes


@needs_library
@torch.no_grad()
def test_for_which_it_is_used(used: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_queries, "MOST_QUERIES", 3)
    for queries in (1, 3, 4):
        query, key, value = numbers((2, 4, 2, queries, 9, 8, 8))
        for mask in (None, torch.ones(1, 9, dtype=torch.bool), torch.ones(1, 9)):
            ours, weights = attend(query, key, value, mask=mask, scale=0.5)
            assert weights is None
            torch.testing.assert_close(ours.double(), reference(query, key, value, mask, 0.5), atol=2e-6, rtol=2e-6)
    assert used == [(2, 4, 1, 8)] * 3 + [(2, 4, 3, 8)] * 3
    used.clear()
    query, key, value = numbers((2, 2, 2, 2, 2, 8, 8))
    attend(query, key, value, scale=1.0, causal=True)
    attend(query, key, value, scale=1.0, dropout=0.5)
    attend(query, key, value, scale=1.0, weights=True)
    attend(query.double(), key.double(), value.double(), scale=1.0)
    attend(query.mT.contiguous().mT, key, value, scale=1.0)
    with torch.enable_grad():
        attend(query.clone().requires_grad_(), key, value, scale=1.0)[0].sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        attend(query, key, value, scale=1.0)
    assert not pays(query, key.double(), value, None) and not pays(query[None], key[None], value[None], None)
    assert not pays(query, key, value, torch.ones(1, 2, dtype=torch.double))
    monkeypatch.setattr(native, "LIBRARY", None)
    attend(query, key, value, scale=1.0)
    assert used == []


@needs_library
@torch.no_grad()
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_transforms() -> None:
    query, key, value = (torch.randn(3, 2, 2, 4, 8) for _ in range(3))
    together = torch.func.vmap(lambda *given: attend(*given, scale=0.5)[0])(query, key, value)
    apart = [attend(*given, scale=0.5)[0] for given in zip(query, key, value, strict=True)]
    torch.testing.assert_close(together, torch.stack(apart))


@needs_library
@torch.no_grad()
def test_compiled_and_exported_code() -> None:
    """One operation for the compiler, of any number of keys; torch's own in what is exported."""
    graphs: list[str] = []

    def keep(graph: torch.fx.GraphModule, inputs: object) -> torch.fx.GraphModule:
        graphs.append(str(graph.graph))
        return graph

    class Attending(torch.nn.Module):
        def forward(self, query: Any, key: Any, value: Any, mask: Any) -> Any:
            return attend(query, key, value, mask=mask, scale=0.5)[0]

    compiled = torch.compile(Attending(), backend=keep, fullgraph=True)
    for keys in (7, 9, 12):
        query, key, value = numbers((2, 4, 2, 1, keys, 8, 8))
        mask = torch.ones(1, keys, dtype=torch.bool)
        for given in (key, value):
            torch._dynamo.mark_dynamic(given, 2)
        torch._dynamo.mark_dynamic(mask, 1)
        torch.testing.assert_close(
            compiled(query, key, value, mask).double(), reference(query, key, value, mask, 0.5), atol=2e-6, rtol=2e-6
        )
    assert len(graphs) == 1 and "modelwright.few_queries" in graphs[0]
    program = torch.export.export(Attending(), (query, key, value, mask))
    assert "few_queries" not in str(program.graph)


@needs_library
@torch.no_grad()
def test_a_padded_text_goes_on_as_it_does_alone(used: list[tuple[int, ...]]) -> None:
    """Bit for bit, through a model's cache; positions are what the text has alone."""
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = mw.build("gpt2", head="causal_lm", hparams=sizes).eval()
    torch.manual_seed(0)
    text, ahead = torch.randint(1, 500, (1, 11)), 6
    padded = F.pad(text, (ahead, 0))
    mask = F.pad(torch.ones_like(text), (ahead, 0))
    places = F.pad(torch.arange(11)[None], (ahead, 0))
    alone, beside = model.new_cache(32), model.new_cache(32)
    for i in range(11):
        used.clear()
        one = model(text[:, i : i + 1], past_key_values=alone).logits
        assert i == 0 or used == [(1, 4, 1, 16)] * 2
        if i == 0:  # the padding comes first, and is never seen
            model(padded[:, :ahead], attention_mask=mask[:, :ahead], past_key_values=beside)
        two = model(
            padded[:, ahead + i : ahead + i + 1], attention_mask=mask[:, : ahead + i + 1],
            position_ids=places[:, ahead + i : ahead + i + 1], past_key_values=beside,
        ).logits  # fmt: skip
        assert torch.equal(one, two)
