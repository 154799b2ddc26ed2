"""TensorFlow's checkpoints ("tensor bundles"), read without TensorFlow: `P.index` and `P.data-0000i-of-0000n`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Self

from ...errors import Diagnostic, DownloadError, Place
from .base import (
    Refused,
    Store,
    TensorInfo,
    listed,
    missing_tensor,
    open_file,
    problem,
    quoted,
    what_it_is_instead,
)
from .bundle import LIMIT, Entry, read_index
from .crc32c import crc32c, masked
from .mapped import MappedFile
from .sstable import AGAIN
from .tensorflow_v1 import TensorflowFile

if TYPE_CHECKING:
    from torch import Tensor

ENDING = ".index"
LATEST = "checkpoint"  # the text file in which TensorFlow notes which bundle of a folder is the latest
LATEST_LIMIT = 2**20  # bytes


class TensorflowStore:
    """One bundle, named by its index. The index and its checksums are read at once, a tensor when it is asked for.

    Its data files are those beside the index that bear its name. Partitioned variables are whole; strings and objects
    are `ignored`. Raises `DownloadError` if a file is missing or cannot be read, `WeightsError` if one is damaged.
    """

    name = "tensorflow"
    metadata: Mapping[str, str] = {}
    extras: Mapping[str, object] = {}

    def __init__(self, index: Path) -> None:
        data = _read(index)
        try:
            count, self._variables, ignored = read_index(memoryview(data))
        except Refused as error:
            raise problem(index, *(what_it_is_instead(bytes(data[:512])) or (str(error), error.help))) from None
        self.ignored = tuple(ignored)
        prefix = index.name.removesuffix(ENDING)
        shards = sorted({part.stored.shard for variable in self._variables.values() for part in variable.parts})
        paths = {shard: index.with_name(f"{prefix}.data-{shard:05d}-of-{count:05d}") for shard in shards}
        missing = [path.name for path in paths.values() if not path.is_file()]
        if missing:
            message = f"{len(missing)} of the {len(paths)} data files of this index are missing: {listed(missing)}"
            raise DownloadError(Diagnostic(message, Place(str(index)), help=f"fetch them into {index.parent}"))
        self.paths = [index, *paths.values()]
        with ExitStack() as opened:
            self._files: dict[int, MappedFile] = {}
            for shard, path in paths.items():
                self._files[shard] = MappedFile(open_file(path), path)
                opened.callback(self._files[shard].close)
            self._compare()
            self._opened = opened.pop_all()
        self.tensors = {
            name: TensorInfo(variable.shape, variable.dtype, paths[variable.parts[0].stored.shard])
            for name, variable in self._variables.items()
        }

    def _compare(self) -> None:
        """Every entry lies in its data file, and no two share bytes."""
        spans: dict[int, list[tuple[int, int, str]]] = {shard: [] for shard in self._files}
        for name, variable in self._variables.items():
            for part in variable.parts:
                if part.stored.size:
                    span = part.stored.offset, part.stored.offset + part.stored.size, name
                    spans[part.stored.shard].append(span)
        for shard, file in self._files.items():
            size = os.fstat(file.file.fileno()).st_size
            ends = sorted(spans[shard])
            if ends and (last := max(ends, key=lambda span: span[1]))[1] > size:
                message = f"truncated: tensor {quoted(last[2])} should end at byte {last[1]}, the file has {size}"
                raise problem(file.path, message, AGAIN)
            for one, other in pairwise(ends):
                if other[0] < one[1]:
                    message = f"tensors {quoted(one[2])} and {quoted(other[2])} overlap in {quoted(file.path.name)}"
                    raise problem(self.paths[0], message, AGAIN)

    def read(self, name: str) -> Tensor:
        variable = self._variables.get(name)
        if variable is None:
            raise missing_tensor(self.paths[0], name, self.tensors)
        if any(file.closed for file in self._files.values()):
            raise problem(self.paths[0], f"tensor {quoted(name)} cannot be read: the store is closed")
        return variable.read(self._part)

    def _part(self, entry: Entry) -> Tensor:
        return self._files[entry.shard].tensor(entry.offset, entry.dtype, entry.shape)

    def check_sums(self) -> list[Diagnostic]:
        problems = []
        for name, variable in self._variables.items():
            wrong = next((part.stored for part in variable.parts if not self._sound(part.stored)), None)
            if wrong is not None:
                place = Place(str(self._files[wrong.shard].path))
                problems.append(Diagnostic(f"tensor {quoted(name)} does not match its checksum", place, help=AGAIN))
        return problems

    def _sound(self, entry: Entry) -> bool:
        return masked(crc32c(self._files[entry.shard].content(entry.offset, entry.size))) == entry.checksum

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _read(index: Path) -> bytearray:
    with open_file(index) as file:
        data = bytearray(file.read(LIMIT + 1))
    if len(data) > LIMIT:
        raise problem(index, f"this is larger than any index of a checkpoint (over {LIMIT >> 20} MiB)")
    return data


def bundle_index(path: Path) -> Path | None:
    """The index of the bundle that `path` is the prefix or a data file of, if it is there."""
    prefix = re.sub(r"\.data-\d+-of-\d+$", "", path.name)
    found = path.with_name(prefix + ENDING)
    return found if (prefix != path.name or not path.exists()) and found.is_file() else None


def open_tensorflow(path: Path) -> Store:
    """A bundle by its index, a file of the first format, or what a folder's note calls the latest of them."""
    if path.name == LATEST:
        path = _latest(path)
    return TensorflowStore(path) if path.name.endswith(ENDING) else TensorflowFile(path)


def _latest(note: Path) -> Path:
    """What the note names, beside it. It may be a path on the machine that wrote it: only the last part counts, so it
    never leads elsewhere. If that is not there but one other bundle is, it was renamed."""
    with open_file(note) as file:
        text = file.read(LATEST_LIMIT).decode("utf-8", "replace")
    named = re.search(r'^\s*model_checkpoint_path\s*:\s*"([^"\n]*)"', text, re.MULTILINE)
    name = PureWindowsPath(named[1]).name if named else ""  # cuts at either kind of slash
    path = note.with_name(name) if name.isprintable() and 0 < len(name.encode()) <= 200 and name != ".." else note
    if path != note and (index := bundle_index(path)):
        return index
    if path != note and path.is_file():
        return path
    others = list(note.parent.glob("*" + ENDING))
    if len(others) == 1:
        return others[0]
    what = f"names {quoted(name)}, which is not beside it" if named else "names no checkpoint"
    raise problem(note, f"this note {what}", "name the index of the checkpoint you mean")
