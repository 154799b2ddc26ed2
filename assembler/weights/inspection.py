"""What a checkpoint, an archive or a config is, told from headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import Diagnostic, DownloadError, ModelwrightError, WeightsError
from ...tokenizers.files import file_sets
from ..language.spec import find_config_matches, list_specs, load_spec
from ..stores import KINDS, PartedStore, Store, TensorInfo, is_archive, open_store, verify
from .checkpoint import INDEX, Checkpoint, open_checkpoint
from .config import read_config
from .guess import guess
from .names import CONFIG, OWN_FORMAT, SPEC, read_json
from .patterns import stored_names
from .settings import find_format, find_untold, join_parts, read_settings
from .shown import megabytes, numel, short, size_of, table

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
    untold: dict[str, str] = field(default_factory=dict)  # hparams that nothing here says, and what they are
    vocabulary: list[str] = field(default_factory=list)  # its files beside the weights
    ignored: dict[str, int] = field(default_factory=dict)  # tensors that hold nothing learned, by the reason
    metadata: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)  # what else the file holds
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    verified: bool = False
    problems: list[Diagnostic] = field(default_factory=list)

    @property
    def values(self) -> int:
        return sum(numel(info) for info in self.tensors.values())

    @property
    def bytes(self) -> int:
        return sum(size_of(info) for info in self.tensors.values())

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: every tensor by itself."""
        facts = {key: value for key, value in vars(self).items() if key not in ("tensors", "problems")}
        tensors = {
            name: {"shape": list(info.shape), "dtype": info.dtype, "bytes": size_of(info), "file": str(info.file)}
            for name, info in self.tensors.items()
        }
        total = {"tensors": len(tensors), "values": self.values, "bytes": self.bytes}
        problems = [problem.as_dict() for problem in self.problems]
        return facts | {"total": total, "problems": problems, "tensors": tensors}

    def __str__(self) -> str:
        files = f", {len(self.files)} file{'s' * (len(self.files) != 1)}, {megabytes(sum(self.files.values()))}"
        lines = [f"{self.name}: {self.kind}{files if self.files else ''}{', in an archive' * self.archive}"]
        family = " or ".join(self.family)
        how = f" ({self.format})" if self.format else ""
        lines.append(f"  family    {family}{how}, by {self.told_by}" if family else "  family    not known")
        for title, facts in (("config", self.config), ("metadata", self.metadata), ("beside", self.beside)):
            if facts:
                shown = [f"{key} {value}" for key, value in list(facts.items())[:SHOWN]]
                more = f", and {len(facts) - SHOWN} more" if len(facts) > SHOWN else ""
                lines.append(f"  {title:<8}  {', '.join(map(short, shown))}{more}")
        if self.untold:
            lines += [f"  untold    --set {name}=…  {short(meaning)}" for name, meaning in self.untold.items()]
        if self.vocabulary:
            lines.append(f"  tokens    {', '.join(short(Path(file).name) for file in self.vocabulary)}")
        for reason, count in self.ignored.items():
            lines.append(f"  ignored   {count} tensor{'s' * (count != 1)}: {reason}")
        if self.tensors:
            lines += ["", *table(self.tensors), "", f"  {self._total()}"]
        if self.verified and not self.problems:
            lines.append("  every tensor read: no NaN, no infinity, and what has a checksum agrees with it")
        return "\n".join(lines)

    def _total(self) -> str:
        dtypes = ", ".join(dict.fromkeys(info.dtype for info in self.tensors.values()))
        return f"{len(self.tensors)} tensors, {self.values:,} values, {megabytes(self.bytes)}, {dtypes}"


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
        _tell_family(result, checkpoint)
        if len(result.family) == 1:
            _tell_settings(result, checkpoint)
        elif checkpoint.config is not None:
            result.config = _scalars(checkpoint.config)
        if verify:
            result.problems, result.verified = _verify(store), True
    return result


def _tell_family(result: Inspection, checkpoint: Checkpoint) -> None:
    """The specs that it may be for: by its config, its name, or its names and shapes; and in which format."""
    if checkpoint.config is not None:
        file = Path(checkpoint.config_name).name
        result.family = find_config_matches(checkpoint.config) or _by_keys(checkpoint.config, file)
        result.told_by = file
    if checkpoint.spec is not None and (not result.family or checkpoint.spec in result.family):
        by_config = bool(result.family)
        result.family = [load_spec(checkpoint.spec).name]
        result.told_by = result.told_by if by_config else SPEC if Path(checkpoint.spec).is_file() else "its name"
    specs = [load_spec(checkpoint.spec)] if checkpoint.spec else result.family or None
    if guesses := guess(checkpoint.store.tensors, specs):
        result.format = guesses[0].format
        if len(result.family) != 1:
            result.family = list(dict.fromkeys(one.spec for one in guesses))
            result.told_by = "names and shapes"
        if len(result.family) == 1:  # what `build` reads it as, where names and shapes alone leave a choice
            with suppress(WeightsError):
                spec = load_spec(checkpoint.spec or result.family[0])
                result.format = find_format(spec, checkpoint) or result.format
    elif checkpoint.spec is not None and Path(checkpoint.spec).is_file():
        result.format = OWN_FORMAT


def _tell_settings(result: Inspection, checkpoint: Checkpoint) -> None:
    """What config and shapes say as hparams, and what lies beside the weights."""
    from ..vocabulary import find_vocabulary, preferred

    spec = load_spec(checkpoint.spec or result.family[0])
    section = spec.sections["weights"].get(result.format)
    if section is None:
        result.config = dict(spec.hparams()) if result.format == OWN_FORMAT else result.config
        return
    try:
        if isinstance(checkpoint.store, PartedStore):
            join_parts(checkpoint.store, section, name=checkpoint.name)
            result.tensors = dict(checkpoint.store.tensors)
        values = read_settings(spec, checkpoint, result.format, allow_unknown=True, allow_untold=True)
    except ModelwrightError as error:
        result.problems += error.diagnostics
        result.config = _scalars(checkpoint.config or {}) or result.config
    else:
        result.config = values or result.config
        result.untold = find_untold(spec, result.format, values)
    ignore = section.get("ignore") or {}
    for pattern, reason in (ignore.items() if isinstance(ignore, Mapping) else ((one, one) for one in ignore)):
        name = re.compile(_either(section.get("prefix") or [""]) + stored_names(pattern))
        if count := sum(1 for tensor in checkpoint.store.tensors if name.fullmatch(tensor)):
            result.ignored[reason] = result.ignored.get(reason, 0) + count
    tokenizer = spec.tokenizer_section()
    if tokenizer is not None and checkpoint.folder is not None:
        sets = file_sets(tokenizer)
        found = find_vocabulary(sets, preferred(spec, result.format, sets), checkpoint.folder)
        result.vocabulary = [str(path) for path in found[1].values()] if found else []


def _either(prefixes: list[str]) -> str:
    return "(?:" + "|".join(map(re.escape, [*prefixes, ""])) + ")"


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


def _sizes(paths: list[Path]) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in paths}


def _what(value: object) -> str:
    if isinstance(value, str | int | float | None):
        return short(repr(value))
    return f"({type(value).__name__.lower()} of {len(value)})" if hasattr(value, "__len__") else "(no plain value)"
