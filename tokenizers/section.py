"""The `tokenizer:` section of a spec, checked; and options put into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Diagnostic, TokenizerError, did_you_mean
from .components import COMPONENTS
from .configuration import SETTINGS
from .vocabulary import ROLES
from .vocabulary_files import FILE_ROLES, PARAMETERS

OPTIONAL = ("normalizer", "pre_tokenizer")
KEYS = (
    *COMPONENTS, "files", "template", "special_tokens", "extra_special_tokens", "numbered_tokens", "model_inputs",
    "options", "save", "implementation", "pad_token_type_id", "added_apart", *SETTINGS,
)
NUMBERED = ("format", "count", "descending", "lstrip", "rstrip")


def checked_section(section: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of our own, with nothing unknown in it and every part there."""
    problems = [
        Diagnostic(f"unknown key `{key}` in `tokenizer`", help=did_you_mean(key, KEYS))
        for key in section if key not in KEYS
    ]
    problems += [
        Diagnostic(f"`tokenizer` lacks `{key}`")
        for key in (*COMPONENTS, "files") if key not in section and key not in OPTIONAL
    ]
    result: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping)
        else {"type": value} if key in COMPONENTS and isinstance(value, str) else value
        for key, value in section.items()
    }
    result.setdefault("normalizer", {"type": "none"})
    for key in ("template", "special_tokens", "options", "save", "numbered_tokens", *COMPONENTS):
        if not isinstance(result.setdefault(key, {}), dict):
            problems.append(Diagnostic(f"`tokenizer.{key}` must be a mapping"))
    problems += _problems_of_files(result.get("files", {}))
    checked = (("template", ("single", "pair", "bos", "eos")), ("special_tokens", ROLES), ("numbered_tokens", NUMBERED))
    for key, allowed in checked:
        if isinstance(result[key], dict):
            problems += [
                Diagnostic(f"unknown key `{name}` in `tokenizer.{key}`", help=did_you_mean(name, allowed))
                for name in result[key] if name not in allowed
            ]
    if problems:
        raise TokenizerError(*problems)
    return result


def _problems_of_files(files: Any) -> list[Diagnostic]:
    sets = files if isinstance(files, list) else [files]
    if not sets or not all(isinstance(entry, Mapping) for entry in sets):
        return [Diagnostic("`tokenizer.files` must be a mapping, or a list of them")]
    problems: list[Diagnostic] = []
    for entry in sets:
        problems += [
            Diagnostic(f"unknown key `{key}` in `tokenizer.files`", help=did_you_mean(key, (*FILE_ROLES, *PARAMETERS)))
            for key in entry if key not in FILE_ROLES and key not in PARAMETERS
        ]
        names = {role: name for role, name in entry.items() if role in FILE_ROLES}
        if not {"vocab", "words", "model", "symbols"} & set(names):
            problems.append(Diagnostic("`tokenizer.files` names no `vocab`"))
        problems += [
            Diagnostic(f"the vocabulary file `{name}` is a path", help="a file name, without folders")
            for name in names.values() if not isinstance(name, str) or Path(name).name != name
        ]
    return problems


def put(section: dict[str, Any], path: str, option: str, value: Any) -> None:
    """Sets what an option stands for, `normalizer.lowercase` for one."""
    slot, _, key = path.partition(".")
    if not isinstance(section.get(slot), dict) or not key:
        raise TokenizerError(f"`tokenizer.options.{option}` points to `{path}`, which is not in the section")
    old = section[slot].get(key)
    if value is None:  # says nothing
        return
    if not isinstance(value, bool if old is None else type(old)):
        wanted = "true or false" if old is None or isinstance(old, bool) else f"a {type(old).__name__}"
        raise TokenizerError(f"the tokenizer's option `{option}` must be {wanted}, not {value!r}"[:200])
    section[slot][key] = value
