"""HDF5 files of Keras weights (`tf_model.h5`), through h5py, which is optional. Only headers are read on opening.

Keras writes `/layer/scope/path/to/weight:0`: the layer holds what one object of the model made, the scope is the name
of that object's class. The name of a tensor here is the rest, without `:0`: `path/to/weight`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ...errors import Diagnostic, Place
from ..replacing import replacing
from .arrays import NAMES, dtype_named
from .base import Refused, TensorInfo, missing_tensor, open_file, problem, quoted, unwritable, valueless
from .dtypes import dtype_of
from .mapped import MappedFile, tensor_of

if TYPE_CHECKING:
    from torch import Tensor

SCOPE = "model"  # what we write where Keras has the name of a class
RATIO = 100  # times its stored size that a compressed tensor may have
AGAIN = "fetch the file again"


class KerasStore:
    """Raises `DownloadError` if the file cannot be read, `WeightsError` if it is damaged, refers to other files, or
    h5py is not installed."""

    name = "keras"
    extras: Mapping[str, object] = {}

    def __init__(self, path: Path) -> None:
        h5py = _h5py(path)
        self.paths = [path]
        self._mapped = MappedFile(open_file(path), path)
        self._datasets: dict[str, Any] = {}
        self._again: list[tuple[str, Any]] = []  # what other layers hold of a name
        self.tensors: dict[str, TensorInfo] = {}
        self._ignored: list[str] = []
        try:
            self._file = h5py.File(self._mapped.file, "r")
            self.metadata = {
                str(key)[:80]: text for key, value in self._file.attrs.items() if (text := _text(value)) is not None
            }
            self._file.visititems(lambda name, node: self._add(name, node) if isinstance(node, h5py.Dataset) else None)
        except Refused as error:
            self._mapped.close()
            raise problem(path, str(error), error.help) from None
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, UnicodeError) as error:
            self._mapped.close()
            raise problem(path, f"this HDF5 file is damaged ({str(error)[:200]})", AGAIN) from None
        self.ignored = tuple(self._ignored)

    def _add(self, place: str, dataset: Any) -> None:
        parts = place.split("/")
        name = "/".join(parts[2:] if len(parts) > 2 else parts[-1:]).removesuffix(":0")
        if dataset.dtype.kind not in "fiub":
            self._ignored.append(place)
            return
        if dataset.is_virtual or dataset.external:
            raise Refused(f"tensor {quoted(name)} lies in another file", "fetch a file that holds its tensors itself")
        stored = dataset.id.get_storage_size()
        if dataset.nbytes > stored * (RATIO if dataset.chunks else 1):
            raise Refused(f"tensor {quoted(name)} claims {dataset.nbytes} bytes, the file has {stored} for it", AGAIN)
        if name in self.tensors:  # Keras saves a variable with every layer that uses it
            if dataset.shape != self._datasets[name].shape or dataset.dtype != self._datasets[name].dtype:
                raise Refused(f"it holds two tensors of the name {quoted(name)}", AGAIN)
            self._again.append((name, dataset))
            return
        self._datasets[name] = dataset
        self.tensors[name] = TensorInfo(tuple(dataset.shape), dtype_named(dataset.dtype.str), self.paths[0])

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if self._mapped.closed:
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        dataset, info = self._datasets[name], self.tensors[name]
        offset = dataset.id.get_offset()  # None if it is in pieces or compressed
        if offset is not None:
            return self._mapped.tensor(offset, info.dtype, info.shape)
        try:
            return tensor_of(dataset[()].reshape(info.shape), info.dtype, info.shape)
        except (OSError, RuntimeError, ValueError) as error:
            raise problem(self.paths[0], f"tensor {quoted(name)} is damaged ({str(error)[:200]})", AGAIN) from None

    def check_sums(self) -> list[Diagnostic]:
        place = Place(str(self.paths[0]))
        return [
            Diagnostic(f"{quoted(dataset.name)} is tensor {quoted(name)} once more, and differs", place)
            for name, dataset in self._again
            if not (dataset[()] == self._datasets[name][()]).all()
        ]

    def close(self) -> None:
        self._file.close()
        self._mapped.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def write_keras(path: Path, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write weights as Keras saves those of a model, all or nothing: each under its layer, the first part of its name,
    within the scope `model`. WeightsError if NumPy has no such type, DownloadError if the file cannot be written."""
    h5py = _h5py(path)
    layers: dict[str, list[str]] = {}
    try:
        with replacing(path) as target, h5py.File(target, "w") as file:
            for name, tensor in tensors:
                unknown = None if dtype_of(tensor) in NAMES else f"HDF5 has no type for {dtype_of(tensor)}"
                if reason := valueless(name, tensor) or unknown:
                    raise problem(path, f"tensor {quoted(name)} cannot be stored: {reason}")
                layer = name.partition("/")[0]
                weight = f"{SCOPE}/{name}:0"
                layers.setdefault(layer, []).append(weight)
                file.create_dataset(f"{layer}/{weight}", data=tensor.detach().cpu().contiguous().numpy())
            for layer, weights in layers.items():
                file[layer].attrs["weight_names"] = [weight.encode() for weight in weights]
            file.attrs["layer_names"] = [layer.encode() for layer in layers]
            file.attrs["backend"] = b"tensorflow"
    except OSError as error:
        raise unwritable(path, error) from None


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        help = "pip install 'modelwright[keras]'; or use the safetensors or PyTorch release of these weights"
        raise problem(path, "this is an HDF5 file (Keras), which needs h5py; it is not installed", help) from None
    return h5py


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) and len(value) < 2**16 else None
