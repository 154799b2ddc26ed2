"""A batch gives what its texts give one by one, and both what the Rust reference gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_texts import TEXTS

import modelwright as mw
from modelwright.tokenizers import Tokenizer, build_tokenizer, open_tokenizer
from modelwright.tokenizers.bpe import BytePairs
from modelwright.tokenizers.byte_alphabet import ALPHABET

reference = pytest.importorskip("tokenizers")

MIXED = [
    "", " ", "\n \t\u3000", "The house, the house.", "水火は日本語の文です。", "한국어 ไทย हिन्दी عربي",
    "😀👩🏽\u200d🚀 ⚑\ufe0f", "The house, the house.", "a" * 90, "ab水" * 500, "É e\u0301 \x00 \x85",
    "  two  blanks  ", "x\n\ny\r\nz", "İstanbul ΣΑΣ", *TEXTS,
]  # fmt: skip
SPECIALS = {
    "roberta-base": ["<s>", "<mask>", "</s>", "<pad>"], "t5-small": ["</s>", "<extra_id_0>", "<extra_id_99>"],
    "bert-base-uncased": ["[SEP]", "[MASK]", "[UNK]"],
}  # fmt: skip


def with_specials(tokens: list[str]) -> list[str]:
    first, *others = tokens
    more = ["".join(tokens), f"a {first}b{first} ", f"{first} 水", *(f"the {token}." for token in others)]
    return [*MIXED, first, *more]


def word_piece(folder: Path) -> Any:
    made = reference.Tokenizer(reference.models.WordPiece.from_file(str(folder / "vocab.txt"), unk_token="[UNK]"))
    made.normalizer = reference.normalizers.BertNormalizer()
    made.pre_tokenizer = reference.pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    made.post_processor = reference.processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    return made


@pytest.mark.parametrize("name", SPECIALS)
def test_batches(shared_data: Path, name: str) -> None:
    folder = shared_data / "tokenizers" / name
    batch = with_specials(SPECIALS[name])
    if name == "bert-base-uncased":
        section = mw.load_spec("bert").tokenizer_section()
        theirs, make = word_piece(folder), lambda: build_tokenizer(section, folder)
    else:
        theirs = reference.Tokenizer.from_file(str(folder / "tokenizer.json"))
        theirs.no_padding()
        theirs.no_truncation()
        make = lambda: open_tokenizer(folder / "tokenizer.json")  # noqa: E731
    wanted = theirs.encode_batch(batch)
    check_ids(make, batch, [each.ids for each in wanted])
    ours = make()
    for _ in range(2):  # the second time from the caches
        got = ours(batch, return_offsets_mapping=True, return_special_tokens_mask=True)
        assert got.input_ids == [each.ids for each in wanted]
        assert got.offset_mapping == [each.offsets for each in wanted]
        assert got.special_tokens_mask == [each.special_tokens_mask for each in wanted]
        assert [got.word_ids(row) for row in range(len(batch))] == [each.word_ids for each in wanted]


def test_batches_of_sentencepiece(shared_data: Path) -> None:
    """Special tokens as in the Rust library, all other text as in sentencepiece."""
    folder, specials = shared_data / "tokenizers" / "t5-base", SPECIALS["t5-small"]
    section = mw.load_spec("t5").tokenizer_section()
    rust = reference.Tokenizer.from_file(str(folder.with_name("t5-small") / "tokenizer.json"))
    rust.no_padding()
    rust.no_truncation()
    library = pytest.importorskip("sentencepiece").SentencePieceProcessor(str(folder / "spiece.model"))
    batch = with_specials(specials)
    wanted = [
        rust.encode(text).ids if any(token in text for token in specials) else [*library.encode(text), 1]
        for text in batch
    ]
    check_ids(lambda: build_tokenizer(section, folder), batch, wanted)


def check_ids(make: Callable[[], Tokenizer], batch: list[str], wanted: list[list[int]]) -> None:
    """A new tokenizer for each way, so that none has what another one has found."""
    together, alone, detailed = make(), make(), make()
    assert together(batch).input_ids == wanted == together(batch).input_ids
    for text, ids in zip(batch, wanted, strict=True):
        assert alone(text).input_ids == ids, text
    assert detailed(batch, return_offsets_mapping=True).input_ids == wanted
    words = [["a", text, "水"] for text in batch]
    singly = [alone(each, is_split_into_words=True).input_ids for each in words]
    assert together(words, is_split_into_words=True).input_ids == singly


SIGNS = "水火土éжд🚀 ab"


@settings(max_examples=200, deadline=None)
@given(
    learnt_from=st.lists(st.text(SIGNS, min_size=2, max_size=6), min_size=4, max_size=20),
    words=st.lists(st.text(SIGNS, min_size=1, max_size=40), min_size=1, max_size=5),
)
def test_characters_of_several_bytes_meet_as_if_bytes_had_merged(learnt_from: list[str], words: list[str]) -> None:
    theirs = reference.Tokenizer(reference.models.BPE())
    theirs.pre_tokenizer = reference.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    theirs.train_from_iterator(
        learnt_from * 3, reference.trainers.BpeTrainer(vocab_size=330, show_progress=False, initial_alphabet=ALPHABET)
    )
    model = json.loads(theirs.to_str())["model"]
    ours = BytePairs(model["vocab"], merges=list(map(tuple, model["merges"])), byte_level=True)
    for word in words:
        wanted = theirs.encode(word)
        assert ours.ids(word) == tuple(wanted.ids) and ours.cut(word) == (tuple(wanted.ids), tuple(wanted.offsets))


def test_words_without_tokens_are_counted(tmp_path: Path) -> None:
    """They have numbers, also before a special token."""
    theirs = reference.Tokenizer(reference.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    theirs.pre_tokenizer = reference.pre_tokenizers.Whitespace()
    theirs.add_special_tokens(["<x>"])
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = open_tokenizer(tmp_path / "tokenizer.json")
    for text in ("ab z ab", "ab z<x>ab", "z<x> z ab z <x>", "z", "<x>z z<x>"):
        wanted = theirs.encode(text)
        got = ours(text, return_offsets_mapping=True)
        assert (got.input_ids, got.offset_mapping, got.word_ids()) == (wanted.ids, wanted.offsets, wanted.word_ids)
