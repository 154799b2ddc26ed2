"""`load_tokenizer`: a name or folder -> a tokenizer, by the `tokenizer:` section of its spec."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DownloadError, TokenizerError
from .language.spec import Spec, find_config_matches, load_spec
from .weights.names import CONFIG, find_repository, read_json

if TYPE_CHECKING:
    from ..tokenizers import Tokenizer

WHOLE = "tokenizer.json"  # says everything itself
#: Files that tokenizers have beside their vocabulary.
COMPANIONS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def load_tokenizer(
    name_or_path: str | os.PathLike[str],
    *,
    spec: str | os.PathLike[str] | Spec | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    **options: Any,
) -> Tokenizer:
    """The tokenizer of a checkpoint.

    Args:
        name_or_path: a folder, a vocabulary file, a pretrained name, or a hub id.
        spec: whose `tokenizer:` section it is; None: found from the name or the config beside it. A folder of bare
            vocabulary files does not tell; a `tokenizer.json` needs none.
        cache_dir: instead of the Hugging Face cache.
        revision: branch, tag or commit on the hub.
        options: `do_lower_case=False`, …; they beat the files, which beat the spec.
    Raises:
        TokenizerError: there is no vocabulary, it is damaged, or an option is unknown. DownloadError, SpecError.
    """
    from ..tokenizers import build_tokenizer, open_tokenizer

    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    local = path.exists()
    known, repository = (None, "") if local else find_repository(text)
    if spec is None and local:
        folder = path if path.is_dir() else path.parent
        spec = _spec_beside(folder / CONFIG)
        if spec is None and (path.name == WHOLE or (path / WHOLE).is_file()):
            return open_tokenizer(path, **options)
    elif spec is None:
        spec = known or _spec_on_hub(repository, cache_dir, revision)
    section = None if spec is None else load_spec(spec).tokenizer_section()
    if local:
        if section is None:
            raise _no_section(spec, text)
        return build_tokenizer(section, path, read_symbols=read_symbols, **options)
    from .hub import known_as

    repository = known_as(repository, text, cache_dir)
    found = _fetched(repository, section, cache_dir, revision)
    if section is not None:
        return build_tokenizer(section, found, read_symbols=read_symbols, **options)
    if WHOLE not in found:
        raise _no_section(spec, text)
    return open_tokenizer(found, **options)


def _fetched(
    repository: str, section: Mapping[str, Any] | None, cache_dir: str | os.PathLike[str] | None, revision: str | None
) -> dict[str, Path]:
    """The files of the first set that the repository has, or its tokenizer as a whole."""
    from ..tokenizers.files import file_names, file_sets
    from .hub import fetch

    names = [] if section is None else [[*file_names(files).values()] for files in file_sets(section)]
    sets = [files for files in names if "*" not in "".join(files)]
    for files in (*sets, [WHOLE]):
        found = fetch(repository, (), optional=(*files, *COMPANIONS), revision=revision, cache_dir=cache_dir)
        if all(name in found for name in files):
            return found
    return fetch(repository, sets[0], revision=revision, cache_dir=cache_dir) if sets else {}  # tells what is wrong


def read_symbols(path: Path) -> list[str]:
    """The words of a pickled vocabulary."""
    from .stores.symbols import read_symbols as read

    return read(path)


def _spec_beside(config: Path) -> str | None:
    matches = find_config_matches(read_json(config)) if config.is_file() else []
    return matches[0] if len(matches) == 1 else None


def _spec_on_hub(repository: str, cache_dir: str | os.PathLike[str] | None, revision: str | None) -> str | None:
    from .hub import fetch_file

    config = fetch_file(repository, CONFIG, revision=revision, cache_dir=cache_dir)
    if config is None:
        raise DownloadError(f"{repository} has no {CONFIG}")
    return _spec_beside(config)


def _no_section(spec: str | os.PathLike[str] | Spec | None, name: str) -> TokenizerError:
    if spec is None:
        return TokenizerError(
            f"cannot tell which spec the vocabulary in {name} is for", help='name it: load_tokenizer(…, spec="…")'
        )
    return TokenizerError(f"the spec for {name} has no `tokenizer:` section", help="add one to the spec")
