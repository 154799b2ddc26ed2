"""A state dict in memory, as a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ...errors import Diagnostic, WeightsError
from ..stores import TensorInfo
from ..stores.dtypes import dtype_of


class StateDict:
    """Raises `WeightsError` if something in it is no tensor."""

    name = "state dict"

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        strangers = [k for k, value in tensors.items() if not isinstance(value, Tensor) or not isinstance(k, str)]
        if strangers:
            raise WeightsError(f"a state dict maps names to tensors; `{strangers[0]}` is no tensor")
        self._tensors = tensors
        self.paths: list[Path] = []
        file = Path("state dict")
        self.tensors = {name: TensorInfo(tuple(t.shape), dtype_of(t), file) for name, t in tensors.items()}
        self.metadata: dict[str, str] = {}
        self.ignored: list[str] = []
        self.extras: dict[str, object] = {}

    def read(self, name: str) -> Tensor:
        return self._tensors[name].detach()

    def check_sums(self) -> list[Diagnostic]:
        return []

    def close(self) -> None:
        """Nothing is open."""
