"""Products of a few rows in C: those of float64 arithmetic, the same bits in every batch, and only where nothing else
counts."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from modelwright.blocks import few_rows, native, processor
from modelwright.blocks.few_rows import pays, product
from modelwright.blocks.linear import Linear, linear
from modelwright.blocks.native import TYPES

HAS_ONE = native.LIBRARY is not None
needs_kernel = pytest.mark.skipif(not HAS_ONE, reason="native.c was not built, or this processor has no AVX2")


def test_it_is_there_where_it_can_be() -> None:
    here = (platform.system(), platform.machine(), torch.backends.cpu.get_cpu_capability()[:4])
    if here not in [("Linux", "x86_64", "AVX2"), ("Linux", "x86_64", "AVX5")] or shutil.which("cc") is None:
        pytest.skip("another system, or no compiler")
    assert HAS_ONE and native.THREADS is not None


def test_one_that_was_built_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "_native.so"
    other.write_bytes(b"of another machine")
    for found in (SimpleNamespace(origin=str(other)), SimpleNamespace(origin=None), None):
        monkeypatch.setattr(native, "find_spec", lambda name, found=found: found)
        assert native.library() is None


@needs_kernel
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows", [*range(1, 9), 31, 32])
@pytest.mark.parametrize(("outputs", "inputs"), [(1, 1), (5, 7), (24, 8), (50, 33), (19, 1030), (7, 3000)])
@pytest.mark.parametrize("part", [False, True])
@torch.no_grad()
def test_products_are_float64_ones(dtype: torch.dtype, rows: int, outputs: int, inputs: int, part: bool) -> None:
    """Within 2e-5 of sums of products of variance 1/inputs, and one rounding in 16 bits. Also of a part of a wider
    matrix, and of rows that do not lie side by side."""
    torch.manual_seed(rows)
    scale = inputs**-0.5
    weight = (scale * torch.randn(outputs, inputs + 3 * part)).to(dtype)[:, 3 * part :]
    hidden, bias = torch.randn(rows, inputs + part).to(dtype)[:, part:], torch.randn(outputs).to(dtype)
    for added in (None, bias):
        ours = product(hidden, weight, added)
        assert ours.dtype == dtype and ours.is_contiguous()
        expected = F.linear(hidden.double(), weight.double(), None if added is None else added.double())
        rounding = 0 if dtype == torch.float32 else torch.finfo(dtype).eps / 2
        torch.testing.assert_close(ours.double(), expected, atol=2e-5, rtol=2e-5 + rounding)


@needs_kernel
@pytest.mark.parametrize("dtype", TYPES)
@torch.no_grad()
def test_a_row_is_the_same_in_every_batch(dtype: torch.dtype) -> None:
    """Bit for bit, with one thread and with several."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(32, 2100).to(dtype), torch.randn(101, 2100).to(dtype)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat([product(row[None], weight, None) for row in hidden])
        for count in (1, 2, 3, 5):
            torch.set_num_threads(count)
            for rows in (1, 2, 3, 4, 7, 20, 32):
                assert torch.equal(product(hidden[:rows], weight, None), alone[:rows])
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of what went through the kernel."""
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(few_rows, "product", lambda *values: shapes.append(values[0].shape) or product(*values))
    return shapes


@needs_kernel
@torch.no_grad()
def test_for_which_it_is_used(used: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows of any shape, and a weight that lies row by row."""
    weight = torch.randn(6, 8)
    monkeypatch.setattr(few_rows, "MOST_ROWS", 8)
    for shape in [(8,), (1, 8), (2, 4, 8), (1, 1, 8), (0, 8), (9, 8), (3, 3, 8)]:
        hidden = torch.randn(shape)
        torch.testing.assert_close(linear(hidden, weight), F.linear(hidden, weight))
    linear(torch.randn(2, 8), weight.t().contiguous().t())
    linear(torch.randn(2, 8).double(), weight.double())
    assert used == [(8,), (1, 8), (2, 4, 8), (1, 1, 8)]
    monkeypatch.setattr(native, "LIBRARY", None)
    linear(torch.randn(2, 8), weight)
    assert len(used) == 4, "without a kernel torch's own product"


@needs_kernel
def test_types_the_processor_has_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight = torch.randn(2, 8).bfloat16(), torch.randn(6, 8).bfloat16()
    for slow in (frozenset(), frozenset({torch.bfloat16})):
        monkeypatch.setattr(processor, "SLOW", slow)
        assert pays(hidden, weight) == bool(slow)
    assert not pays(hidden.float(), weight)


def test_up_to_how_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for has, expected in [
        ({}, 32),
        ({"cpu_name": "Intel(R) Xeon(R)", "avx512_f": False}, 32),
        ({"cpu_name": "Intel(R) Xeon(R)", "avx512_f": True}, 8),
        ({"cpu_name": "AMD EPYC", "avx512_f": True}, 32),
    ]:
        monkeypatch.setattr(few_rows, "capabilities", lambda has=has: has)
        assert few_rows.most_rows() == expected


def made() -> Linear:
    torch.manual_seed(0)
    module = Linear(8, 6).eval()
    nn.init.normal_(module.weight)
    return module


class Marked(torch.Tensor):
    """A kind of tensor that sees which operations are done with it, as quantised weights do."""

    @classmethod
    def __torch_function__(cls, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        assert "few_rows" not in str(function)
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated")
def test_where_more_than_values_counts(used: list[tuple[int, ...]]) -> None:
    """Gradients, autocast, traces, exports and other kinds of tensors: torch's own product."""
    module, hidden = made(), torch.randn(2, 8)
    module(hidden).sum().backward()
    assert module.weight.grad is not None
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert module(hidden).dtype == torch.bfloat16
        trace = torch.jit.trace(module, hidden, check_trace=False)
        program = torch.export.export(module, (hidden,), dynamic_shapes=({0: torch.export.Dim("rows")},))
        assert "few_rows" not in str(trace.graph) and "few_rows" not in str(program.graph)
        torch.testing.assert_close(program.module()(torch.randn(40, 8)).shape, torch.Size([40, 6]))
        linear(hidden.as_subclass(Marked), module.weight)
        linear(hidden, module.weight.data.as_subclass(Marked))
        assert module.to("meta")(hidden.to("meta")).is_meta
    assert used == []


@needs_kernel
@torch.no_grad()
def test_wrong_widths_are_torchs_errors() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        made()(torch.randn(2, 9))
    with pytest.raises(RuntimeError, match="expand"):
        linear(torch.randn(2, 8), torch.randn(6, 8), torch.randn(5))


@needs_kernel
@torch.no_grad()
def test_transforms(capfd: pytest.CaptureFixture[str]) -> None:
    """As of an ensemble, whose weights are stacked."""
    module, hidden, weights = made(), torch.randn(2, 8), torch.randn(3, 6, 8)

    def call(weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, {"weight": weight}, (hidden,))

    together = torch.func.vmap(call)(weights)
    assert "batching rule" not in capfd.readouterr().err, "not one by one"
    torch.testing.assert_close(together, torch.stack([call(weight) for weight in weights]))


@needs_kernel
@torch.no_grad()
def test_compiled_code_has_it_as_one_operation() -> None:
    """Also where the number of rows is free; numbers are those of the weights as they are now."""
    module, graphs = made(), []

    def keep(graph: torch.fx.GraphModule, inputs: object) -> torch.fx.GraphModule:
        graphs.append(str(graph.graph))
        return graph

    compiled = torch.compile(module, backend=keep, fullgraph=True)
    for rows in (2, 3, 4):
        hidden = torch.randn(rows, 8)
        torch._dynamo.mark_dynamic(hidden, 0)
        torch.testing.assert_close(compiled(hidden), F.linear(hidden, module.weight, module.bias))
    module.weight.mul_(2)
    torch.testing.assert_close(compiled(hidden), F.linear(hidden, module.weight, module.bias))
    assert len(graphs) == 1 and "modelwright.few_rows" in graphs[0]


@needs_kernel
def test_inference_mode_and_no_inputs() -> None:
    with torch.inference_mode():
        module, hidden = made(), torch.randn(3, 8)
        torch.testing.assert_close(module(hidden), F.linear(hidden, module.weight, module.bias))
        bias = torch.randn(4)
        assert torch.equal(linear(torch.empty(3, 0), torch.empty(4, 0), bias), bias.expand(3, 4))
