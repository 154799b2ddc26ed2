"""The files a tokenizer lies in, under the names the ecosystem uses: read and written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TokenizerError
from .added_tokens import AddedToken
from .vocabulary import ROLES, Vocabulary
from .vocabulary_files import FILE_ROLES, vocabulary_texts

if TYPE_CHECKING:
    from .tokenizer import Tokenizer

CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"


def file_sets(section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sets of vocabulary files that a section knows, the one it writes first."""
    files = section["files"]
    return [dict(entry) for entry in (files if isinstance(files, list) else [files])]


def find_files(
    source: str | Path | Mapping[str, str | Path], sets: list[dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Path], dict[str, Path]]:
    """Which of the sets there is, its files by role, and the configuration files by name: in a folder, beside one
    vocabulary file, or as given. A file that is a set by itself may have any name."""
    if isinstance(source, Mapping):
        there = {name: Path(path) for name, path in source.items()}
        where = "among the given files"
    else:
        place = Path(source)
        if not place.exists():
            raise TokenizerError(f"there is no tokenizer at `{place}`: no such file or folder")
        folder = place if place.is_dir() else place.parent
        there = {path.name: path for path in sorted(folder.iterdir())}
        where = f"in `{source}`"
        alone = [entry for entry in sets if len(file_names(entry)) == 1]
        if place.is_file() and alone:
            named = [entry for entry in alone if fnmatch(place.name, *file_names(entry).values())]
            any_name = [entry for entry in alone if "json" not in entry]
            others = [entry for entry in sets if "json" not in entry and entry not in any_name]
            if named or (not others and len({tuple(file_names(entry)) for entry in any_name}) == 1):
                entry = (named or any_name)[0]
                return entry, {role: place for role in file_names(entry)}, {}
    configuration = {name: there[name] for name in (CONFIG, SPECIAL, ADDED) if name in there}
    for entry in sets:
        paths = {role: _match(name, there) for role, name in file_names(entry).items()}
        if all(path is not None and path.is_file() for path in paths.values()):
            return entry, paths, configuration
    named = [file_names(entry).values() for entry in sets if "json" not in entry or len(sets) == 1]
    wanted = " or ".join(" + ".join(f"`{name}`" for name in names) for names in named)
    raise TokenizerError(
        f"the vocabulary file {wanted} is not {where}", help="give the folder that has it, or the file itself"
    )


def file_names(entry: Mapping[str, Any]) -> dict[str, str]:
    """The files of a set by role."""
    return {role: name for role, name in entry.items() if role in FILE_ROLES}


def _match(name: str, there: Mapping[str, Path]) -> Path | None:
    if name in there or "*" not in name:
        return there.get(name)
    return next((path for file, path in there.items() if fnmatch(file, name)), None)


def write_files(tokenizer: Tokenizer, folder: Path) -> list[Path]:
    """Vocabulary, configuration, special and added tokens, as `build_tokenizer` and the reference library read them."""
    section, vocabulary, settings = tokenizer.section, tokenizer.vocabulary, tokenizer.settings
    added = {str(number): token.as_dict() for number, token in sorted(vocabulary.added.by_id.items())}
    special = _special_tokens(vocabulary)
    config: dict[str, Any] = {
        **{key: _at(section, path) for key, path in section.get("options", {}).items()},
        **section.get("save", {}),
        **{role: vocabulary.roles[role] for role in ROLES if role in special},
        **({"extra_special_tokens": vocabulary.extra_special} if vocabulary.extra_special else {}),
        "added_tokens_decoder": added,
        "clean_up_tokenization_spaces": settings.clean_up_tokenization_spaces,
        "model_input_names": settings.model_inputs,
        "model_max_length": settings.model_max_length,
        "padding_side": settings.padding_side,
        "truncation_side": settings.truncation_side,
    }
    beyond = {token: number for token, number in vocabulary.added.ids.items() if token not in vocabulary.ids}
    texts: dict[str, str | bytes] = {
        **vocabulary_texts(file_sets(section)[0], tokenizer.current_data()),
        CONFIG: _json(config),
        SPECIAL: _json(special),
        **({ADDED: _json(beyond)} if beyond else {}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            partial = folder / f"{name}.partial"
            partial.write_bytes(text.encode() if isinstance(text, str) else text)
            os.replace(partial, folder / name)
        if not beyond:
            (folder / ADDED).unlink(missing_ok=True)  # of a tokenizer that was saved here before
    except OSError as problem:
        raise TokenizerError(f"cannot write to `{folder}`: {problem.strerror or problem}") from None
    return [folder / name for name in texts]


def _special_tokens(vocabulary: Vocabulary) -> dict[str, Any]:
    """By role: the token, or all its flags where they are not those every special token has."""

    def described(content: str) -> Any:
        token = vocabulary.added.by_id.get(vocabulary.added.ids.get(content, -1))
        return content if token in (None, AddedToken(content, special=True)) else token.as_dict()

    result = {role: described(token) for role, token in vocabulary.roles.items() if token is not None}
    if vocabulary.extra_special:
        result["extra_special_tokens"] = [described(token) for token in vocabulary.extra_special]
    return result


def _at(section: Mapping[str, Any], path: str) -> Any:
    value: Any = section
    for key in path.split("."):
        value = value[key]
    return value


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
