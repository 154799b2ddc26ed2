"""A tokenizer from the `tokenizer:` section of a spec and its files.

    tokenizer:
      model: {type: wordpiece, continuing_prefix: "##", max_word_length: 100}
      files: {vocab: vocab.txt}
      normalizer: {type: basic, clean_text: true, cjk_spaces: true, strip_accents: null, lowercase: true}
      pre_tokenizer: {type: whitespace_punctuation}
      template: {single: "[CLS] $A [SEP]", pair: "[CLS] $A [SEP] $B:1 [SEP]:1"}
      decoder: {type: wordpiece, prefix: "##", cleanup: true}
      special_tokens: {unk_token: "[UNK]", …}
      model_inputs: [input_ids, token_type_ids, attention_mask]
      options: {do_lower_case: normalizer.lowercase, …}   # names of options and of keys in tokenizer_config.json
      save: {tokenizer_class: …}                          # written to tokenizer_config.json as it stands

What is given by the caller beats the files, and the files beat the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import Diagnostic, TokenizerError, did_you_mean
from .added_tokens import AddedToken
from .call import SIDES, one_of
from .components import COMPONENTS, assembled, component
from .files import ADDED, CONFIG, SPECIAL, file_sets, find_files
from .template import Template
from .tokenizer import Settings, Tokenizer
from .vocabulary import ROLES, Vocabulary
from .vocabulary_files import PARAMETERS, SymbolReader, read_json, read_vocabulary
from .vocabulary_files import ROLES as FILE_ROLES

IMPLEMENTATIONS = ("rust", "python")  # which of the reference library's two a tokenizer does as
OPTIONAL = ("normalizer", "pre_tokenizer")
SETTINGS = ("model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces")
KEYS = (
    *COMPONENTS, "files", "template", "special_tokens", "extra_special_tokens", "numbered_tokens", "model_inputs",
    "options", "save", "implementation", "pad_token_type_id", "added_apart", *SETTINGS,
)
EXTRA = ("extra_special_tokens", "additional_special_tokens")
NUMBERED = ("format", "count", "descending", "lstrip", "rstrip")


def build_tokenizer(
    section: Mapping[str, Any], files: str | Path | Mapping[str, str | Path], *,
    read_symbols: SymbolReader | None = None, **options: Any,
) -> Tokenizer:
    """The tokenizer that `section` describes, with the vocabulary in `files`: a folder, the vocabulary file itself,
    or paths by file name. `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` are read where
    they are.

    Options are those the section names under `options`, the special tokens by role (None: do without),
    `extra_special_tokens` and what calls fall back on: `model_max_length`, `padding_side`, `truncation_side`,
    `clean_up_tokenization_spaces`. `read_symbols` reads a vocabulary that is a pickle. TokenizerError for a section,
    file or option that cannot be used.
    """
    section = _checked_section(section)
    entry, paths, found = find_files(files, file_sets(section))
    known = (*section["options"], *ROLES, *EXTRA, *SETTINGS)
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TokenizerError(*(
            Diagnostic(f"the tokenizer has no option `{name}`", help=did_you_mean(name, known)) for name in unknown
        ))
    stored = _stored(found)
    settings = {**stored, **options}
    for key, path in section["options"].items():
        if key in settings:
            _put(section, path, key, settings[key])

    data = read_vocabulary(entry, paths, read_symbols)
    normalizer = component("normalizer", section)
    python = one_of("tokenizer.implementation", section.get("implementation", "rust"), IMPLEMENTATIONS) == "python"
    vocabulary = Vocabulary(data.ids, normalizer.normalize, len(data.lines or ()), python)
    _add_tokens(vocabulary, section, settings, stored, read_json(found.get(ADDED)))
    pre_tokenizer = component("pre_tokenizer", section) if section["pre_tokenizer"] else None
    model = component(
        "model", section, vocabulary=data.ids, unknown=vocabulary.roles["unk_token"], merges=data.merges,
        model=data.model,
    )
    roles = {AddedToken.of(content).content: role for role, content in reversed(section["special_tokens"].items())}
    return Tokenizer(
        vocabulary, assembled(normalizer, pre_tokenizer, model), Template(**section["template"], roles=roles),
        component("decoder", section, model=data.model), _settings(section, settings), section, data,
    )


def _checked_section(section: Mapping[str, Any]) -> dict[str, Any]:
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
    checked = (("template", ("single", "pair")), ("special_tokens", ROLES), ("numbered_tokens", NUMBERED))
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


def _stored(found: Mapping[str, Path]) -> dict[str, Any]:
    """What the configuration files say. The special tokens map is the older form and counts unless the configuration
    lists its tokens itself."""
    stored = read_json(found.get(CONFIG))
    if "model_max_length" not in stored and "max_len" in stored:  # 2019's name
        stored["model_max_length"] = stored["max_len"]
    if "added_tokens_decoder" not in stored:
        stored |= read_json(found.get(SPECIAL))
    return stored


def _put(section: dict[str, Any], path: str, option: str, value: Any) -> None:
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


def _settings(section: Mapping[str, Any], values: Mapping[str, Any]) -> Settings:
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


def _add_tokens(
    vocabulary: Vocabulary, section: Mapping[str, Any], settings: Mapping[str, Any], stored: Mapping[str, Any],
    beyond: Mapping[str, Any],
) -> None:
    """Added tokens under the ids their files give them, then the special ones, which must be known by then."""
    roles = {
        role: AddedToken.of(value, special=True)
        for role in ROLES if (value := settings.get(role, section["special_tokens"].get(role))) is not None
    }
    extra = settings.get(EXTRA[0]) or settings.get(EXTRA[1]) or section.get(EXTRA[0]) or []
    extra = list(extra.values()) if isinstance(extra, Mapping) else extra
    if not isinstance(extra, (list, tuple)):
        raise TokenizerError(f"{EXTRA[0]} must be a list of tokens")
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
