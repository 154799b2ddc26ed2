"""What `torch.save` writes, read without torch's unpickler: nothing can run, nothing is read before it is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ...errors import Diagnostic, Place, WeightsError
from ..replacing import replacing
from .arrays import StoredArray, StoredBytes
from .base import Refused, TensorInfo, listed, missing_tensor, open_file, problem, quoted, unwritable
from .dtypes import ITEMSIZE
from .mapped import MappedFile
from .plain import plain_values
from .rebuild import StoredTensor
from .torch_layout import AGAIN, read_layout

if TYPE_CHECKING:
    from torch import Tensor

NESTED = ("state_dict", "model_state_dict", "model")  # where training programs put the weights beside other things
PARALLEL = "module."
CHUNK = 2**20  # bytes


class TorchStore:
    """One `.bin`, `.pt` or `.pth` file, zip or older. Raises `DownloadError` if it cannot be read, `WeightsError` if it
    is damaged, wants to run code, or holds anything but dense tensors by name (simple values are `ignored`).

    Training programs keep the weights under one key of a dict: what is beside it is in `extras`, inert. There a
    `module.` before every name is dropped, which several devices leave behind.
    """

    name = "torch"

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        self.metadata: Mapping[str, str] = {}
        self._file = MappedFile(open_file(path), path)
        try:
            content, self._records = read_layout(self._file.file)
            self._views, self.ignored, self.extras = _state_dict(content)
        except BaseException as error:
            self._file.close()
            if isinstance(error, Refused):
                raise problem(path, str(error), error.help) from None
            raise
        self.tensors = {name: TensorInfo(view.shape, view.dtype, path) for name, view in self._views.items()}

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if self._file.closed:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        return self.read_value(self._views[name])

    def read_value(self, value: StoredTensor | StoredArray) -> Tensor:
        """A tensor or array found in `extras`."""
        if isinstance(value, StoredArray):
            try:
                return value.read(self._file)
            except Refused as error:
                raise problem(self.paths[0], str(error), error.help) from None
        start = self._records[f"data/{value.storage.key}"].start + value.offset * ITEMSIZE[value.dtype]
        return self._file.tensor(start, value.dtype, value.shape, value.stride)

    def check_sums(self) -> list[Diagnostic]:
        owners: dict[str, list[str]] = {}
        for name, view in self._views.items():
            owners.setdefault(f"data/{view.storage.key}", []).append(name)
        problems = []
        for key, record in self._records.items():
            if record.checksum is None:
                continue
            self._file.file.seek(record.start)
            checksum, left = 0, record.size
            while left and (chunk := self._file.file.read(min(CHUNK, left))):
                checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
            if checksum != record.checksum:
                what = f" ({listed(owners[key])})" if key in owners else ""
                problems.append(Diagnostic(
                    f"record {quoted(key)}{what} does not match its checksum", Place(str(self.paths[0])), help=AGAIN
                ))
        return problems

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _state_dict(content: object) -> tuple[dict[str, StoredTensor], tuple[str, ...], dict[str, object]]:
    """The tensors by name, the names of what was passed over, and what is beside them. Raises `Refused`."""
    help = f"save `model.state_dict()` alone, or under one of the keys {listed(NESTED)}"
    if not isinstance(content, dict):
        raise Refused(f"it holds a {_kind(content)}, not tensors by name", help)
    extras: dict[str, object] = {}
    for key in NESTED:
        if isinstance(content.get(key), dict):
            extras = {str(other): value for other, value in content.items() if other != key}
            content = content[key]
            break
    views: dict[str, StoredTensor] = {}
    ignored = list(extras)
    others = []
    for name, value in content.items():
        if isinstance(value, StoredTensor) and isinstance(name, str):
            views[name] = value
        elif isinstance(value, str | bytes | StoredBytes | int | float | None):
            ignored.append(str(name))
        else:
            others.append(f"{name} ({_kind(value)})")
    if others:
        raise Refused(f"it holds more than tensors by name: {listed(others)}", help)
    if extras and views and all(name.startswith(PARALLEL) for name in views):
        views = {name.removeprefix(PARALLEL): view for name, view in views.items()}
    return views, tuple(ignored), extras


def _kind(value: object) -> str:
    return "tensor" if isinstance(value, StoredTensor) else type(value).__name__


def write_torch(
    path: Path, tensors: Mapping[str, Tensor], extras: Mapping[str, object] | None = None, *, old: bool = False
) -> None:
    """Write what `torch.load` reads, all or nothing: the tensors alone or, with `extras`, as `model` beside them.

    Args:
        extras: plain values (numbers, texts, lists, dicts, `argparse.Namespace`), tensors and NumPy arrays by name.
        old: the format before torch 1.6, which every torch reads.
    Raises:
        WeightsError: a tensor cannot be stored. DownloadError: the file cannot be written.
    """
    import torch

    wrong = [
        Diagnostic(f"tensor {quoted(name)} cannot be stored: it has no values yet (meta device)", Place(str(path)))
        for name, tensor in tensors.items() if tensor.is_meta
    ]
    if wrong:
        raise WeightsError(*wrong)
    state = {name: _storable(tensor) for name, tensor in tensors.items()}
    content = state if extras is None else {**plain_values(extras, path), "model": state}
    try:
        with replacing(path) as file:
            torch.save(content, file, _use_new_zipfile_serialization=not old)
    except OSError as error:
        raise unwritable(path, error) from None


def _storable(tensor: Tensor) -> Tensor:
    """On the CPU, and no view of something larger, which torch would store whole."""
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    held = tensor.untyped_storage().nbytes()
    return tensor.clone() if held > tensor.numel() * tensor.element_size() else tensor
