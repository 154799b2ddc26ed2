"""How tensors and values are shown: in rows, folded, and short."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..stores import TensorInfo
from ..stores.dtypes import ITEMSIZE
from .report import ranges


def table(tensors: Mapping[str, TensorInfo]) -> list[str]:
    """Lines of a table, repeated layers folded."""
    rows = [("tensor", "shape", "dtype", "count", "size")]
    for name, (info, count) in fold_tensors(tensors).items():
        rows.append((name, str(list(info.shape)), info.dtype, str(count), megabytes(size_of(info) * count)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"  {name:<{widths[0]}}  {shape:<{widths[1]}}  {dtype:<{widths[2]}}  {count:>{widths[3]}}  {size:>{widths[4]}}"
        for name, shape, dtype, count, size in rows
    ]


def fold_tensors(tensors: Mapping[str, TensorInfo]) -> dict[str, tuple[TensorInfo, int]]:
    """Tensors that differ only in a number of their names, folded into rows: `layer.{0…11}.weight`, one of them, how
    many. Order of first appearance."""
    rows: list[tuple[list[str | tuple[int, ...]], TensorInfo, int]] = [
        (re.split(r"(\d+)(?=[/._]|$)", printable(name)), info, 1) for name, info in tensors.items()
    ]
    for place in range(1, max((len(parts) for parts, _, _ in rows), default=0), 2):
        groups: dict[object, list[tuple[list[str | tuple[int, ...]], TensorInfo, int]]] = {}
        for index, row in enumerate(rows):
            parts, info, _ = row
            foldable = place < len(parts)
            key = (*parts[:place], None, *parts[place + 1 :], info.shape, info.dtype) if foldable else index
            groups.setdefault(key, []).append(row)
        rows = []
        for group in groups.values():
            parts, info, _ = group[0]
            if len(group) > 1:
                folded = tuple(int(row[0][place]) for row in group)
                parts = [*parts[:place], folded, *parts[place + 1 :]]
            rows.append((parts, info, sum(count for _, _, count in group)))
    return {
        "".join(part if isinstance(part, str) else ranges(part) for part in parts): (info, count)
        for parts, info, count in rows
    }


def short(text: str, length: int = 80) -> str:
    """One line of it, made safe to print."""
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def numel(info: TensorInfo) -> int:
    count = 1
    for size in info.shape:
        count *= size
    return count


def size_of(info: TensorInfo) -> int:
    return numel(info) * ITEMSIZE[info.dtype]


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} B"
