"""`load_tokenizer`: a name or folder -> a tokenizer, by the `tokenizer:` section of its spec."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Diagnostic, DownloadError, Place, TokenizerError
from .language.spec import Spec, find_config_matches, load_spec
from .weights.names import CONFIG, find_repository, read_json

if TYPE_CHECKING:
    from ..tokenizers import Tokenizer

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
            vocabulary files does not tell.
        cache_dir: instead of the Hugging Face cache.
        revision: branch, tag or commit on the hub.
        options: `do_lower_case=False`, …; they beat the files, which beat the spec.
    Raises:
        TokenizerError: there is no vocabulary, it is damaged, or an option is unknown. DownloadError, SpecError.
    """
    from ..tokenizers import build_tokenizer

    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    local = path.exists()
    known, repository = (None, "") if local else find_repository(text)
    if spec is None and local:
        folder = path if path.is_dir() else path.parent
        spec = _spec_beside(folder / CONFIG, text)
    elif spec is None:
        spec = known or _spec_on_hub(repository, cache_dir, revision)
    loaded = load_spec(spec)
    section = loaded.tokenizer_section()
    if section is None:
        raise TokenizerError(f"{loaded.name} has no `tokenizer:` section", help="add one to the spec")
    if local:
        return build_tokenizer(section, path, read_symbols=read_symbols, **options)
    from ..tokenizers.files import file_names, file_sets
    from .hub import fetch, known_as

    repository = known_as(repository, text, cache_dir)
    sets = [[*names.values()] for names in map(file_names, file_sets(section)) if "*" not in "".join(names.values())]
    for names in sets:
        found = fetch(repository, (), optional=(*names, *COMPANIONS), revision=revision, cache_dir=cache_dir)
        if all(name in found for name in names):
            break
    else:
        found = fetch(repository, sets[0], revision=revision, cache_dir=cache_dir)  # tells what is wrong
    return build_tokenizer(section, found, read_symbols=read_symbols, **options)


def read_symbols(path: Path) -> list[str]:
    """The words of a pickled vocabulary."""
    from .stores.symbols import read_symbols as read

    return read(path)


def _spec_beside(config: Path, name: str) -> str:
    matches = find_config_matches(read_json(config)) if config.is_file() else []
    if len(matches) == 1:
        return matches[0]
    raise TokenizerError(
        Diagnostic(f"cannot tell which spec the vocabulary in {name} is for", Place(str(config)),
                   help='name it: load_tokenizer(…, spec="…")')
    )  # fmt: skip


def _spec_on_hub(repository: str, cache_dir: str | os.PathLike[str] | None, revision: str | None) -> str:
    from .hub import fetch_file

    config = fetch_file(repository, CONFIG, revision=revision, cache_dir=cache_dir)
    if config is None:
        raise DownloadError(f"{repository} has no {CONFIG}")
    return _spec_beside(config, repository)
