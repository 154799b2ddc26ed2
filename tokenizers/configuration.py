"""What configuration files and callers say beside the model: tokens with a role, and what calls fall back on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Diagnostic, TokenizerError, did_you_mean
from .added_tokens import AddedToken
from .call import SIDES, one_of
from .files import CONFIG, SPECIAL
from .settings import Settings
from .vocabulary import EXTRA, ROLES, Vocabulary
from .vocabulary_files import read_json

SETTINGS = ("model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces")


def check_options(options: Iterable[str], known: Sequence[str], whose: str) -> None:
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TokenizerError(*(
            Diagnostic(f"{whose} has no option `{name}`", help=did_you_mean(name, known)) for name in unknown
        ))


def stored_options(found: Mapping[str, Path]) -> dict[str, Any]:
    """What the configuration files say. The special tokens map is the older form and counts unless the configuration
    lists its tokens itself."""
    stored = read_json(found.get(CONFIG))
    if "model_max_length" not in stored and "max_len" in stored:  # 2019's name
        stored["model_max_length"] = stored["max_len"]
    if "added_tokens_decoder" not in stored:
        stored |= read_json(found.get(SPECIAL))
    return stored


def settings_of(section: Mapping[str, Any], values: Mapping[str, Any]) -> Settings:
    settings = Settings(model_inputs=list(values.get("model_input_names") or section.get("model_inputs") or ()))
    settings.pad_token_type_id = section.get("pad_token_type_id", 0)
    settings.added_apart = section.get("added_apart")
    settings.python = section.get("implementation") == "python"
    if not settings.model_inputs:
        settings.model_inputs = Settings().model_inputs
    for name in SETTINGS:
        value = values.get(name)
        if value is None:
            value = section.get(name)
        if value is None:
            continue
        if name.endswith("_side"):
            one_of(name, value, SIDES)
        elif name == "model_max_length":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 1:
                raise TokenizerError(f"model_max_length={value!r} is no length", help="a whole number from 1")
            value = int(min(value, settings.model_max_length))
        elif not isinstance(value, bool):
            raise TokenizerError(f"{name}={value!r} must be true or false")
        setattr(settings, name, value)
    return settings


def extra_tokens(*sources: Mapping[str, Any]) -> list[Any]:
    """Special tokens without a role, from the first of the sources that has any."""
    found = next((source[name] for source in sources for name in EXTRA if source.get(name)), [])
    found = list(found.values()) if isinstance(found, Mapping) else found
    if not isinstance(found, (list, tuple)):
        raise TokenizerError(f"{EXTRA[0]} must be a list of tokens")
    return list(found)


def add_tokens(
    vocabulary: Vocabulary, section: Mapping[str, Any], settings: Mapping[str, Any], stored: Mapping[str, Any],
    beyond: Mapping[str, Any],
) -> None:
    """Added tokens under the ids their files give them, then the special ones, which must be known by then."""
    roles = {
        role: AddedToken.of(value, special=True)
        for role in ROLES if (value := settings.get(role, section["special_tokens"].get(role))) is not None
    }
    extra = extra_tokens(settings, section)
    numbers = _numbered(section["numbered_tokens"], {str(token) for token in extra})
    extra = [*extra, *numbers]
    special = {token.content for token in roles.values()} | {AddedToken.of(token).content for token in extra}

    listed = stored.get("added_tokens_decoder")
    numbered: list[tuple[Any, AddedToken]]
    if isinstance(listed, Mapping):
        numbered = [(number, AddedToken.of(token)) for number, token in listed.items()]
    else:
        numbered = [(number, AddedToken(token, special=token in special)) for token, number in beyond.items()]
    numbered = sorted((_number(number, token), token) for number, token in numbered) if numbered else []
    vocabulary.add((token for _, token in numbered), {token.content: number for number, token in numbered})
    described = {token.content: token for _, token in numbered}
    vocabulary.add(reversed(numbers) if section["numbered_tokens"].get("descending") else numbers)

    missing = [f"`{token}` ({role})" for role, token in roles.items() if vocabulary.id_of(token.content) is None]
    if missing:
        raise TokenizerError(
            f"special tokens that are not in the vocabulary of {len(vocabulary)}: {', '.join(missing)}",
            help="is this the right vocabulary file? An option of that name gives another token, None does without",
        )
    vocabulary.add_special({role: described.get(token.content, token) for role, token in roles.items()})
    if extra:
        vocabulary.add_special({EXTRA[0]: [described.get(str(token), token) for token in _tokens(extra)]})


def _numbered(described: Mapping[str, Any], known: set[str]) -> list[AddedToken]:
    """Special tokens that differ by a number."""
    if not described or any(described["format"].format(0).rstrip("0>") in token for token in known):
        return []
    flags = {name: described.get(name, False) for name in ("lstrip", "rstrip")}
    return [
        AddedToken(described["format"].format(number), special=True, **flags) for number in range(described["count"])
    ]


def _tokens(values: Iterable[Any]) -> list[AddedToken]:
    return [AddedToken.of(value, special=True) for value in values]


def _number(value: Any, token: AddedToken) -> int:
    """An id as JSON holds it: a number, or its digits as a key."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TokenizerError(f"the added token `{token}` has no usable id: {value!r}"[:200])
