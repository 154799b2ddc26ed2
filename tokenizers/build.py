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

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .added_tokens import AddedToken
from .call import one_of
from .components import assembled, component
from .configuration import SETTINGS, add_tokens, check_options, settings_of, stored_options
from .files import ADDED, file_sets, find_files
from .section import checked_section, put
from .template import Template
from .tokenizer import Tokenizer
from .tokenizer_json import NAME as WHOLE
from .tokenizer_json import read_tokenizer
from .vocabulary import EXTRA, ROLES, Vocabulary
from .vocabulary_files import SymbolReader, read_json, read_vocabulary

IMPLEMENTATIONS = ("rust", "python")  # which of the reference library's two a tokenizer does as


def open_tokenizer(folder: str | Path | Mapping[str, str | Path], **options: Any) -> Tokenizer:
    """The tokenizer of a folder with a `tokenizer.json`, which says everything itself, or of such a file. Options are
    the special tokens by role and what calls fall back on."""
    _, paths, found = find_files(folder, [{"json": WHOLE}])
    return read_tokenizer(paths["json"], found, options)


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
    section = checked_section(section)
    entry, paths, found = find_files(files, [*file_sets(section), {"json": WHOLE}])
    if "json" in paths:
        return read_tokenizer(paths["json"], found, options, section)
    check_options(options, (*section["options"], *ROLES, *EXTRA, *SETTINGS), "the tokenizer")
    stored = stored_options(found)
    settings = {**stored, **options}
    for key, path in section["options"].items():
        if key in settings:
            put(section, path, key, settings[key])

    data = read_vocabulary(entry, paths, read_symbols)
    normalizer = component("normalizer", section)
    python = one_of("tokenizer.implementation", section.get("implementation", "rust"), IMPLEMENTATIONS) == "python"
    vocabulary = Vocabulary(data.ids, normalizer.normalize, len(data.lines or ()), python)
    add_tokens(vocabulary, section, settings, stored, read_json(found.get(ADDED)))
    pre_tokenizer = component("pre_tokenizer", section) if section["pre_tokenizer"] else None
    model = component(
        "model", section, vocabulary=data.ids, unknown=vocabulary.roles["unk_token"], merges=data.merges,
        model=data.model,
    )
    roles = {AddedToken.of(content).content: role for role, content in reversed(section["special_tokens"].items())}
    return Tokenizer(
        vocabulary, assembled(normalizer, pre_tokenizer, model), Template(**section["template"], roles=roles),
        component("decoder", section, model=data.model), settings_of(section, settings), section, data,
    )
