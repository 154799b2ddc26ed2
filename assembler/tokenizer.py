"""`load_tokenizer`: a name or folder -> a tokenizer, by the `tokenizer:` section of its spec."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DownloadError, ModelwrightError, TokenizerError, WeightsError
from .language.spec import Pretrained, Spec, load_spec
from .weights.names import CONFIG, config_beside, find_named, parts, read_json, specs_for
from .weights.releases import ARCHIVES, INDEX, fetch_release, fetch_vocabulary, first_set

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
        name_or_path: a folder, a vocabulary file, an archive, the prefix of a TensorFlow checkpoint, a URL, a
            pretrained name, with `@format` for the authors' release, or a hub id.
        spec: whose `tokenizer:` section it is; None: found from the name or the config beside it. A folder of bare
            vocabulary files does not tell; a `tokenizer.json` needs none.
        cache_dir: instead of the Hugging Face cache.
        revision: branch, tag or commit on the hub.
        options: `do_lower_case=False`, …; they beat the files, which beat the spec.
    Raises:
        TokenizerError: there is no vocabulary, it is damaged, or an option is unknown. DownloadError, SpecError.
    """
    text = os.fspath(name_or_path)
    folder = None if cache_dir is None else Path(cache_dir)
    path = _local(Path(text).expanduser(), folder)
    if path is not None:
        return _from_path(path, text, spec, options)
    found = find_named(text)
    options = {**found.tokenizer, **options}
    if found.is_release:
        return _from_release(found, text, spec, folder, options)
    return _from_hub(found, text, spec, cache_dir, revision, options)


def _local(path: Path, cache_dir: Path | None) -> Path | None:
    """What a path leads to: an archive's folder, or that of the checkpoint it is the prefix of; None: to nothing."""
    if path.is_file() and path.name.endswith(ARCHIVES):
        from .stores import is_archive, unpack

        return unpack(path, cache_dir) if is_archive(path) else path
    if not path.exists() and path.with_name(path.name + INDEX).is_file():
        return path.parent
    return path if path.exists() else None


def _from_path(
    path: Path, name: str, spec: str | os.PathLike[str] | Spec | None, options: Mapping[str, Any]
) -> Tokenizer:
    from ..tokenizers import build_tokenizer, open_tokenizer

    folder = path if path.is_dir() else path.parent
    whole = path.name == WHOLE or (path / WHOLE).is_file()
    if spec is None:
        spec = _spec_by_config(folder)
    if spec is None and whole:
        return open_tokenizer(path, **options)
    if spec is None and path.is_dir():
        spec = _spec_by_weights(folder)
    section = None if spec is None else load_spec(spec).tokenizer_section()
    if section is None:
        raise _no_section(spec, name)
    return build_tokenizer(section, _vocabulary_in(path, section), read_symbols=read_symbols, **options)


def _vocabulary_in(path: Path, section: Mapping[str, Any]) -> Path:
    """The part of a folder that has the vocabulary; the folder itself if none has."""
    if not path.is_dir():
        return path
    for folder in parts(path):
        there = {file.name: file for file in folder.iterdir()}
        if first_set(_names(section), there):
            return folder
    return path


def _from_release(
    found: Pretrained, name: str, spec: str | os.PathLike[str] | Spec | None, cache_dir: Path | None,
    options: Mapping[str, Any],
) -> Tokenizer:
    from ..tokenizers import build_tokenizer

    spec = spec if spec is not None else found.spec
    if spec is None:  # the release itself has to tell
        path = fetch_release(found, cache_dir)
        return _from_path(_local(path, cache_dir) or path, name, None, options)
    section = load_spec(spec).tokenizer_section()
    if section is None:
        raise _no_section(spec, name)
    sets = _names(section)
    files = fetch_vocabulary(found, sets, cache_dir)
    if not files:
        wanted = " or ".join(" + ".join(f"`{name}`" for name in names) for names in sets)
        raise TokenizerError(
            f"the release {found.target} has no vocabulary {wanted}",
            help="give the folder or file that has it, with the spec",
        )
    return build_tokenizer(section, files, read_symbols=read_symbols, **options)


def _from_hub(
    found: Pretrained, name: str, spec: str | os.PathLike[str] | Spec | None,
    cache_dir: str | os.PathLike[str] | None, revision: str | None, options: Mapping[str, Any],
) -> Tokenizer:
    from ..tokenizers import build_tokenizer, open_tokenizer
    from .hub import known_as

    if spec is None:
        spec = found.spec or _spec_on_hub(found.target, cache_dir, revision)
    section = None if spec is None else load_spec(spec).tokenizer_section()
    repository = known_as(found.target, name, cache_dir)
    files = _fetched(repository, section, cache_dir, revision)
    if section is not None:
        return build_tokenizer(section, files, read_symbols=read_symbols, **options)
    if WHOLE not in files:
        raise _no_section(spec, name)
    return open_tokenizer(files, **options)


def _names(section: Mapping[str, Any]) -> list[list[str]]:
    """The names of the files of each set that a section knows."""
    from ..tokenizers.files import file_names, file_sets

    return [[*file_names(files).values()] for files in file_sets(section)]


def _fetched(
    repository: str, section: Mapping[str, Any] | None, cache_dir: str | os.PathLike[str] | None, revision: str | None
) -> dict[str, Path]:
    """The files of the first set that the repository has, or its tokenizer as a whole."""
    from .hub import fetch

    names = [] if section is None else _names(section)
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


def _spec_by_config(folder: Path) -> str | None:
    config = config_beside(folder)
    matches = specs_for(read_json(config), config.name) if config is not None and config.suffix == ".json" else []
    return matches[0] if len(matches) == 1 else None


def _spec_by_weights(folder: Path) -> str | None:
    """As `build` finds it."""
    from .weights.checkpoint import open_checkpoint, spec_of

    try:
        checkpoint = open_checkpoint(folder)
    except ModelwrightError:  # a folder of vocabulary files alone
        return None
    with checkpoint.store:
        try:
            return spec_of(checkpoint)
        except WeightsError:
            return None


def _spec_on_hub(repository: str, cache_dir: str | os.PathLike[str] | None, revision: str | None) -> str | None:
    from .hub import fetch_file

    config = fetch_file(repository, CONFIG, revision=revision, cache_dir=cache_dir)
    if config is None:
        raise DownloadError(f"{repository} has no {CONFIG}")
    return _spec_by_config(config.parent)


def _no_section(spec: str | os.PathLike[str] | Spec | None, name: str) -> TokenizerError:
    if spec is None:
        return TokenizerError(
            f"cannot tell which spec the vocabulary in {name} is for", help='name it: load_tokenizer(…, spec="…")'
        )
    return TokenizerError(f"the spec for {name} has no `tokenizer:` section", help="add one to the spec")
