"""One checkpoint in several files, held together by an index that says which tensor lies in which file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Self

from ...errors import Diagnostic, DownloadError, Place, WeightsError
from .base import Store, TensorInfo, listed, missing_tensor, open_file, problem, quoted

if TYPE_CHECKING:
    from torch import Tensor

INDEX_LIMIT = 2**26  # bytes


class ShardedStore:
    """All shards of an index, checked against it: each is there, and holds exactly the tensors it should.

    A shard must be a plain file name beside the index. It may be a symbolic link to anywhere, as in the Hugging Face
    cache: the link was made by the owner of the folder, the name came with the download.
    Raises `DownloadError` naming every missing shard, `WeightsError` for everything else, all disagreements at once.
    """

    def __init__(self, index: Path, open_shard: Callable[[Path], Store]) -> None:
        places, metadata = _read_index(index)
        files = {shard: index.parent / shard for shard in dict.fromkeys(places.values())}
        missing = [shard for shard, path in files.items() if not path.is_file()]
        if missing:
            message = f"{len(missing)} of the {len(files)} files this index names are missing: {listed(missing, 100)}"
            raise DownloadError(Diagnostic(message, Place(str(index)), help=f"fetch them into {index.parent}"))
        with ExitStack() as opened:
            self._shards = {shard: opened.enter_context(open_shard(path)) for shard, path in files.items()}
            _compare(index, places, self._shards)
            self._opened = opened.pop_all()
        self.name = next(iter(self._shards.values())).name
        self.paths = [index, *files.values()]
        self.metadata: Mapping[str, str] = metadata
        self.ignored = tuple(name for shard in self._shards.values() for name in shard.ignored)
        self.extras: Mapping[str, object] = {}
        self._places = places
        self.tensors: Mapping[str, TensorInfo] = {
            name: self._shards[shard].tensors[name] for name, shard in places.items()
        }

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise missing_tensor(self.paths[0], name, self.tensors)
        return self._shards[self._places[name]].read(name)

    def check_sums(self) -> list[Diagnostic]:
        return [found for shard in self._shards.values() for found in shard.check_sums()]

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _read_index(index: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Tensor name -> shard, and the index's own metadata as texts."""
    with open_file(index) as file:
        text = file.read(INDEX_LIMIT + 1)
    if len(text) > INDEX_LIMIT:
        raise problem(index, f"this index is larger than any list of tensors (over {INDEX_LIMIT >> 20} MiB)")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise problem(index, f"this index is not JSON: {str(error)[:200]}", "fetch it again") from None
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise problem(index, "this index has no `weight_map` of tensor names and files", "fetch it again")
    wrong = list(dict.fromkeys(_shown(shard) for shard in places.values() if not _plain(shard)))
    if wrong:
        raise problem(
            index,
            f"it names files that are not plainly beside it: {listed(wrong)}. None was opened",
            "an honest index names files of its own folder; do not use this one",
        )
    metadata = content.get("metadata")
    simple = metadata.items() if isinstance(metadata, dict) else ()
    return places, {key: str(value) for key, value in simple if isinstance(value, str | int | float)}


def _shown(shard: object) -> str:
    return shard if isinstance(shard, str) else f"({type(shard).__name__})"


def _plain(name: object) -> bool:
    return (
        isinstance(name, str) and name.isprintable() and 0 < len(name.encode()) <= 255 and name != ".."
        and PurePosixPath(name).name == name and PureWindowsPath(name).name == name
    )


def _compare(index: Path, places: Mapping[str, str], shards: Mapping[str, Store]) -> None:
    """Each shard holds the tensors that the index puts there and no others."""
    wanted: dict[str, set[str]] = {shard: set() for shard in shards}
    for name, shard in places.items():
        wanted[shard].add(name)
    found = []
    for shard, store in shards.items():
        if absent := sorted(wanted[shard] - store.tensors.keys()):
            found.append(f"the index puts {listed(absent)} into {quoted(shard)}, where it is not")
        for name in sorted(store.tensors.keys() - wanted[shard]):
            where = f"puts into {quoted(places[name])}" if name in places else "does not name"
            found.append(f"{quoted(shard)} holds {quoted(name)}, which the index {where}")
    if found:
        shown = found[:20] + ([f"and {len(found) - 20} more disagreements"] if len(found) > 20 else [])
        help = "the files do not belong together: fetch all of them again"
        raise WeightsError(*(Diagnostic(message, Place(str(index)), help=help) for message in shown))
