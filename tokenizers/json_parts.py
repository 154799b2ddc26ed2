"""The components that a `tokenizer.json` names, by kind and type, and how each is made of what the file says."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import TokenizerError, did_you_mean
from .bpe import BytePairs
from .character_map import Precompiled
from .decoder import SuffixDecoder, WordPieceDecoder
from .decoder_chain import Blank, StripCharacter, Substitute, Whole, bytes_to_text, fuse, join_bytes
from .normal_forms import (
    Bytes,
    Lowercase,
    Prepend,
    Replace,
    SpacesAndControls,
    Strip,
    StripAccents,
    UnicodeForm,
)
from .normalizer import BasicNormalizer
from .split_patterns import BYTE_LEVEL, WORD_CHARACTER, SplitPattern
from .unicode_tables import PUNCTUATION, WHITE_SPACE
from .unigram import Unigram
from .word_chain import BEHAVIORS, Blanks, Prefix, Split, Step
from .word_level import WordLevel
from .wordpiece import WordPiece

NAME = "tokenizer.json"
Part = Mapping[str, Any]


_TEXTS = ("content", "prepend", "prefix", "suffix", "replacement", "delimiter", "behavior", "Regex", "String")
_FLAGS = (
    "cleanup", "add_prefix_space", "trim_offsets", "use_regex", "individual_digits", "split", "strip_left",
    "strip_right", "invert", "clean_text", "handle_chinese_chars", "lowercase",
)
_TYPES = {
    **dict.fromkeys(_TEXTS, str), **dict.fromkeys(_FLAGS, bool), **dict.fromkeys(("start", "stop", "type_id"), int),
}


def check_types(part: Any) -> None:
    """TypeError for a component, or one inside it, in which a key has a value of another type than it must."""
    waiting = [part]
    while waiting:
        value = waiting.pop()
        for key, inner in value.items() if isinstance(value, dict) else ():
            if type(inner) is not _TYPES.get(key, type(inner)):
                raise TypeError(f"`{key}` is {inner!r}"[:100])
            if key in ("cls", "sep") and [type(each) for each in inner] != [str, int]:
                raise TypeError(f"`{key}` is {inner!r}"[:100])
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def found_in(table: Mapping[str, Any], part: Part, kind: str) -> Any:
    """What `table` has for the type of a component. TokenizerError if there is nothing."""
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


# Pre-tokenizers ---------------------------------------------------------------------------------------------------


def _byte_level(part: Part) -> list[Step]:
    steps: list[Step] = [Prefix()] if part.get("add_prefix_space", True) else []
    return [*steps, Split(SplitPattern(BYTE_LEVEL), "isolated")] if part.get("use_regex", True) else steps


def _split(part: Part) -> list[Step]:
    pattern = _pattern(part["pattern"])
    pattern = SplitPattern(re.escape(pattern)) if isinstance(pattern, str) else pattern
    return [Split(pattern, behavior(part), part.get("invert", False))]


def behavior(part: Part) -> str:
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
        Split(SplitPattern(_SPACE), "removed"), Split(SplitPattern(_MARK), "isolated"),
    ],
    "ByteLevel": _byte_level,
    "Whitespace": lambda part: [
        Split(SplitPattern(rf"{WORD_CHARACTER}+|(?:(?!{WORD_CHARACTER})[^{WHITE_SPACE.pattern()}])+"), "removed", True)
    ],
    "WhitespaceSplit": lambda part: [
        Split(SplitPattern(f"[^{WHITE_SPACE.pattern()}]+"), "removed", invert=True, drops_blanks=True)
    ],
    "Punctuation": lambda part: [Split(SplitPattern(_MARK), behavior(part))],
    "Digits": lambda part: [
        Split(SplitPattern(r"\p{N}"), "isolated" if part.get("individual_digits") else "contiguous")
    ],
    "CharDelimiterSplit": lambda part: [Split(SplitPattern(re.escape(part["delimiter"])), "removed")],
    "Split": _split,
    "Metaspace": _metaspace,
}


# Models -----------------------------------------------------------------------------------------------------------


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


TELLING = {"merges": "BPE", "max_input_chars_per_word": "WordPiece", "unk_id": "Unigram"}
MODELS = {"BPE": _byte_pairs, "WordPiece": _word_piece, "WordLevel": _word_level, "Unigram": _unigram}


# Decoders ---------------------------------------------------------------------------------------------------------


def _substitute(part: Part) -> Substitute:
    pattern = _pattern(part["pattern"])
    return Substitute(SplitPattern(re.escape(pattern)) if isinstance(pattern, str) else pattern, part["content"])


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
