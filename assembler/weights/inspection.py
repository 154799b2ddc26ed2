"""What a checkpoint, an archive or a config is, told from headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import Diagnostic, DownloadError, ModelwrightError
from ..language.spec import find_config_matches, list_specs, load_spec
from ..stores import KINDS, Store, TensorInfo, is_archive, open_store, verify
from .checkpoint import INDEX, open_checkpoint
from .config import read_config
from .guess import guess
from .names import CONFIG, SPEC, read_json
from .report import ranges

OPTIONS = ("args", "cfg", "params")  # where training programs keep their options beside the weights
SHOWN = 12  # values of a config, entries beside the tensors


@dataclass
class Inspection:
    """`family` names specs, the likeliest first, and what told so."""

    name: str
    kind: str  # of store; "config" or "spec" if there are no tensors
    files: dict[str, int] = field(default_factory=dict)  # with their sizes
    archive: bool = False
    family: list[str] = field(default_factory=list)
    format: str = ""  # key in the spec's `weights:`
    told_by: str = ""
    config: dict[str, Any] = field(default_factory=dict)  # as hparams if the spec is known, else as written
    metadata: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)  # what else the file holds
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    verified: bool = False
    problems: list[Diagnostic] = field(default_factory=list)

    @property
    def values(self) -> int:
        return sum(_numel(info) for info in self.tensors.values())

    @property
    def bytes(self) -> int:
        return sum(_size(info) for info in self.tensors.values())

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: every tensor by itself."""
        facts = {key: value for key, value in vars(self).items() if key not in ("tensors", "problems")}
        tensors = {
            name: {"shape": list(info.shape), "dtype": _dtype(info), "bytes": _size(info), "file": str(info.file)}
            for name, info in self.tensors.items()
        }
        total = {"tensors": len(tensors), "values": self.values, "bytes": self.bytes}
        problems = [problem.as_dict() for problem in self.problems]
        return facts | {"total": total, "problems": problems, "tensors": tensors}

    def __str__(self) -> str:
        files = f", {len(self.files)} file{'s' * (len(self.files) != 1)}, {_megabytes(sum(self.files.values()))}"
        lines = [f"{self.name}: {self.kind}{files if self.files else ''}{', in an archive' * self.archive}"]
        family = " or ".join(self.family)
        how = f" ({self.format})" if self.format else ""
        lines.append(f"  family    {family}{how}, by {self.told_by}" if family else "  family    not known")
        for title, facts in (("config", self.config), ("metadata", self.metadata), ("beside", self.beside)):
            if facts:
                shown = [f"{key} {value}" for key, value in list(facts.items())[:SHOWN]]
                more = f", and {len(facts) - SHOWN} more" if len(facts) > SHOWN else ""
                lines.append(f"  {title:<8}  {', '.join(map(_short, shown))}{more}")
        if self.tensors:
            lines += ["", *_table(self.tensors), "", f"  {self._total()}"]
        if self.verified and not self.problems:
            lines.append("  every tensor read: no NaN, no infinity, and what has a checksum agrees with it")
        return "\n".join(lines)

    def _total(self) -> str:
        dtypes = ", ".join(dict.fromkeys(_dtype(info) for info in self.tensors.values()))
        return f"{len(self.tensors)} tensors, {self.values:,} values, {_megabytes(self.bytes)}, {dtypes}"


def inspect(name: str, *, verify: bool = False, cache_dir: Path | None = None) -> Inspection:
    """Look at a file, folder or archive, or at what `build` would take as weights. With `verify` every tensor is read.

    ModelwrightError if it cannot be opened. What verifying finds is in `problems`.
    """
    path = Path(name).expanduser()
    if path.is_file() and _is_config(path):
        return _config(name, path)
    if path.is_dir() and (config := _lonely_config(path)):
        return _config(name, config)
    checkpoint = open_checkpoint(name, cache_dir=cache_dir)
    with checkpoint.store as store:
        result = _store(name, store)
        result.archive = path.is_file() and is_archive(path)
        if checkpoint.config is not None:
            _tell_by_config(result, checkpoint.config, checkpoint.config_name)
        if checkpoint.spec is not None and not result.family:
            result.family = [load_spec(checkpoint.spec).name]
            result.told_by = "its name" if checkpoint.config else SPEC
        if guesses := guess(store.tensors, result.family or None):
            result.format = guesses[0].format
            if not result.family:
                result.family, result.told_by = [one.spec for one in guesses], "names and shapes"
        if verify:
            result.problems, result.verified = _verify(store), True
    return result


def _verify(store: Store) -> list[Diagnostic]:
    try:
        return verify(store)
    except ModelwrightError as error:  # a tensor that cannot be read at all
        return list(error.diagnostics)


def _is_config(path: Path) -> bool:
    weights = path.name.endswith(INDEX) or path.name in (kind.file for kind in KINDS.values())
    return path.suffix in (".json", ".yaml", ".yml") and not weights


def _lonely_config(folder: Path) -> Path | None:
    """The config or spec of a folder without weights."""
    found = next((folder / file for file in (CONFIG, SPEC) if (folder / file).is_file()), None)
    if found is None:
        return None
    try:
        open_store(folder).close()
    except DownloadError:
        return found
    except ModelwrightError:
        pass
    return None


def _config(name: str, path: Path) -> Inspection:
    if path.suffix != ".json":
        spec = load_spec(path)
        config = dict(spec.hparams())
        return Inspection(name, "spec", _sizes([path]), family=[spec.name], told_by="its `spec:`", config=config)
    result = Inspection(name, "config", _sizes([path]))
    _tell_by_config(result, read_json(path), str(path))
    return result


def _store(name: str, store: Store) -> Inspection:
    beside = {key: _what(value) for key, value in store.extras.items()}
    options = next((store.extras[key] for key in OPTIONS if isinstance(store.extras.get(key), dict)), {})
    beside |= {key: "passed over" for key in store.ignored if key not in beside}
    return Inspection(
        name, store.name, _sizes(store.paths), config=_scalars(options), metadata=dict(store.metadata), beside=beside,
        tensors=dict(store.tensors),
    )  # fmt: skip


def _scalars(config: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in config.items() if isinstance(value, str | int | float | bool)}


def _tell_by_config(result: Inspection, config: Mapping[str, Any], name: str) -> None:
    matches = find_config_matches(config) or _by_keys(config, Path(name).name)
    result.config = _scalars(config)
    if not matches:
        return
    result.family, result.told_by = matches, Path(name).name
    for rules in load_spec(matches[0]).sections["configs"].values():
        if rules.get("file", CONFIG) == Path(name).name:
            try:
                result.config = read_config(config, rules, name=name, spec=matches[0], allow_unknown=True)
            except ModelwrightError as error:
                result.problems += error.diagnostics
            return


def _by_keys(config: Mapping[str, Any], file: str) -> list[str]:
    """The specs one of whose config formats has that file name and knows every key."""
    found = []
    for spec in list_specs():
        for rules in load_spec(spec).sections["configs"].values():
            if rules.get("file", CONFIG) == file and config and set(config) <= _keys(rules):
                found.append(spec)
    return list(dict.fromkeys(found))


def _keys(rules: Mapping[str, Any]) -> set[str]:
    keys = {*(key for part in ("ignore", "match", "keep", "expect") for key in rules.get(part) or ())}
    for ways in (rules.get("read") or {}).values():
        for way in ways if isinstance(ways, list) else [ways]:
            keys.add(way if isinstance(way, str) else way.get("key") or way.get("length_of"))
    return keys


# What is printed


def _table(tensors: Mapping[str, TensorInfo]) -> list[str]:
    rows = [("tensor", "shape", "dtype", "count", "size")]
    for name, (info, count) in fold_tensors(tensors).items():
        rows.append((name, str(list(info.shape)), _dtype(info), str(count), _megabytes(_size(info) * count)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"  {name:<{widths[0]}}  {shape:<{widths[1]}}  {dtype:<{widths[2]}}  {count:>{widths[3]}}  {size:>{widths[4]}}"
        for name, shape, dtype, count, size in rows
    ]


def fold_tensors(tensors: Mapping[str, TensorInfo]) -> dict[str, tuple[TensorInfo, int]]:
    """Tensors that differ only in a number of their names, folded into rows: `layer.{0…11}.weight`, one of them, how
    many. Order of first appearance."""
    rows: list[tuple[list[str | tuple[int, ...]], TensorInfo, int]] = [
        (re.split(r"(\d+)(?=[/._]|$)", _printable(name)), info, 1) for name, info in tensors.items()
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


def _sizes(paths: list[Path]) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in paths}


def _what(value: object) -> str:
    if isinstance(value, str | int | float | None):
        return _short(repr(value))
    return f"({type(value).__name__.lower()} of {len(value)})" if hasattr(value, "__len__") else "(no plain value)"


def _short(text: str, length: int = 80) -> str:
    text = _printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def _numel(info: TensorInfo) -> int:
    count = 1
    for size in info.shape:
        count *= size
    return count


def _size(info: TensorInfo) -> int:
    return _numel(info) * info.dtype.itemsize


def _dtype(info: TensorInfo) -> str:
    return str(info.dtype).removeprefix("torch.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} B"
