"""What a `tokenizer:` section may name, by slot and `type`; the keys beside `type` are arguments of the class."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import Diagnostic, TokenizerError, did_you_mean
from .bpe import BytePairs
from .byte_level import ByteLevelWords
from .byte_pipeline import BytePipeline
from .chunks import ChunkPipeline
from .decoder import BlankDecoder, ByteLevelDecoder, JoinedDecoder, SuffixDecoder, WordPieceDecoder
from .moses import MosesWords
from .moses_decoder import MosesDecoder
from .normalizer import BasicNormalizer
from .pipeline import Pipeline, TextPipeline, Unchanged, WordPipeline
from .pre_tokenizer import PatternWords, WhitespacePunctuation
from .sentence_piece import SentencePiece, SentencePieceDecoder
from .tidy import TidyNormalizer
from .word_level import WordLevel
from .wordpiece import WordPiece

COMPONENTS: dict[str, dict[str, type]] = {
    "model": {
        "wordpiece": WordPiece, "bpe": BytePairs, "sentencepiece": SentencePiece, "word_level": WordLevel,
    },
    "normalizer": {"none": Unchanged, "basic": BasicNormalizer, "tidy": TidyNormalizer},
    "pre_tokenizer": {
        "whitespace_punctuation": WhitespacePunctuation, "byte_level": ByteLevelWords, "pattern": PatternWords,
        "moses": MosesWords,
    },
    "decoder": {
        "wordpiece": WordPieceDecoder, "byte_level": ByteLevelDecoder, "suffix": SuffixDecoder,
        "moses": MosesDecoder, "blank": BlankDecoder, "joined": JoinedDecoder, "sentencepiece": SentencePieceDecoder,
    },
}


def component(slot: str, section: Mapping[str, Any], **given: Any) -> Any:
    """The part of a tokenizer that `section[slot]` describes. It is also given what it asks for of `given`."""
    values = dict(section[slot])
    kind = values.pop("type", None)
    made = COMPONENTS[slot].get(kind)
    if made is None:
        raise TokenizerError(
            f"`tokenizer.{slot}` has no type `{kind}`", help=did_you_mean(str(kind), COMPONENTS[slot])
        )
    parameters = inspect.signature(made).parameters if made.__init__ is not object.__init__ else {}
    allowed = [name for name in parameters if name not in given]
    unknown = [name for name in values if name not in allowed]
    if unknown:
        raise TokenizerError(*(
            Diagnostic(f"unknown key `{name}` in `tokenizer.{slot}`", help=did_you_mean(name, allowed))
            for name in unknown
        ))
    return made(**values, **{name: value for name, value in given.items() if name in parameters})


def assembled(normalizer: Any, pre_tokenizer: Any, model: Any) -> Pipeline:
    """The pipeline that fits the parts."""
    if pre_tokenizer is None:
        if not hasattr(model, "details"):
            raise TokenizerError("this model needs a `tokenizer.pre_tokenizer`")
        return TextPipeline(normalizer, model)
    if isinstance(pre_tokenizer, WhitespacePunctuation) and isinstance(normalizer, BasicNormalizer):
        return ChunkPipeline(normalizer, pre_tokenizer, model)
    if isinstance(pre_tokenizer, ByteLevelWords) and isinstance(model, BytePairs) and (pieces := model.byte_pieces):
        return BytePipeline(normalizer, pre_tokenizer, model, pieces)
    return WordPipeline(normalizer, pre_tokenizer, model)
