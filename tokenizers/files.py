"""The files a tokenizer lies in, under the names the ecosystem uses: read and written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Diagnostic, Place, TokenizerError
from .added_tokens import AddedToken
from .unicode_tables import WHITE_SPACE
from .vocabulary import ROLES, Vocabulary

if TYPE_CHECKING:
    from .tokenizer import Tokenizer

CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"
_BLANKS = "".join(chr(point) for point in range(0x3001) if chr(point) in WHITE_SPACE)


def find_files(source: str | Path | Mapping[str, str | Path], vocabulary: str) -> dict[str, Path]:
    """The files of a tokenizer by name: from a folder, from one vocabulary file, or as given."""
    if Path(vocabulary).name != vocabulary:
        raise TokenizerError(f"the vocabulary file `{vocabulary}` is a path", help="a file name, without folders")
    if isinstance(source, Mapping):
        found = {name: Path(path) for name, path in source.items()}
    else:
        place = Path(source)
        if place.is_file():
            return {vocabulary: place}
        if not place.is_dir():
            raise TokenizerError(f"there is no tokenizer at `{place}`: no such file or folder")
        found = {name: place / name for name in (vocabulary, CONFIG, SPECIAL, ADDED) if (place / name).is_file()}
    if vocabulary not in found or not found[vocabulary].is_file():
        where = "among the given files" if isinstance(source, Mapping) else f"in `{source}`"
        raise TokenizerError(
            f"the vocabulary file `{vocabulary}` is not {where}", help="give the folder that has it, or the file itself"
        )
    return found


def read_pieces(path: Path) -> list[str]:
    """One piece a line; the line number, from 0, is the id. White space at the end of a line does not count."""
    data = _read(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        place = Place(str(path), before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise TokenizerError(
            Diagnostic("the vocabulary is not UTF-8", place, help="is this a text file, one token a line?")
        ) from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    pieces = [line.rstrip(_BLANKS) for line in lines]
    if not any(pieces):
        raise TokenizerError(Diagnostic("the vocabulary file is empty", Place(str(path))))
    return pieces


def read_json(path: Path | None) -> dict[str, Any]:
    """A JSON object; an absent file is an empty one."""
    if path is None:
        return {}
    try:
        value = json.loads(_read(path).decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        line, column = getattr(problem, "lineno", None), getattr(problem, "colno", None)
        raise TokenizerError(Diagnostic(f"not valid JSON: {problem}"[:200], Place(str(path), line, column))) from None
    if not isinstance(value, dict):
        raise TokenizerError(Diagnostic(f"a JSON object is expected, not a {type(value).__name__}", Place(str(path))))
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise TokenizerError(f"cannot read `{path}`: {problem.strerror or problem}") from None


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
    texts = {
        section["files"]["vocab"]: "".join(f"{piece}\n" for piece in vocabulary.pieces),
        CONFIG: _json(config),
        SPECIAL: _json(special),
        **({ADDED: _json(beyond)} if beyond else {}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            partial = folder / f"{name}.partial"
            partial.write_text(text, encoding="utf-8", newline="\n")
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
