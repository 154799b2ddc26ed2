"""`tokenizer.json`: a tokenizer as a whole, in the form of the Rust library. What is not known here is an error that
names it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import regex

from ..errors import Diagnostic, Place, TokenizerError, did_you_mean
from .added_tokens import AddedToken
from .bpe import BytePairs
from .byte_level import BlankTrimmer, ByteLevelWords
from .components import assembled
from .configuration import EXTRA, SETTINGS, settings_of, stored_options
from .decoder import SuffixDecoder, WordPieceDecoder
from .decoder_chain import Blank, DecoderChain, StripCharacter, Substitute, Whole, bytes_to_text, fuse, join_bytes
from .normal_forms import (
    Bytes,
    Chain,
    Lowercase,
    Precompiled,
    Prepend,
    Replace,
    SpacesAndControls,
    Strip,
    StripAccents,
    UnicodeForm,
)
from .normalizer import BasicNormalizer
from .pipeline import Pipeline, Unchanged
from .pre_tokenizer import WhitespacePunctuation
from .split_patterns import BYTE_LEVEL, SplitPattern
from .template import Template, TemplatePiece
from .tokenizer import Tokenizer
from .unicode_tables import PUNCTUATION, WHITE_SPACE
from .unigram import Unigram
from .vocabulary import ROLES, Vocabulary
from .vocabulary_files import VocabularyData, read_json
from .word_chain import BEHAVIORS, Blanks, Cut, Prefix, Step, WordChain
from .word_level import WordLevel
from .wordpiece import WordPiece

NAME = "tokenizer.json"
_WORD = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]"
Part = Mapping[str, Any]


def read_tokenizer(
    path: Path, found: Mapping[str, Path], options: Mapping[str, Any], section: Mapping[str, Any] | None = None
) -> Tokenizer:
    """The tokenizer in a file, with the configuration files that were `found` beside it. Of a spec's section the
    special tokens and what calls fall back on count where the files say nothing."""
    section = section or {}
    known = (*ROLES, *EXTRA, *SETTINGS)
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TokenizerError(*(
            Diagnostic(f"a tokenizer of `{NAME}` has no option `{name}`", help=did_you_mean(name, known))
            for name in unknown
        ))
    data = read_json(path)
    stored = {**stored_options(found)}
    try:
        return _built(data, {**stored, **options}, stored, section)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
        raise TokenizerError(Diagnostic(
            f"the tokenizer is damaged: {type(problem).__name__} {problem}"[:200], Place(str(path))
        )) from None


def _built(
    data: dict[str, Any], settings: Mapping[str, Any], stored: Mapping[str, Any], section: Mapping[str, Any]
) -> Tokenizer:
    normalizer = _normalizer(data.get("normalizer"))
    words = data.get("pre_tokenizer")
    ids, model = _model(data["model"], byte_level=_uses_bytes(words))
    vocabulary = Vocabulary(ids, normalizer.normalize)
    added = [(token["id"], AddedToken.of(token)) for token in data.get("added_tokens") or []]
    vocabulary.added.add(added)
    roles = {role: settings.get(role, section.get("special_tokens", {}).get(role)) for role in ROLES}
    if roles["unk_token"] is None and "unk_token" not in settings:
        roles["unk_token"] = data["model"].get("unk_token")
    for role, token in roles.items():
        content = None if token is None else AddedToken.of(token).content
        if content is not None and vocabulary.id_of(content) is not None:
            vocabulary.roles[role] = content
        elif content is not None:
            vocabulary.add_special({role: token})
    extra = settings.get(EXTRA[0]) or settings.get(EXTRA[1]) or []
    extra = list(extra.values()) if isinstance(extra, Mapping) else extra
    vocabulary.add_special({EXTRA[0]: [
        vocabulary.added.by_id.get(vocabulary.id_of(str(AddedToken.of(token))), token) for token in extra
    ]})
    template, trim = _processor(data.get("post_processor"))
    kept = {
        "files": {"json": NAME}, "options": {},
        "save": {"tokenizer_class": stored.get("tokenizer_class", "PreTrainedTokenizerFast")},
    }
    return Tokenizer(
        vocabulary, _pipeline(normalizer, words, model, trim), template, _decoder(data.get("decoder")),
        settings_of(section, settings), kept, VocabularyData(ids, json=data),
    )


def _parts(part: Part | None, kind: str, inside: str) -> list[Part]:
    """A component and what a sequence holds, in one list."""
    if part is None:
        return []
    if part.get("type") != "Sequence":
        return [part]
    return [found for each in part[inside] for found in _parts(each, kind, inside)]


def _known(table: Mapping[str, Any], part: Part, kind: str) -> Any:
    found = table.get(part.get("type"))
    if found is None:
        raise TokenizerError(
            f"the {kind} `{part.get('type')}` in {NAME} is not supported",
            help=did_you_mean(str(part.get("type")), table),
        )
    return found


# Normalizers ------------------------------------------------------------------------------------------------------


def _pattern(pattern: Any) -> str | SplitPattern:
    if isinstance(pattern, str):
        return pattern
    return SplitPattern(pattern["Regex"]) if "Regex" in pattern else pattern["String"]


NORMALIZERS: dict[str, Callable[[Part], Any]] = {
    "BertNormalizer": lambda part: BasicNormalizer(
        clean_text=part["clean_text"], cjk_spaces=part["handle_chinese_chars"], strip_accents=part["strip_accents"],
        lowercase=part["lowercase"],
    ),
    **{form: lambda part: UnicodeForm(part["type"]) for form in ("NFC", "NFD", "NFKC", "NFKD")},
    "Lowercase": lambda part: Lowercase(),
    "StripAccents": lambda part: StripAccents(),
    "Strip": lambda part: Strip(part.get("strip_left", True), part.get("strip_right", True)),
    "Replace": lambda part: Replace(_pattern(part["pattern"]), part["content"]),
    "Prepend": lambda part: Prepend(part["prepend"]),
    "Nmt": lambda part: SpacesAndControls(),
    "Precompiled": lambda part: Precompiled(base64.b64decode(part["precompiled_charsmap"] or "")),
    "ByteLevel": lambda part: Bytes(),
}


def _normalizer(part: Part | None) -> Any:
    parts = [_known(NORMALIZERS, each, "normalizer")(each) for each in _parts(part, "normalizer", "normalizers")]
    return parts[0] if len(parts) == 1 else Chain(parts) if parts else Unchanged()


# Pre-tokenizers ---------------------------------------------------------------------------------------------------


def _byte_level(part: Part) -> list[Step]:
    steps: list[Step] = [Prefix()] if part.get("add_prefix_space", True) else []
    return [*steps, Cut(SplitPattern(BYTE_LEVEL), "isolated")] if part.get("use_regex", True) else steps


def _split(part: Part) -> list[Step]:
    pattern = _pattern(part["pattern"])
    pattern = SplitPattern(re.escape(pattern)) if isinstance(pattern, str) else pattern
    return [Cut(pattern, _behavior(part), part.get("invert", False))]


def _behavior(part: Part) -> str:
    name = part.get("behavior", "Isolated").lower()
    if name not in BEHAVIORS:
        raise TokenizerError(f"the behavior `{part['behavior']}` in {NAME} is not supported")
    return name


def _metaspace(part: Part) -> list[Step]:
    scheme = part.get("prepend_scheme") or ("always" if part.get("add_prefix_space", True) else "never")
    if part.get("add_prefix_space") is False:
        scheme = "never"
    return [Blanks(part.get("replacement", "\u2581"), scheme, part.get("split", True))]


_SPACE = f"[{WHITE_SPACE.pattern()}]"
_MARK = f"[{PUNCTUATION.pattern()}]"
PRE_TOKENIZERS: dict[str, Callable[[Part], list[Step]]] = {
    "BertPreTokenizer": lambda part: [
        Cut(SplitPattern(_SPACE), "removed"), Cut(SplitPattern(_MARK), "isolated"),
    ],
    "ByteLevel": _byte_level,
    "Whitespace": lambda part: [
        Cut(SplitPattern(rf"{_WORD}+|(?:(?!{_WORD})[^{WHITE_SPACE.pattern()}])+"), "removed", True)
    ],
    "WhitespaceSplit": lambda part: [Cut(SplitPattern(_SPACE), "removed")],
    "Punctuation": lambda part: [Cut(SplitPattern(_MARK), _behavior(part))],
    "Digits": lambda part: [
        Cut(SplitPattern(r"\p{N}"), "isolated" if part.get("individual_digits") else "contiguous")
    ],
    "CharDelimiterSplit": lambda part: [Cut(SplitPattern(re.escape(part["delimiter"])), "removed")],
    "Split": _split,
    "Metaspace": _metaspace,
}


def _uses_bytes(part: Part | None) -> bool:
    return any(each.get("type") == "ByteLevel" for each in _parts(part, "pre-tokenizer", "pretokenizers"))


def _pipeline(normalizer: Any, part: Part | None, model: Any, trim: BlankTrimmer | None) -> Pipeline:
    parts = _parts(part, "pre-tokenizer", "pretokenizers")
    kinds = [each.get("type") for each in parts]
    if kinds == ["BertPreTokenizer"] and isinstance(normalizer, BasicNormalizer):
        return assembled(normalizer, WhitespacePunctuation(), model)
    words: Any
    last = parts[-1] if parts else {}
    if kinds == ["ByteLevel"] and last.get("use_regex", True):
        words = ByteLevelWords(add_prefix_space=last.get("add_prefix_space", True))
    elif kinds == ["Split", "ByteLevel"] and _is_pattern(parts[0]) and not (
        last.get("use_regex", True) or last.get("add_prefix_space", True)
    ):
        words = ByteLevelWords(pattern=parts[0]["pattern"]["Regex"])
    else:
        words = WordChain([step for each in parts for step in _known(PRE_TOKENIZERS, each, "pre-tokenizer")(each)])
    words.trim = trim
    return assembled(normalizer, words, model)


def _is_pattern(part: Part) -> bool:
    return "Regex" in part["pattern"] and _behavior(part) == "isolated" and not part.get("invert", False)


# Models -----------------------------------------------------------------------------------------------------------


def _model(part: Part, byte_level: bool) -> tuple[dict[str, int], Any]:
    kind = part.get("type")
    if kind is None:  # files of the first releases do not say
        kind = next((name for key, name in _TELLING.items() if key in part), "WordLevel")
    return _known(MODELS, {"type": kind}, "model")(part, byte_level)


def _byte_pairs(part: Part, byte_level: bool) -> tuple[dict[str, int], Any]:
    if part.get("dropout"):
        raise TokenizerError(f"the model in {NAME} drops merges by chance (`dropout`), which is not supported")
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in part["merges"]]
    return part["vocab"], BytePairs(
        part["vocab"], merges=merges, unknown=part.get("unk_token"), byte_level=byte_level,
        suffix=part.get("end_of_word_suffix") or "", prefix=part.get("continuing_subword_prefix") or "",
        fuse_unknown=part.get("fuse_unk", False), byte_fallback=part.get("byte_fallback", False),
        whole_words=part.get("ignore_merges", False),
    )


def _word_piece(part: Part, byte_level: bool) -> tuple[dict[str, int], Any]:
    return part["vocab"], WordPiece(
        part["vocab"], unknown=part["unk_token"], continuing_prefix=part["continuing_subword_prefix"],
        max_word_length=part["max_input_chars_per_word"],
    )


def _word_level(part: Part, byte_level: bool) -> tuple[dict[str, int], Any]:
    unknown = part.get("unk_token")
    return part["vocab"], WordLevel(part["vocab"], unknown=unknown if unknown in part["vocab"] else None)


def _unigram(part: Part, byte_level: bool) -> tuple[dict[str, int], Any]:
    pieces = [(piece, float(score)) for piece, score in part["vocab"]]
    return {piece: number for number, (piece, _) in enumerate(pieces)}, Unigram(
        pieces, unknown=part.get("unk_id"), byte_fallback=part.get("byte_fallback", False)
    )


_TELLING = {"merges": "BPE", "max_input_chars_per_word": "WordPiece", "unk_id": "Unigram"}
MODELS = {"BPE": _byte_pairs, "WordPiece": _word_piece, "WordLevel": _word_level, "Unigram": _unigram}


# Templates --------------------------------------------------------------------------------------------------------


def _processor(part: Part | None) -> tuple[Template, BlankTrimmer | None]:
    template, trim = Template(), None
    for each in _parts(part, "post-processor", "processors"):
        kind = each.get("type")
        if kind == "TemplateProcessing":
            template = Template.of(_places(each["single"], each), _places(each["pair"], each))
        elif kind in ("RobertaProcessing", "BertProcessing"):
            first, last = TemplatePiece(0, token=each["cls"][0]), TemplatePiece(0, token=each["sep"][0])
            other = int(kind == "BertProcessing")
            text, pair, end = TemplatePiece(0, 0), TemplatePiece(other, 1), TemplatePiece(other, token=each["sep"][0])
            between = [last] if other else [last, last]
            template = Template.of([first, text, last], [first, text, *between, pair, end])
        elif kind != "ByteLevel":
            _known(dict.fromkeys(("TemplateProcessing", "RobertaProcessing", "BertProcessing", "ByteLevel")), each,
                   "post-processor")
        if kind in ("ByteLevel", "RobertaProcessing") and each.get("trim_offsets", True):
            trim = BlankTrimmer(each.get("add_prefix_space", True))
    return template, trim


def _places(pieces: list[Part], part: Part) -> list[TemplatePiece]:
    found: list[TemplatePiece] = []
    for piece in pieces:
        (kind, said), = piece.items()
        if kind == "Sequence":
            found.append(TemplatePiece(said["type_id"], "AB".index(said["id"])))
        else:
            tokens = part["special_tokens"][said["id"]]["tokens"]
            found += [TemplatePiece(said["type_id"], token=token) for token in tokens]
    return found


# Decoders ---------------------------------------------------------------------------------------------------------


def _substitute(part: Part) -> Any:
    pattern = part["pattern"]
    if "String" in pattern:
        return Substitute(re.compile(re.escape(pattern["String"])), part["content"])
    return Substitute(regex.compile(pattern["Regex"]), part["content"])


DECODERS: dict[str, Callable[[Part], Any]] = {
    "ByteLevel": lambda part: bytes_to_text,
    "WordPiece": lambda part: Whole(WordPieceDecoder(prefix=part["prefix"], cleanup=part["cleanup"])),
    "BPEDecoder": lambda part: Whole(SuffixDecoder(suffix=part["suffix"])),
    "Metaspace": lambda part: Blank(
        part.get("replacement", "\u2581"),
        part.get("prepend_scheme") == "never" or part.get("add_prefix_space") is False,
    ),
    "Replace": _substitute,
    "ByteFallback": lambda part: join_bytes,
    "Fuse": lambda part: fuse,
    "Strip": lambda part: StripCharacter(part["content"], part["start"], part["stop"]),
}


def _decoder(part: Part | None) -> DecoderChain:
    parts = _parts(part, "decoder", "decoders")
    return DecoderChain([_known(DECODERS, each, "decoder")(each) for each in parts], "" if parts else " ")
