"""Writing a checkpoint that TensorFlow reads: one data file, and an index of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..replacing import replacing
from .base import bytes_of, problem, quoted, unwritable, valueless
from .bundle import CODES, ENTRIES, LIMIT, Entry, index
from .crc32c import crc32c, masked
from .dtypes import dtype_of
from .slices import DIMS
from .sstable import KEY
from .tensorflow_store import ENDING, LATEST

if TYPE_CHECKING:
    from torch import Tensor


def write_bundle(
    prefix: Path, tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], *, note: bool = False
) -> list[Path]:
    """Write `tensors` as the bundle `prefix`, all or nothing: its files take their names when all of them are complete.
    With `note` the folder's `checkpoint` file calls it the latest. Returns the paths of what was written.

    Tensors are taken one at a time, in the order they come in, and none is kept. They may be strided or lie on any
    device. Raises `WeightsError` if one cannot be stored, `DownloadError` if a file cannot be written; what was there
    before is then untouched.
    """
    endings = (".data-00000-of-00001", ENDING)
    paths = [prefix.with_name(prefix.name + ending) for ending in endings] + [prefix.with_name(LATEST)] * note
    entries: dict[str, Entry] = {}
    end = 0
    try:
        with ExitStack() as files:
            # Closed from the last to the first: the index appears when its data is there, the note after both.
            notes = [files.enter_context(replacing(path)) for path in paths[2:]]
            index_file, file = (files.enter_context(replacing(path)) for path in reversed(paths[:2]))
            for name, tensor in tensors.items() if isinstance(tensors, Mapping) else tensors:
                if reason := "there is another of its name" if name in entries else _unwritable(name, tensor):
                    raise problem(prefix, f"tensor {quoted(name)} cannot be stored: {reason}")
                start = end + -end % tensor.element_size()
                file.write(bytes(start - end))
                data = bytes_of(tensor)
                file.write(data)
                end = start + len(data)
                entries[name] = Entry(dtype_of(tensor), tuple(tensor.shape), 0, start, len(data), masked(crc32c(data)))
            text = index(entries)
            if len(entries) >= ENTRIES or len(text) > LIMIT:
                raise problem(prefix, f"{len(entries)} tensors are too many for one checkpoint")
            index_file.write(text)
            for file in notes:
                named = json.dumps(prefix.name, ensure_ascii=False)
                file.write(f"model_checkpoint_path: {named}\nall_model_checkpoint_paths: {named}\n".encode())
    except OSError as error:
        raise unwritable(prefix, error) from None
    return paths


def _unwritable(name: str, tensor: Tensor) -> str | None:
    if not name or name.startswith("\0"):
        return "the format keeps this name for itself"
    if reason := valueless(name, tensor):
        return reason
    if len(name.encode()) > KEY:
        return f"its name has over {KEY} bytes"
    if tensor.dim() > DIMS:
        return f"it has over {DIMS} dimensions"
    return None if dtype_of(tensor) in CODES else f"TensorFlow has no type for {dtype_of(tensor)}"
