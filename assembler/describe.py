"""What a model is made of: its tree with shapes, and what it costs in parameters, memory and operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..errors import UsageError
from .model import Model
from .weights.report import fold


@dataclass(frozen=True, slots=True)
class Row:
    """One module, or one parameter, of the tree. Layers that are alike are one row."""

    depth: int
    name: str
    kind: str
    shape: str
    values: int  # of all layers in the row, shared parameters once


@dataclass(frozen=True)
class Description:
    title: str
    rows: list[Row]
    parameters: int
    bytes: int
    flops: int | None
    batch: int
    length: int

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        rows = [{slot: getattr(row, slot) for slot in Row.__slots__} for row in self.rows]
        return vars(self) | {"rows": rows}

    def __str__(self) -> str:
        cells = [("  " * row.depth + row.name, row.kind, row.shape, f"{row.values:,}") for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {shape:<{widths[2]}}  {values:>{widths[3]}}".rstrip()
            for name, kind, shape, values in cells
        ]
        lines += ["", f"{self.title}: {self.parameters:,} parameters, {self.bytes / 2**20:,.1f} MiB in float32"]
        if self.flops is not None:
            lines.append(f"one pass over {self.batch} x {self.length} tokens: {self.flops / 1e9:,.2f} GFLOP")
        return "\n".join(lines)


def describe(model: Model, *, batch: int = 1, length: int = 128) -> Description:
    """The tree of a model, which may be on meta. `flops` counts two for a multiplication and an addition."""
    if batch < 1 or length < 1:
        raise UsageError("batch and length count from 1")
    seen: set[int] = set()
    rows = list(_rows(model, 0, seen))
    parameters = model.num_parameters()
    return Description(
        model.spec.name, rows, parameters, 4 * parameters, _flops(model, batch, length), batch, length
    )


def _rows(module: nn.Module, depth: int, seen: set[int]) -> Iterator[Row]:
    for name, parameter in module._parameters.items():
        if parameter is not None:
            new = id(parameter) not in seen
            seen.add(id(parameter))
            yield Row(depth, name, "" if new else "(shared)", _shape(parameter), parameter.numel() if new else 0)
    groups: list[tuple[list[str], nn.Module]] = []
    for name, child in module.named_children():
        if not any(True for _ in child.parameters()):
            continue
        if groups and name.isdigit() and _alike(groups[-1][1], child):
            groups[-1][0].append(name)
            seen.update(id(parameter) for parameter in child.parameters())
        else:
            groups.append(([name], child))
    for names, child in groups:
        before = set(seen)
        below = list(_rows(child, depth + 1, seen))
        own = sum(p.numel() for p in dict.fromkeys(child.parameters()) if id(p) not in before) * len(names)
        label = fold(names)[0] if len(names) > 1 else names[0]
        leaf = getattr(child, "leaf", None)
        if leaf is not None and len(below) <= 2 and all(row.depth == depth + 1 for row in below):
            shape = " + ".join(row.shape for row in below)
            yield Row(depth, label, leaf + (" (shared)" if below[0].kind else ""), shape, own)
        else:
            yield Row(depth, label, getattr(child, "block", ""), "", own)
            yield from below


def _shape(parameter: torch.Tensor) -> str:
    return str(list(parameter.shape))


def _alike(one: nn.Module, other: nn.Module) -> bool:
    def sizes(module: nn.Module) -> list[tuple[str, torch.Size]]:
        return [(name, parameter.shape) for name, parameter in module.named_parameters()]

    return type(one) is type(other) and sizes(one) == sizes(other)


def _flops(model: Model, batch: int, length: int) -> int | None:
    """Counted on a copy-free dry run over meta tensors; None if the model takes no token ids or is not on meta."""
    if "input_ids" not in model.inputs or model.device.type != "meta":
        return None
    shape = (batch, 1, length) if model.wants_choices else (batch, length)
    inputs = [name for name in ("input_ids", "decoder_input_ids") if name in model.inputs]
    with FlopCounterMode(display=False) as counter:
        model(**{name: torch.zeros(shape, dtype=torch.long, device="meta") for name in inputs})
    return counter.get_total_flops()
