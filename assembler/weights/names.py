"""Names of checkpoints, and the small files beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import Diagnostic, DownloadError, Place, UsageError, WeightsError, did_you_mean, nearest
from ..language.spec import (
    Pretrained,
    config_files,
    find_config_matches,
    find_pretrained,
    find_release,
    pretrained_names,
)

CONFIG, WEIGHTS, GENERATION = "config.json", "model.safetensors", "generation_config.json"
#: The format in which stored names are our own, and the file that then stands in the place of a config.
OWN_FORMAT, SPEC = "modelwright", "spec.yaml"

LIMIT = 2**26  # bytes of JSON
#: The folders that some releases are divided into.
PARTS = ("model", "data", "assets")
#: How an address begins.
ADDRESSES = ("http://", "https://", "gs://")
FILES = (".safetensors", ".bin", ".pt", ".pth", ".pkl", ".h5", ".json", ".txt", ".zip", ".tar", ".gz", ".tgz")


def find_named(name: str) -> Pretrained:
    """What a name means: a pretrained name, one with `@format`, an address, or what can be a hub id.

    A plain name means the hub id, or the first release if it has none. UsageError for a format that the name does not
    come in; DownloadError for what means nothing, or looks like a mistyped pretrained name.
    """
    from ..hub import is_repo_id

    if name.startswith(ADDRESSES):
        return find_release(name) or Pretrained(None, None, name)
    plain, at, format = name.partition("@")
    found = find_pretrained(plain)
    if found and at:
        return _in_format(plain, format, found)
    if found:
        return next((place for place in found if not place.is_release), found[0])
    close = nearest(plain, pretrained_names(), count=2)
    ending = name.endswith(FILES)
    if not is_repo_id(name) or ending or ("/" not in name and close):
        hint = f"did you mean {' or '.join(f'`{c}{at}{format}`' for c in close)}?" if close else ""
        raise DownloadError(
            Diagnostic("no such file or folder, and no name of a model", Place(name), label=hint,
                       help="give a local folder or file, a URL, a pretrained name (`modelwright list`) or org/name")
        )  # fmt: skip
    return Pretrained(None, None, name)


def _in_format(name: str, format: str, found: list[Pretrained]) -> Pretrained:
    for place in found:
        if place.format == format:
            return place
    formats = list(dict.fromkeys(str(place.format) for place in found))
    raise UsageError(
        Diagnostic(f"`{name}` does not come in the format `{format}`", label=did_you_mean(format, formats),
                   help=f"it comes as {' and '.join(f'`{name}@{known}`' for known in formats)}")
    )  # fmt: skip


def config_beside(folder: Path) -> Path | None:
    """The config that belongs to weights in a folder: the usual file, or one that some spec calls its own."""
    return next((path / name for path in parts(folder) for name in _config_names() if (path / name).is_file()), None)


def _config_names() -> Iterator[str]:
    """The usual name first: the others are asked for, which takes reading all specs, only where it is not there."""
    yield CONFIG
    yield from (name for name in config_files() if name.endswith(".json"))


def parts(folder: Path) -> list[Path]:
    """The folders that the files of one release can be in, `folder` first."""
    whole = [folder.parent] if folder.name in PARTS else []
    return [folder, *(path for each in (folder, *whole) for part in PARTS if (path := each / part).is_dir())]


def specs_for(config: Mapping[str, Any], file: str) -> list[str]:
    """The specs that a config of that file name is for, by what it says, or else by its name."""
    return find_config_matches(config) or config_files().get(Path(file).name, [])


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. WeightsError if it is something else, DownloadError if it cannot be read."""
    try:
        size = path.stat().st_size
        content = json.loads(path.read_text(encoding="utf-8")) if size <= LIMIT else None
    except OSError as error:
        raise DownloadError(Diagnostic(f"cannot be read: {error.strerror}", Place(str(path)))) from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(Diagnostic(f"this is not valid JSON: {error}", Place(str(path)))) from None
    if size > LIMIT:
        raise WeightsError(Diagnostic(f"{size:,} bytes of JSON; {LIMIT:,} is the most", Place(str(path))))
    if not isinstance(content, dict):
        raise WeightsError(Diagnostic("this is JSON, but not an object", Place(str(path))))
    return content
