"""One checkpoint in several files that all have the same names: what was spread over several devices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ...errors import Diagnostic
from .base import Store, TensorInfo, listed, missing_tensor, problem, quoted

if TYPE_CHECKING:
    from torch import Tensor

_NUMBERED = re.compile(r"(.+\.)(\d+)(\.pth)")
MOST = 1000


def parts_of(path: Path) -> list[Path]:
    """All files of a checkpoint one of which this is: `consolidated.00.pth`, `consolidated.01.pth`, …; or it alone."""
    found = _NUMBERED.fullmatch(path.name)
    if found is None:
        return [path]
    names = (f"{found[1]}{number:0{len(found[2])}d}{found[3]}" for number in range(MOST))
    parts = list(takewhile(Path.is_file, (path.with_name(name) for name in names)))
    return parts if path in parts else [path]


class PartedStore:
    """Each tensor is the parts of it put together along one dimension, or the same in every file.

    Until `join` has said along which, shapes are those of the first part. Raises `WeightsError` if the files do not
    have the same names.
    """

    ignored: tuple[str, ...] = ()

    def __init__(self, parts: Sequence[Store]) -> None:
        self._parts = list(parts)
        first = parts[0]
        self.name, self.metadata, self.extras = first.name, first.metadata, first.extras
        self.paths = [path for part in parts for path in part.paths]
        self.tensors: dict[str, TensorInfo] = dict(first.tensors)
        self._dims: dict[str, int | None] = dict.fromkeys(self.tensors)
        for part in self._parts[1:]:
            if others := part.tensors.keys() ^ self.tensors.keys():
                raise problem(part.paths[0], f"it does not have the names of {first.paths[0].name}: {listed(others)}")

    def join(self, dims: Mapping[str, int | None]) -> None:
        """Say along which dimension each tensor is put together, None for those that every file has whole.

        WeightsError if the parts of one do not go together so.
        """
        for name, dim in dims.items():
            shapes = [part.tensors[name].shape for part in self._parts]
            if dim is not None and dim >= len(shapes[0]):
                raise problem(self.paths[0], f"tensor {quoted(name)} {list(shapes[0])} has no dimension {dim}")
            if len({shape[:dim] + shape[dim + 1 :] if dim is not None else shape for shape in shapes}) != 1:
                raise problem(self.paths[0], f"the parts of {quoted(name)} do not go together: {listed(shapes)}")
            info, shape = self.tensors[name], list(shapes[0])
            if dim is not None:
                shape[dim] = sum(one[dim] for one in shapes)
            self.tensors[name] = TensorInfo(tuple(shape), info.dtype, info.file)
            self._dims[name] = dim

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        dim = self._dims[name]
        if dim is None:
            return self._parts[0].read(name)
        import torch

        return torch.cat([part.read(name) for part in self._parts], dim)

    def check_sums(self) -> list[Diagnostic]:
        return [problem for part in self._parts for problem in part.check_sums()]

    def close(self) -> None:
        for part in self._parts:
            part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
