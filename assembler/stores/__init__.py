"""Checkpoints as stores: names, shapes and types from headers alone, then tensors one at a time; and writing them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Diagnostic, DownloadError, Place, UsageError, did_you_mean
from .archives import is_archive, unpack
from .base import Store, TensorInfo, listed, open_file, problem
from .keras_store import KerasStore, write_keras
from .numpy_store import NumpyStore, write_numpy
from .parted import PartedStore, parts_of
from .pickle_store import PickleStore, read_pickled, write_pickle
from .safetensors_store import SafetensorsStore, write_safetensors
from .sharded import ShardedStore
from .sstable import MAGIC
from .tensorflow_store import bundle_index, open_tensorflow
from .tensorflow_write import write_bundle
from .torch_layout import is_plain_pickle
from .torch_store import TorchStore, write_torch
from .verify import verify

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = Iterable[tuple[str, Tensor]]
    Extras = Mapping[str, object] | None

__all__ = [
    "KINDS", "PartedStore", "Store", "TensorInfo", "bundle_index", "is_archive", "open_store", "read_pickled", "unpack",
    "verify", "write_bundle", "write_keras", "write_numpy", "write_pickle", "write_safetensors", "write_torch",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    open: Callable[[Path], Store]
    write: Callable[[Path, Tensors, Extras], list[Path]]  # the file, or whose folder it is; tensors; what lies beside
    file: str  # its usual name in a folder; a sharded one has `.index.json` behind it
    endings: tuple[str, ...]
    others: tuple[str, ...] = ()  # names it has elsewhere
    written: str = ""  # the name that is written, if it is not the usual one


def _safetensors(path: Path, tensors: Tensors, extras: Extras) -> list[Path]:
    write_safetensors(path, tensors, metadata={"format": "pt"})
    return [path]


def _torch(path: Path, tensors: Tensors, extras: Extras) -> list[Path]:
    write_torch(path, dict(tensors), extras)
    return [path]


def _pickle(path: Path, tensors: Tensors, extras: Extras) -> list[Path]:
    write_pickle(path, dict(tensors), extras)
    return [path]


def _keras(path: Path, tensors: Tensors, extras: Extras) -> list[Path]:
    write_keras(path, tensors)
    return [path]


KINDS: dict[str, Kind] = {
    "safetensors": Kind(SafetensorsStore, _safetensors, "model.safetensors", (".safetensors",)),
    "torch": Kind(TorchStore, _torch, "pytorch_model.bin", (".bin", ".pt", ".pth"), ("model.pt",)),
    "tensorflow": Kind(
        open_tensorflow, lambda path, tensors, extras: write_bundle(path, tensors, note=True), "checkpoint",
        (".index", ".ckpt", "checkpoint"), written="model.ckpt",
    ),
    "numpy": Kind(
        NumpyStore, lambda path, tensors, extras: write_numpy(path.parent, dict(tensors)), "params_shapes.json",
        ("params_shapes.json",),
    ),
    "pickle": Kind(PickleStore, _pickle, "model.pkl", (".pkl", ".pkl.gz"), ("model.pkl.gz",)),
    "keras": Kind(KerasStore, _keras, "tf_model.h5", (".h5", ".hdf5")),
}  # fmt: skip
INDEX = ".index.json"
MOST_FOLDERS = 100  # that are looked into
ELSEWHERE = {  # endings of weights for other frameworks, so that we can say what the folder has instead
    ".index": "TensorFlow", ".msgpack": "Flax", ".ot": "Rust", ".onnx": "ONNX", ".gguf": "GGUF", ".npy": "NumPy",
    ".npz": "NumPy",
}


def open_store(path: Path, kinds: Sequence[str] = tuple(KINDS)) -> Store:
    """Open the checkpoint at `path`: a file, a shard index (`*.index.json`), the prefix of a TensorFlow checkpoint, or
    a folder that holds one of them.

    Only `kinds` are considered, in this order. In a folder each kind's usual file comes first, then its index, then the
    only file with a fitting ending, last the only usual file of a folder in it. What a file is, is decided by its
    content, then by its ending.

    Raises `DownloadError` if there is nothing to open or it cannot be read, `WeightsError` if it is damaged, hostile,
    of another kind, or one of several.
    """
    path = Path(path)
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"there is no kind of checkpoint named `{kind}`", help=did_you_mean(kind, KINDS) or None)
    if path.is_dir():
        path = _find(path, kinds)
    elif "tensorflow" in kinds and (index := bundle_index(path)):
        path = index
    elif not path.exists():
        raise DownloadError(Diagnostic("there is no such file or folder", Place(str(path))))
    if not path.is_file():
        raise DownloadError(Diagnostic("this is neither a file nor a folder", Place(str(path))))
    if len(parts := parts_of(path)) > 1:
        return PartedStore([_open_file(part, kinds) for part in parts])
    if path.name.endswith(INDEX):
        return ShardedStore(path, lambda shard: _open_file(shard, kinds))
    return _open_file(path, kinds)


def _find(folder: Path, kinds: Sequence[str]) -> Path:
    """The file, or the first part of a checkpoint in several."""
    names = [name for kind in kinds for name in (KINDS[kind].file, *KINDS[kind].others)]
    usual = [name + suffix for name in names for suffix in ("", INDEX)]
    for name in usual:
        if (folder / name).is_file():
            return folder / name
    endings = tuple(ending for kind in kinds for ending in KINDS[kind].endings)
    try:
        entries = sorted(folder.iterdir())
        files = [path for path in entries if path.is_file()]
        deeper = [path / name for path in entries[:MOST_FOLDERS] for name in usual if (path / name).is_file()]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DownloadError(Diagnostic(f"this folder cannot be read: {reason}", Place(str(folder)))) from None
    found = [path for path in files if path.name.endswith(endings)]
    if len(found) == 1:
        return found[0]
    if not found and len(deeper) == 1:  # of a release in several folders
        return deeper[0]
    if found and parts_of(found[0]) == found:
        return found[0]
    if found:
        names = listed(path.name for path in found)
        help = "name one of them; the parts of one checkpoint need their `*.index.json` beside them"
        raise problem(folder, f"several files here could be the weights: {names}", help)
    others = {path.name: ELSEWHERE[path.suffix] for path in files if path.suffix in ELSEWHERE}
    instead = f", only weights for other programs: {listed(f'{name} ({what})' for name, what in others.items())}"
    raise DownloadError(Diagnostic(
        f"there are no weights in this folder{instead if others else ''}", Place(str(folder)),
        help=f"looked for {listed(usual)} and any one file ending in {', '.join(endings)}",
    ))


def _open_file(path: Path, kinds: Sequence[str]) -> Store:
    kind = _kind(path, kinds)
    if kind not in kinds:
        raise problem(path, f"this is a {kind} file; what is wanted is {' or '.join(kinds)}")
    return KINDS[kind].open(path)


def _kind(path: Path, kinds: Sequence[str]) -> str:
    """What a file is by its first and last bytes; by its ending if they are no help; else the first of `kinds`."""
    with open_file(path) as file:
        head = file.read(32)
        file.seek(max(file.seek(0, os.SEEK_END) - len(MAGIC), 0))
        tail = file.read()
    if tail == MAGIC:
        return "tensorflow"
    if head[8:9] == b"{" and head[5:8] == bytes(3):  # eight bytes of length, below the format's limit, then JSON
        return "safetensors"
    if head.startswith(b"\x89HDF"):
        return "keras"
    if is_plain_pickle(head) and path.name.endswith(KINDS["pickle"].endings):
        return "pickle"
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "torch"
    return next((kind for kind in KINDS if path.name.endswith(KINDS[kind].endings)), kinds[0])
