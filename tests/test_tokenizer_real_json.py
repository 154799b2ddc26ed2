"""tokenizer.json files of real vocabularies against the Rust library: T5's, and one of Llama's kind, made of the pieces
of its SentencePiece model."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_texts import TEXTS, real_texts

import modelwright as mw
from modelwright.tokenizers import Tokenizer, build_tokenizer, open_tokenizer
from modelwright.tokenizers.character_map import Precompiled
from modelwright.tokenizers.unigram import Unigram

reference = pytest.importorskip("tokenizers")
sentencepiece = pytest.importorskip("sentencepiece")

GRAPHEMES = [
    *"ab   \r\n\té", "\r\n", "\u0301", "\u0600", "\u0e33", "\u0e01", "\u200d", "😀", "\U0001f1e9", "\u1100",
    "\u1161", "ﬁ", "½", "\u3000", "\xa0", "\u0903", "क", "\xad",
]  # fmt: skip

P = reference.pre_tokenizers
CHAINS = {
    "blanks": [P.Metaspace()],
    "first blank": [P.Metaspace(prepend_scheme="first", split=False)],
    "words": [P.WhitespaceSplit(), P.Metaspace()],
    "digits": [P.WhitespaceSplit(), P.Digits(individual_digits=True), P.Metaspace()],
    "marks": [P.WhitespaceSplit(), P.Punctuation("merged_with_next"), P.Metaspace(prepend_scheme="never")],
    "two in front": [P.WhitespaceSplit(), P.Metaspace(), P.Metaspace(replacement="-"), P.Digits()],
}


def made(file: Path) -> Any:
    """Merges are all pairs of pieces that make a piece: by the score of what they make, then by that of the left and
    of the right one."""
    model = sentencepiece.SentencePieceProcessor(str(file))
    pieces = [model.id_to_piece(number) for number in range(model.get_piece_size())]
    ids = {piece: number for number, piece in enumerate(pieces)}
    merges = []
    for number, piece in enumerate(pieces):
        parts = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        found = [(ids[left], ids[right], left, right) for left, right in parts if left in ids and right in ids]
        merges += [(-model.get_score(number), *each[:2], *each[2:]) for each in sorted(found)]
    merges.sort(key=lambda merge: merge[0])
    rust = reference.Tokenizer(reference.models.BPE(
        ids, [merge[3:] for merge in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True
    ))
    normalizers, decoders = reference.normalizers, reference.decoders
    rust.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    rust.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)
    ])
    rust.post_processor = reference.processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", ids["<s>"])]
    )
    rust.add_special_tokens([
        reference.AddedToken(token, normalized=False, special=True) for token in ("<unk>", "<s>", "</s>")
    ])
    return rust


@pytest.fixture(scope="module")
def both(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Tokenizer]:
    rust = made(shared_data / "tokenizers" / "llama" / "tokenizer.model")
    file = tmp_path_factory.mktemp("llama") / "tokenizer.json"
    rust.save(str(file))
    return rust, open_tokenizer(file)


@pytest.fixture(scope="module")
def t5(shared_data: Path) -> tuple[Any, Tokenizer]:
    file = shared_data / "tokenizers" / "t5-small" / "tokenizer.json"
    return reference.Tokenizer.from_file(str(file)), open_tokenizer(file)


@pytest.fixture(scope="module")
def characters(t5: tuple[Any, Tokenizer]) -> tuple[Precompiled, Any]:
    """The character map of T5, ours and theirs."""
    part = json.loads(t5[0].to_str())["normalizer"]
    part = next(each for each in part.get("normalizers", [part]) if each["type"] == "Precompiled")
    data = base64.b64decode(part["precompiled_charsmap"])
    return Precompiled(data), reference.normalizers.Precompiled(data)


def test_ids_offsets_and_text(shared_data: Path, both: tuple[Any, Tokenizer]) -> None:
    rust, ours = both
    texts = [*TEXTS, *real_texts(shared_data)]
    for text, theirs in zip(texts, rust.encode_batch(texts), strict=True):
        found = ours(text, return_offsets_mapping=True)
        assert found["input_ids"] == theirs.ids, text
        assert found["offset_mapping"] == theirs.offsets, text
        for skip in (False, True):
            assert ours.decode(theirs.ids, skip_special_tokens=skip) == rust.decode(theirs.ids, skip), text


def test_pairs(both: tuple[Any, Tokenizer]) -> None:
    rust, ours = both
    for text, other in zip(TEXTS, TEXTS[1:], strict=False):
        theirs, found = rust.encode(text, other), ours(text, other, return_offsets_mapping=True)
        assert (found["input_ids"], found["offset_mapping"]) == (theirs.ids, theirs.offsets), (text, other)


def test_ids_are_those_of_the_library(shared_data: Path, both: tuple[Any, Tokenizer]) -> None:
    model = sentencepiece.SentencePieceProcessor(str(shared_data / "tokenizers" / "llama" / "tokenizer.model"))
    texts = [text for text in real_texts(shared_data)[:2000] if "<" not in text]
    assert both[1](texts, add_special_tokens=False)["input_ids"] == model.encode(texts)


def test_t5_from_its_model_decodes_as_the_published_file_does(shared_data: Path, t5: tuple[Any, Tokenizer]) -> None:
    """The Python tokenizer of transformers 4.46.3 has "a<unk> b</s>" here, and "b" (docs/tokenizers.md)."""
    ours = build_tokenizer(mw.load_spec("t5").tokenizer_section(), shared_data / "tokenizers" / "t5-base")
    for text in real_texts(shared_data):
        ids = ours.encode(text)
        for skip in (False, True):
            assert ours.decode(ids, skip_special_tokens=skip) == t5[0].decode(ids, skip), text
    assert ours.decode(ours.encode("a水b")) == "a<unk>b</s>"
    assert ours.decode(ours.encode("水 b"), skip_special_tokens=True) == " b"


@given(st.lists(st.sampled_from(GRAPHEMES), max_size=12).map("".join))
def test_character_maps_see_graphemes(
    t5: tuple[Any, Tokenizer], characters: tuple[Precompiled, Any], text: str
) -> None:
    """Whatever stands between blanks is looked up by itself only where no grapheme reaches across."""
    rust, ours = t5
    theirs, found = rust.encode(text), ours(text, return_offsets_mapping=True)
    assert (found["input_ids"], found["offset_mapping"]) == (theirs.ids, theirs.offsets)
    mapped, wanted = characters
    assert mapped.normalize(text) == mapped.align(text)[0] == wanted.normalize_str(text)


@pytest.fixture(scope="module")
def chains(t5: tuple[Any, Tokenizer], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Tokenizer]]:
    """T5's with other pre-tokenizers behind its character map."""
    found = []
    for steps in CHAINS.values():
        rust = reference.Tokenizer.from_str(t5[0].to_str())
        rust.pre_tokenizer = P.Sequence(steps)
        rust.save(str(file := tmp_path_factory.mktemp("chain") / "tokenizer.json"))
        found.append((rust, open_tokenizer(file)))
    return found


PARTS = [*GRAPHEMES, "the", "ing", "12", "3!", "“", "▁", "水", "</s>"]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_chains_of_pre_tokenizers(chains: list[tuple[Any, Tokenizer]], text: str) -> None:
    """Also what is seen for the second time, and what stands behind an added token."""
    for (rust, ours), steps in zip(chains, CHAINS, strict=True):
        theirs = rust.encode(text)
        for _ in range(2):
            found = ours(text, return_offsets_mapping=True)
            assert (found["input_ids"], found["offset_mapping"]) == (theirs.ids, theirs.offsets), steps
            assert ours(text)["input_ids"] == theirs.ids, steps


def test_chains_on_real_texts(shared_data: Path, chains: list[tuple[Any, Tokenizer]]) -> None:
    texts = real_texts(shared_data)[::7]
    for (rust, ours), steps in zip(chains, CHAINS, strict=True):
        for text, theirs in zip(texts, rust.encode_batch(texts), strict=True):
            found = ours(text, return_offsets_mapping=True)
            assert (found["input_ids"], found["offset_mapping"]) == (theirs.ids, theirs.offsets), (steps, text)
            assert ours(text)["input_ids"] == theirs.ids, (steps, text)


SCORED = st.dictionaries(
    st.text("abcé", min_size=1, max_size=4), st.sampled_from([-0.1, -0.3, -1.0, -2.0]), min_size=1, max_size=12
)


@given(SCORED, st.booleans(), st.text("abcédx", max_size=14))
def test_unigram_with_ties(scored: dict[str, float], fallback: bool, word: str) -> None:
    bytes_ = {f"<0x{byte:02X}>": -0.5 for byte in range(256) if byte != ord("x")} if fallback else {}
    pieces = [("<unk>", -3.0), *scored.items(), *bytes_.items()]
    theirs = reference.models.Unigram(pieces, 0, fallback).tokenize(word)
    ours = Unigram(pieces, unknown=0, byte_fallback=fallback)
    wanted = tuple(token.id for token in theirs)
    assert ours.ids(word) == wanted
    assert ours.cut(word)[0] == wanted
