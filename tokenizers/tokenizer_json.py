"""`tokenizer.json`: a tokenizer as a whole, in the form of the Rust library. What is not known here is an error that
names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import Diagnostic, Place, TokenizerError
from .added_tokens import AddedToken
from .byte_level import BlankTrimmer, ByteLevelWords
from .chain_pipeline import ChainPipeline
from .components import assembled
from .configuration import SETTINGS, check_options, extra_tokens, settings_of, stored_options
from .decoder_chain import DecoderChain
from .json_parts import (
    DECODERS,
    MODELS,
    NAME,
    NORMALIZERS,
    PRE_TOKENIZERS,
    TELLING,
    Part,
    behavior,
    check_types,
    found_in,
)
from .normal_forms import Chain
from .normalizer import BasicNormalizer
from .pipeline import Pipeline, Unchanged
from .pre_tokenizer import WhitespacePunctuation
from .template import Template, TemplatePiece
from .tokenizer import Tokenizer
from .vocabulary import EXTRA, ROLES, Vocabulary
from .vocabulary_files import VocabularyData, read_json
from .word_chain import WordChain


def read_tokenizer(
    path: Path, found: Mapping[str, Path], options: Mapping[str, Any], section: Mapping[str, Any] | None = None
) -> Tokenizer:
    """The tokenizer in a file, with the configuration files that were `found` beside it. Of a spec's section the
    special tokens and what calls fall back on count where the files say nothing."""
    section = section or {}
    check_options(options, (*ROLES, *EXTRA, *SETTINGS), f"a tokenizer of `{NAME}`")
    data = read_json(path)
    stored = stored_options(found)
    try:
        return _built(data, {**stored, **options}, stored, section)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as problem:
        raise TokenizerError(Diagnostic(
            f"the tokenizer is damaged: {type(problem).__name__} {problem}"[:200], Place(str(path))
        )) from None


def _built(
    data: dict[str, Any], settings: Mapping[str, Any], stored: Mapping[str, Any], section: Mapping[str, Any]
) -> Tokenizer:
    for slot in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        check_types(data.get(slot))
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
    vocabulary.add_special({EXTRA[0]: [
        vocabulary.added.by_id.get(vocabulary.id_of(str(AddedToken.of(token))), token)
        for token in extra_tokens(settings)
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


def _normalizer(part: Part | None) -> Any:
    parts = [found_in(NORMALIZERS, each, "normalizer")(each) for each in _parts(part, "normalizer", "normalizers")]
    return parts[0] if len(parts) == 1 else Chain(parts) if parts else Unchanged()


def _uses_bytes(part: Part | None) -> bool:
    return any(each.get("type") == "ByteLevel" for each in _parts(part, "pre-tokenizer", "pretokenizers"))


def _pipeline(normalizer: Any, part: Part | None, model: Any, trim: BlankTrimmer | None) -> Pipeline:
    parts = _parts(part, "pre-tokenizer", "pretokenizers")
    kinds = [each.get("type") for each in parts]
    if kinds == ["BertPreTokenizer"] and isinstance(normalizer, BasicNormalizer):
        return assembled(normalizer, WhitespacePunctuation(), model)
    last = parts[-1] if parts else {}
    if kinds == ["ByteLevel"] and last.get("use_regex", True):
        words = ByteLevelWords(add_prefix_space=last.get("add_prefix_space", True))
    elif kinds == ["Split", "ByteLevel"] and _is_pattern(parts[0]) and not (
        last.get("use_regex", True) or last.get("add_prefix_space", True)
    ):
        words = ByteLevelWords(pattern=parts[0]["pattern"]["Regex"])
    else:
        steps = [step for each in parts for step in found_in(PRE_TOKENIZERS, each, "pre-tokenizer")(each)]
        words = WordChain(steps, trim)
        return ChainPipeline(normalizer, words, model) if trim is None else assembled(normalizer, words, model)
    words.trim = trim
    return assembled(normalizer, words, model)


def _is_pattern(part: Part) -> bool:
    return "Regex" in part["pattern"] and behavior(part) == "isolated" and not part.get("invert", False)


def _model(part: Part, byte_level: bool) -> tuple[dict[str, int], Any]:
    kind = part.get("type")
    if kind is None:  # files of the first releases do not say
        kind = next((name for key, name in TELLING.items() if key in part), "WordLevel")
    model = found_in(MODELS, {"type": kind}, "model")(part, byte_level)
    if byte_level and kind != "BPE":
        raise TokenizerError(f"the pre-tokenizer `ByteLevel` before the model `{kind}` in {NAME} is not supported")
    return model


def _processor(part: Part | None) -> tuple[Template, BlankTrimmer | None]:
    template, trim = Template(), None
    for each in _parts(part, "post-processor", "processors"):
        template = found_in(PROCESSORS, each, "post-processor")(each) or template
        if each["type"] in _TRIMMING and each.get("trim_offsets", True):
            trim = BlankTrimmer(each.get("add_prefix_space", True))
    return template, trim


def _framed(part: Part) -> list[TemplatePiece]:
    return [TemplatePiece(0, token=part["cls"][0]), TemplatePiece(0, 0), TemplatePiece(0, token=part["sep"][0])]


def _one_between(part: Part) -> Template:
    single = _framed(part)
    return Template.of(single, [*single, TemplatePiece(1, 1), TemplatePiece(1, token=part["sep"][0])])


def _two_between(part: Part) -> Template:
    single = _framed(part)
    return Template.of(single, [*single, single[-1], TemplatePiece(0, 1), single[-1]])


def _as_written(part: Part) -> Template:
    return Template.of(_places(part["single"], part), _places(part["pair"], part))


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


PROCESSORS: dict[str, Callable[[Part], Template | None]] = {
    "TemplateProcessing": _as_written, "BertProcessing": _one_between, "RobertaProcessing": _two_between,
    "ByteLevel": lambda part: None,
}
_TRIMMING = ("ByteLevel", "RobertaProcessing")


def _decoder(part: Part | None) -> DecoderChain:
    parts = _parts(part, "decoder", "decoders")
    return DecoderChain([found_in(DECODERS, each, "decoder")(each) for each in parts], "" if parts else " ")
