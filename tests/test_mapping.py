"""The mapping language: patterns, operations with their inverses and shapes, rules, ties, folding of names."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from modelwright.assembler.weights.mapping import compile_rules, expand_rules
from modelwright.assembler.weights.ops import OpError, Pipeline
from modelwright.assembler.weights.patterns import Pattern, PatternError, expand, fill
from modelwright.assembler.weights.report import fold
from modelwright.errors import SpecError


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        ("a", "b", [("a", "b")]),
        ("x.{a,b}", "y.{c,d}", [("x.a", "y.c"), ("x.b", "y.d")]),
        ("x.{a,b}.{w,v}", "{c,d}/{1,2}", [("x.a.w", "c/1"), ("x.a.v", "c/2"), ("x.b.w", "d/1"), ("x.b.v", "d/2")]),
        ("heads.{a,b}.dense", "cls", [("heads.a.dense", "cls"), ("heads.b.dense", "cls")]),
        ("l.{i}.(q,k)", "h{i}.qk | t | chunk", [("l.{i}.(q,k)", "h{i}.qk | t | chunk")]),
    ],
)
def test_choices_pair_by_position(left: str, right: str, pairs: list[tuple[str, str]]) -> None:
    assert expand(left, right) == pairs


@pytest.mark.parametrize(
    ("left", "right"),
    [("a", "{b,c}"), ("{a,b}", "{a,b,c}"), ("{a,b}", "{a,b}.{c,d}"), ("{a,b}.{c,d}.{e,f}", "{a,b}.{c,d}")],
)
def test_choices_that_do_not_pair_are_refused(left: str, right: str) -> None:
    with pytest.raises(PatternError):
        expand(left, right)


def test_patterns_match_whole_names() -> None:
    pattern = Pattern("layers.{i}.(query,key).weight")
    assert pattern.match("layers.12.key.weight") == {"i": "12", "group": "key"}
    assert pattern.match("xlayers.12.key.weight") is None and pattern.match("layers.a.key.weight") is None
    assert pattern.members({"i": "3"}) == ["layers.3.query.weight", "layers.3.key.weight"]
    assert fill("block_{i:03d}/x{i}", {"i": "7"}) == "block_007/x7"
    assert Pattern("a.b").match("aXb") is None


SHAPES = {
    "t": (3, 5), "permute(2,0,1)": (2, 3, 4), "squeeze(0)": (1, 4, 6), "squeeze(0) | t": (1, 4, 6),
    "flatten(1,3,2)": (4, 3, 2), "flatten(0,2,3)": (2, 3, 4), "flatten(1,3,2) | t": (4, 3, 2),
    "flatten(0,2,3,4)": (2, 3, 4),
}  # fmt: skip


@pytest.mark.parametrize("text", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_operations_go_back_bit_for_bit(text: str, dtype: torch.dtype) -> None:
    stored = (torch.randn(SHAPES[text]) * 100).to(dtype)
    pipeline = Pipeline.parse([piece.strip() for piece in text.split("|")])
    shape = pipeline.shape(tuple(stored.shape))
    ours = pipeline.forward(stored, [shape])
    assert tuple(ours[0].shape) == shape
    assert torch.equal(pipeline.inverse(ours), stored)
    assert ours[0].untyped_storage().data_ptr() == stored.untyped_storage().data_ptr()  # nothing was copied


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 5))
def test_chunk_cuts_and_joins_any_sizes(sizes: list[int], width: int) -> None:
    stored = torch.arange(sum(sizes) * width).view(width, sum(sizes))
    pipeline = Pipeline.parse(["t", "chunk"])
    targets = [(size, width) for size in sizes]
    assert pipeline.fits(tuple(stored.shape), targets)
    assert not pipeline.fits((width, sum(sizes) + 1), targets)
    parts = pipeline.forward(stored, targets)
    assert [tuple(part.shape) for part in parts] == targets
    assert torch.equal(pipeline.inverse(parts), stored)


@pytest.mark.parametrize(
    "ops",
    [["chunk", "t"], ["transposed"], ["t("], ["squeeze"], ["permute(x)"], ["permute(0,2)"], ["flatten"], ["flatten(1)"],
     ["__import__('os')"]],
)  # fmt: skip
def test_unknown_operations_are_refused(ops: list[str]) -> None:
    with pytest.raises(OpError):
        Pipeline.parse(ops)


@pytest.mark.parametrize(
    ("text", "shape"),
    [("t", (3,)), ("permute(1,0)", (2, 2, 2)), ("squeeze(0)", (2, 3)), ("flatten(1,2,3)", (6, 3, 2)),
     ("flatten(1,2,3)", (2, 2))],
)  # fmt: skip
def test_operations_refuse_shapes(text: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(OpError):
        Pipeline.parse([text]).shape(shape)


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(2, 2) for _ in range(3))})
        for layer in self.body["layers"]:
            layer.leaf = "linear"


def sources(rules: dict[str, str], leaves: dict[str, dict[str, str]] | None = None) -> list:
    return expand_rules(Tower(), compile_rules(rules, {}, ["body"]), leaves or {})


def test_leaves_say_once_how_a_kind_of_block_is_laid_out() -> None:
    found = sources({"body.layers.{i}": "h{i:02d}"}, {"linear": {"weight": "/kernel | t", "bias": "/b"}})
    assert [source.stored for source in found] == [f"h{i:02d}/{leaf}" for i in range(3) for leaf in ("kernel", "b")]
    assert found[0].pipeline.ops[0].text == "t" and found[1].pipeline.ops == ()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"body.layers.{i}.weight": "w{i}"}, "no rule says where `body.layers.{0…2}.bias` is stored"),
        ({"body.layers.{i}": "a{i}", "body.layers.{j}": "b{j}"}, "several rules say where"),
        ({"body.layers.{i}": "a{i}", "body.leyers.{i}": "b{i}"}, "the rule `body.leyers.{i}` matches no parameter"),
        ({"body.layers.{i}": "a{i} | flip"}, "no operation `flip`"),
        ({"body.layers.{i}": "{a,b}"}, "offers a choice"),
    ],
)
def test_rules_must_be_complete_and_unambiguous(rules: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError) as error:
        sources(rules)
    assert message in str(error.value)


def test_rules_about_absent_parts_are_left_out() -> None:
    assert len(sources({"body.layers.{i}": "a{i}", "pooler.dense": "p", "heads.x.dense": "q"})) == 6


def test_names_fold() -> None:
    names = [f"a.{i}.w" for i in (0, 1, 2, 5)] + ["b.w", "a.1.v"]
    assert fold(names) == ["a.{0…2,5}.w", "b.w", "a.1.v"]
