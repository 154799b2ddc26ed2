"""What was seen before is looked up: in a batch each word is cut once, and what stands between blanks is not even cut
into words again. Calls are counted, nothing is timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelwright.tokenizers.added_tokens import AddedToken, AddedVocabulary
from modelwright.tokenizers.bpe import BytePairs
from modelwright.tokenizers.byte_alphabet import ALPHABET
from modelwright.tokenizers.byte_level import ByteLevelWords
from modelwright.tokenizers.byte_pipeline import BytePipeline
from modelwright.tokenizers.chain_pipeline import ChainPipeline
from modelwright.tokenizers.character_map import Precompiled
from modelwright.tokenizers.chunks import ChunkPipeline
from modelwright.tokenizers.normalizer import BasicNormalizer
from modelwright.tokenizers.pipeline import Unchanged, WordPipeline
from modelwright.tokenizers.pre_tokenizer import WhitespacePunctuation
from modelwright.tokenizers.sequence import TextEncoder
from modelwright.tokenizers.split_patterns import SplitPattern
from modelwright.tokenizers.unigram import Unigram
from modelwright.tokenizers.word_chain import Blanks, Split, WordChain
from modelwright.tokenizers.wordpiece import WordPiece

WORDS = [f"{first}{second}" for first in "abcdefgh" for second in "abcdefgh"]
BATCH = [" ".join(WORDS[(7 * text + place) % 64] for place in range(20)) for text in range(40)]
EMPTY = bytes(4)  # a character map that changes nothing
LETTERS = {letter: number for number, letter in enumerate(ALPHABET)}


class Watched:
    """A part of a pipeline that notes what it is asked with: words of a model, texts of what comes before it."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self.calls = 0
        self.seen: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def asked(what: Any, *more: Any) -> Any:
            self.calls += 1
            self.seen += [what] if isinstance(what, str) else what
            return found(what, *more)

        return asked


def word_piece() -> WordPiece:
    pieces = ["[UNK]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
    return WordPiece({piece: number for number, piece in enumerate(pieces)})


def unigram() -> Unigram:
    return Unigram([("<unk>", 0.0), *((letter, -2.0) for letter in "\u2581abcdefgh")], unknown=0)


def at_spaces(*steps: Any) -> WordChain:
    return WordChain([Split(SplitPattern(r"\S+"), "removed", invert=True, drops_blanks=True), *steps])


def chunks() -> tuple[Any, Watched]:
    model = Watched(word_piece())
    return ChunkPipeline(BasicNormalizer(), WhitespacePunctuation(), model), model


def byte_level() -> tuple[Any, Watched]:
    pairs = BytePairs(LETTERS, merges=[], byte_level=True)
    model = Watched(pairs)
    return BytePipeline(Unchanged(), ByteLevelWords(), model, pairs.byte_pieces), model


def words() -> tuple[Any, Watched]:
    model = Watched(BytePairs(LETTERS, merges=[], byte_level=True))
    return WordPipeline(Unchanged(), ByteLevelWords(), model), model


def stretches() -> tuple[Any, Watched]:
    model = Watched(unigram())
    return ChainPipeline(Precompiled(EMPTY), at_spaces(Blanks("\u2581", "always", True)), model), model


MAKERS: list[Callable[[], tuple[Any, Watched]]] = [chunks, byte_level, words, stretches]
TOKENS = {
    "none": [], "raw": [AddedToken("<x>", special=True)], "normalized": [AddedToken("<x>", normalized=True)],
}  # fmt: skip


def encoder(pipeline: Any, tokens: list[AddedToken]) -> TextEncoder:
    added = AddedVocabulary(pipeline.normalizer.normalize)
    added.add((1000 + number, token) for number, token in enumerate(tokens))
    return TextEncoder(pipeline, added)


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_each_word_is_cut_once(make: Callable[[], tuple[Any, Watched]], tokens: str) -> None:
    batch = [text.replace(" ", " <x> ", 3) for text in BATCH] if tokens != "none" else BATCH
    for what in ("many_ids", "details"):
        pipeline, model = make()
        made = encoder(pipeline, TOKENS[tokens])
        run = made.many_ids if what == "many_ids" else lambda texts, made=made: list(map(made.details, texts))
        run(batch)
        once = list(model.seen)
        assert set(WORDS) <= {word.strip(" \u2581") for word in once} and len(once) == len(set(once)), what
        run(batch[::-1])
        assert model.seen == once, what


@pytest.mark.parametrize("make", [byte_level, words], ids=lambda make: make.__name__)
def test_new_words_of_several_texts_are_cut_together(make: Callable[[], tuple[Any, Watched]]) -> None:
    pipeline, model = make()
    encoder(pipeline, []).many_ids(BATCH)
    assert 0 < model.calls <= len(BATCH) / 10


@pytest.mark.parametrize("what", ["ids", "details"])
def test_stretches_between_blanks_are_looked_up_as_a_whole(what: str) -> None:
    """So that a text that was seen is neither normalized nor cut into words."""
    normalizer, chain = Watched(Precompiled(EMPTY)), Watched(at_spaces(Blanks("\u2581", "always", True)))
    basic = chunks()[0]
    cut: list[str] = []
    split, basic._split = basic._split, lambda line: cut.append(line) or split(line)
    for pipeline, seen in (
        (ChainPipeline(normalizer, chain, unigram()), (normalizer.seen, chain.seen)), (basic, (cut,))
    ):
        made = encoder(pipeline, [])
        run = made.many_ids if what == "ids" else lambda texts, made=made: list(map(made.details, texts))
        run(BATCH)
        once = [len(each) for each in seen]
        run(BATCH[::-1])
        assert min(once) >= len(WORDS) and [len(each) for each in seen] == once
