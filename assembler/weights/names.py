"""Names of checkpoints, and the small files beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import Diagnostic, DownloadError, Place, WeightsError, nearest
from ..language.spec import find_pretrained, pretrained_names

CONFIG, WEIGHTS = "config.json", "model.safetensors"
#: The format in which stored names are our own, and the file that then stands in the place of a config.
OWN_FORMAT, SPEC = "modelwright", "spec.yaml"

FILES = (".safetensors", ".bin", ".pt", ".pth", ".pkl", ".h5", ".json", ".txt", ".zip", ".tar", ".gz", ".tgz")


def find_repository(name: str) -> tuple[str | None, str]:
    """(spec, hub id) of a pretrained name; (None, the name itself) if it can be a hub id.

    DownloadError if it is neither, or looks like a mistyped pretrained name.
    """
    from ..hub import is_repo_id

    for spec, _, target in find_pretrained(name):
        if "://" not in target:  # a release of the authors
            return spec, target
    close = nearest(name, pretrained_names(), count=2)
    ending = name.endswith(FILES)
    if not is_repo_id(name) or ending or ("/" not in name and close):
        hint = f"did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else ""
        raise DownloadError(
            Diagnostic("no such file or folder, and no name of a model", Place(name), label=hint,
                       help="give a local folder or file, a URL, a pretrained name (`modelwright list`) or org/name")
        )  # fmt: skip
    return None, name


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. WeightsError if it is something else, DownloadError if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DownloadError(Diagnostic(f"cannot be read: {error.strerror}", Place(str(path)))) from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(Diagnostic(f"this is not valid JSON: {error}", Place(str(path)))) from None
    if not isinstance(content, dict):
        raise WeightsError(Diagnostic("this is JSON, but not an object", Place(str(path))))
    return content
