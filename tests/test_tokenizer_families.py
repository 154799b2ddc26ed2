"""Each family's tokenizer against the reference of its kind: Rust in this process, Python by golden files, the
sentencepiece library itself."""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_texts import TEXTS, digests, real_texts

import modelwright as mw
from modelwright.errors import TokenizerError
from modelwright.tokenizers import Tokenizer, build_tokenizer
from modelwright.tokenizers.bpe import BytePairs
from modelwright.tokenizers.bpe_derivation import Derivation
from modelwright.tokenizers.bpe_merges import Merges
from modelwright.tokenizers.bpe_walk import Walk
from modelwright.tokenizers.byte_alphabet import ALPHABET
from modelwright.tokenizers.cuts import bounds_of

reference = pytest.importorskip("tokenizers")
sentencepiece = pytest.importorskip("sentencepiece")

GOLDEN = Path(__file__).parent / "golden" / "python_tokenizers"
PARTS = [
    *"abcth A É\n\t.,!?9", " the", "house", "'s", "'ll", "  ", "é", "\u0301", "\u200d", "水", "火", "ع",
    "😀", "👩🏽", "\U00020000", "<mask>", "<s>", "</s>", "\u3000", "\x1c", "\x85", "ß", "İ", "Σ", "¼", "Ⅷ", "_", "-",
    "\ufffd", "\U0001e5f0",
]  # fmt: skip
ANY_TEXT = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=30).map("".join), st.text(st.characters(codec="utf-8"), max_size=40)
)


def section(spec: str) -> dict[str, Any]:
    return mw.load_spec(spec).tokenizer_section()


def case(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


# Python tokenizers ------------------------------------------------------------------------------------------------


def compare(ours: Tokenizer, texts: list[str], wanted: str) -> None:
    got = digests(ours, texts).split()
    wrong = [text for text, a, b in zip(texts, got, wanted.split(), strict=True) if a != b]
    assert not wrong, f"{len(wrong)} of {len(texts)} texts, such as {wrong[0][:200]!r}: {ours.tokenize(wrong[0][:200])}"


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*/case.json")), ids=lambda file: file.parent.name)
def test_python_reference(file: Path, tmp_path: Path) -> None:
    wanted = case(file)
    ours = build_tokenizer(section(wanted["spec"]), file.parent, **wanted["options"])
    compare(ours, TEXTS, wanted["digests"])
    assert all(ours(text, return_offsets_mapping=True).input_ids == ours(text).input_ids for text in TEXTS)
    ours.save(tmp_path)
    compare(build_tokenizer(section(wanted["spec"]), tmp_path), TEXTS, wanted["digests"])


@pytest.mark.parametrize("index", range(8))
def test_python_reference_on_real_vocabularies(shared_data: Path, index: int) -> None:
    wanted = case(GOLDEN / "real.json")[index]
    folder = shared_data / "tokenizers" / wanted["folder"]
    ours = build_tokenizer(section(wanted["spec"]), folder, **wanted["options"])
    compare(ours, real_texts(shared_data), wanted["digests"])


# Rust tokenizers --------------------------------------------------------------------------------------------------


def learnt(texts: list[str], size: int, **options: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A small vocabulary and its merges, made by the reference."""
    trainer = reference.trainers.BpeTrainer(vocab_size=size, show_progress=False, **options)
    model = reference.Tokenizer(reference.models.BPE())
    if "end_of_word_suffix" in options:
        model.normalizer = reference.normalizers.BertNormalizer()
        model.pre_tokenizer = reference.pre_tokenizers.BertPreTokenizer()
    else:
        model.pre_tokenizer = reference.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.train_from_iterator(texts, trainer)
    state = json.loads(model.to_str())["model"]
    return state["vocab"], [tuple(m.split(" ") if isinstance(m, str) else m) for m in state["merges"]]


def write(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Path:
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    return folder


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    made = learnt(TEXTS * 3, 420, special_tokens=special, initial_alphabet=ALPHABET)
    return write(tmp_path_factory.mktemp("byte-level"), *made)


@pytest.fixture(scope="module")
def word_ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = learnt(TEXTS * 3, 300, special_tokens=["<unk>"], end_of_word_suffix="</w>")
    return write(tmp_path_factory.mktemp("word-ends"), *made)


def rust(spec: str, vocab: Path, merges: Path, prefix: bool, trim: bool) -> Any:
    """The reference as its own converters put it together."""
    ids = json.loads(vocab.read_text(encoding="utf-8"))
    lines = merges.read_text(encoding="utf-8").split("\n")
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    processors = reference.processors
    if spec == "gpt":
        model = reference.models.BPE(ids, pairs, unk_token="<unk>", end_of_word_suffix="</w>")
        made = reference.Tokenizer(model)
        made.normalizer = reference.normalizers.BertNormalizer()
        made.pre_tokenizer = reference.pre_tokenizers.BertPreTokenizer()
        made.decoder = reference.decoders.BPEDecoder(suffix="</w>")
        made.add_special_tokens(["<unk>"])
        return made
    made = reference.Tokenizer(reference.models.BPE(ids, pairs))
    made.pre_tokenizer = reference.pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    made.decoder = reference.decoders.ByteLevel()
    if spec == "gpt2":
        made.post_processor = processors.ByteLevel(trim_offsets=False)
        made.add_special_tokens(["<|endoftext|>"])
    else:
        made.post_processor = processors.RobertaProcessing(
            ("</s>", ids["</s>"]), ("<s>", ids["<s>"]), trim, prefix
        )
        made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
        made.add_special_tokens([reference.AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    return made


def agree(ours: Tokenizer, theirs: Any, text: str, other: str | None = None) -> None:
    wanted = theirs.encode(text, other)
    got = ours(text, other, return_offsets_mapping=True, return_special_tokens_mask=True)
    assert got.input_ids == wanted.ids == ours(text, other).input_ids, text
    assert got.offset_mapping == wanted.offsets, text
    assert got.word_ids() == wanted.word_ids, text
    assert got.special_tokens_mask == wanted.special_tokens_mask
    for skip in (False, True):
        assert ours.decode(wanted.ids, skip_special_tokens=skip) == theirs.decode(wanted.ids, skip_special_tokens=skip)


CONFIGURATIONS = [
    ("gpt2", {}), ("gpt2", {"add_prefix_space": True}), ("roberta", {}), ("roberta", {"add_prefix_space": True}),
    ("roberta", {"trim_offsets": False}), ("bart", {}), ("gpt", {}),
]  # fmt: skip


@pytest.mark.parametrize("spec, options", CONFIGURATIONS, ids=str)
def test_rust_reference(byte_level: Path, word_ends: Path, spec: str, options: dict[str, bool]) -> None:
    folder = word_ends if spec == "gpt" else byte_level
    ours = build_tokenizer(section(spec), folder, **options)
    theirs = rust(
        spec, folder / "vocab.json", folder / "merges.txt", options.get("add_prefix_space", False),
        options.get("trim_offsets", True),
    )
    for index, text in enumerate([*TEXTS, "\n".join(TEXTS)]):
        agree(ours, theirs, text)
        if text:
            agree(ours, theirs, TEXTS[index - 1], text)

    @settings(max_examples=150, deadline=None)
    @given(ANY_TEXT)
    def check(text: str) -> None:
        agree(ours, theirs, text)

    check()


@pytest.mark.parametrize("spec, folder, vocab, merges", [
    ("gpt2", "gpt2", "encoder.json", "vocab.bpe"), ("roberta", "roberta-base", "vocab.json", "merges.txt"),
    ("gpt", "openai-gpt", "encoder_bpe_40000.json", "vocab_40000.bpe"),
])
def test_rust_reference_on_real_vocabularies(
    shared_data: Path, tmp_path: Path, spec: str, folder: str, vocab: str, merges: str
) -> None:
    home = shared_data / "tokenizers" / folder
    ours, theirs = build_tokenizer(section(spec), home), rust(spec, home / vocab, home / merges, False, True)
    assert ours.get_vocab() == theirs.get_vocab()
    for text in real_texts(shared_data):
        agree(ours, theirs, text)
    if spec == "roberta":  # the same ids from the files of its authors
        for file in (home / "dict.txt", home.parent / "gpt2" / "encoder.json", home.parent / "gpt2" / "vocab.bpe"):
            (tmp_path / file.name).symlink_to(file)
        assert build_tokenizer(section(spec), tmp_path).get_vocab() == ours.get_vocab()


def test_every_character_is_a_letter_a_number_or_neither(byte_level: Path) -> None:
    """As in the reference, whatever the version of Unicode elsewhere."""
    theirs = reference.pre_tokenizers.ByteLevel(add_prefix_space=False)
    split = build_tokenizer(section("gpt2"), byte_level)._encoder.pipeline.pre_tokenizer.split
    points = [*range(0xD800), *range(0xE000, 0x32400), 0xE0041, 0xF0000]
    for sample in ("a{}1", "1{}_", "{} "):
        text = "".join(sample.format(chr(point)) for point in points)
        spans = [span for _, span in theirs.pre_tokenize_str(text)]
        assert [text[start:end] for start, end in spans] == split(text, True)


# Where it differs ---------------------------------------------------------------------------------------------------


def test_what_is_different_on_purpose(byte_level: Path) -> None:
    """The differences that docs/tokenizers.md lists, and nothing beside them."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.RobertaTokenizer.from_pretrained(byte_level)
    ours = build_tokenizer(section("roberta"), byte_level)
    assert len(ours.encode("a  <mask> b")) == len(theirs("a  <mask> b")["input_ids"]) - 2
    mask = reference.AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    theirs.add_special_tokens({"mask_token": mask})
    assert ours.encode("a  <mask> b") == theirs("a  <mask> b")["input_ids"]
    ids = ours.encode("a , b")
    assert ours.decode(ids) == theirs.decode(ids) == "<s>a , b</s>"
    assert ours.decode(ids, clean_up_tokenization_spaces=True) == "<s>a, b</s>"

    options = {"max_length": 4, "truncation": True, "return_offsets_mapping": True, "return_overflowing_tokens": True}
    prefixed = transformers.RobertaTokenizer.from_pretrained(byte_level, add_prefix_space=True)
    text = "the house the house the house the house"
    got = build_tokenizer(section("roberta"), byte_level, add_prefix_space=True)(text, **options)
    wanted = prefixed(text, **options)
    assert got.input_ids == wanted["input_ids"]
    firsts = {(ours[1], theirs[1]) for ours, theirs in zip(got.offset_mapping, wanted["offset_mapping"], strict=True)}
    assert [row[2:] for row in got.offset_mapping] == [row[2:] for row in wanted["offset_mapping"]]
    moved = {(mine, other) for mine, other in firsts if mine != other}
    assert moved and all(other[0] == mine[0] - 1 for mine, other in moved)


# SentencePiece ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec, folder", [("t5", "t5-base"), ("reformer", "reformer-yeast")])
def test_sentencepiece(shared_data: Path, spec: str, folder: str) -> None:
    ours = build_tokenizer(section(spec), shared_data / "tokenizers" / folder)
    processor = sentencepiece.SentencePieceProcessor(str(shared_data / "tokenizers" / folder / "spiece.model"))
    end = [ours.eos_token_id] if spec == "t5" else []
    for text in real_texts(shared_data):
        if not any(token in text for token in ours.all_special_tokens):
            encoding = ours(text, return_offsets_mapping=True)
            assert encoding.input_ids == ours.encode(text) == processor.encode(text) + end, text
            spans = encoding.offset_mapping
            assert all(0 <= a <= b <= len(text) for a, b in spans)
            assert all(a[0] <= b[0] for a, b in zip(spans[:len(spans) - 2], spans[1:], strict=False))


def test_sentinels(shared_data: Path) -> None:
    ours = build_tokenizer(section("t5"), shared_data / "tokenizers" / "t5-base")
    assert len(ours) == 32100 and ours.vocab_size == 32000
    assert ours.convert_tokens_to_ids(["<extra_id_0>", "<extra_id_99>"]) == [32099, 32000]
    assert ours.encode("Hello <extra_id_0>.") == [8774, 32099, 3, 5, 1]
    assert ours.decode([8774, 32099, 3, 5, 1], skip_special_tokens=True) == "Hello ."
    assert build_tokenizer(section("t5"), shared_data / "tokenizers" / "t5-base", extra_ids=0).encode("a") == [3, 9, 1]


# Words in pickles ---------------------------------------------------------------------------------------------------


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("kind", ["pickle", "zip", "old"])
def test_words_in_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    words = ["<eos>", "<unk>", "the", "house", "<formula>"]
    held = {
        "counter": Counter(words), "sym2idx": OrderedDict((word, i) for i, word in enumerate(words)), "idx2sym": words,
        "never": {"x"}, "pattern": re.compile("a"), "object": Hostile(),
    }
    if kind == "pickle":
        (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(held))
    else:
        torch.save(held, tmp_path / "vocab.bin", _use_new_zipfile_serialization=kind == "zip")
    ours = mw.load_tokenizer(tmp_path, spec="transfo_xl")
    assert ours.get_vocab() == {word: i for i, word in enumerate(words)} and ours.encode("the house is") == [2, 3, 1]
    assert not (tmp_path / "executed").exists()
    ours.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "vocab.txt").read_text().split() == words
    for data in (pickle.dumps({"a": 1}), pickle.dumps(Hostile()), b"", b"junk", pickle.dumps({"idx2sym": [1]})):
        (tmp_path / "vocab.pkl").write_bytes(data)
        (tmp_path / "vocab.bin").unlink(missing_ok=True)
        with pytest.raises(TokenizerError, match="cannot be read"):
            mw.load_tokenizer(tmp_path, spec="transfo_xl")
    assert not (tmp_path / "executed").exists()


# Damaged files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec, files, message", [
    ("gpt2", {"vocab.json": "{}", "merges.txt": ""}, "the vocabulary file is empty"),
    ("gpt2", {"vocab.json": "[]", "merges.txt": ""}, "a JSON object is expected"),
    ("gpt2", {"vocab.json": '{"a": -1}', "merges.txt": ""}, "`a` has no usable id: -1"),
    ("gpt2", {"vocab.json": '{"<|endoftext|>": 0}', "merges.txt": "a b\nab\n"}, "merges.txt:2:1"),
    ("gpt2", {"vocab.json": '{"<|endoftext|>": 0}', "merges.txt": b"\xff"}, "not UTF-8"),
    ("gpt2", {"vocab.json": '{"a": 0}', "merges.txt": ""}, "`<|endoftext|>` (bos_token)"),
    ("gpt2", {"vocab.json": "{}"}, "`vocab.json` + `merges.txt` or `encoder.json` + `vocab.bpe` is not in"),
    ("roberta", {"encoder.json": '{"a": 0}', "vocab.bpe": "", "dict.txt": "0 9\n7 8\n"}, "no piece with the id 7"),
    ("xlnet", {"spiece.model": b"junk"}, "is no SentencePiece model"),
    ("xlnet", {"spiece.model": b""}, "is no SentencePiece model"),
    ("transfo_xl", {"vocab.txt": "\n \n"}, "the vocabulary file is empty"),
])
def test_damaged_files(tmp_path: Path, spec: str, files: dict[str, str | bytes], message: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(TokenizerError) as caught:
        build_tokenizer(section(spec), tmp_path)
    assert message in str(caught.value)


def test_languages_without_blanks(tmp_path: Path) -> None:
    folder = GOLDEN / "xlm"
    with pytest.raises(TokenizerError, match="is_split_into_words=True"):
        build_tokenizer(section("xlm"), folder, language="zh")
    german = build_tokenizer(section("xlm"), folder, language="de")
    assert german.tokenize("l'eau") != build_tokenizer(section("xlm"), folder, language="fr").tokenize("l'eau")


# Long words -------------------------------------------------------------------------------------------------------


PIECE = st.sampled_from(["a", "b", "aa", "ab", "ba", "aab", "abab", "bb", "aaaa"])


def with_parts(
    known: list[str], merges: list[tuple[str, str]], again: bool = True
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Ids of the pieces, and the merges whose parts are there, as training makes them. `again`: also those that make
    what another one has made."""
    kept = []
    for left, right in merges:
        if left in known and right in known and (again or left + right not in known):
            kept.append((left, right))
            known += [left + right] if left + right not in known else []
    return {piece: number for number, piece in enumerate(known)}, kept


@settings(max_examples=300, deadline=None)
@given(
    merges=st.lists(st.tuples(PIECE, PIECE), unique=True, max_size=14),
    word=st.text("ab", min_size=1, max_size=400),
)
def test_chunks_of_long_words_meet_as_if_there_were_none(merges: list[tuple[str, str]], word: str) -> None:
    ids, kept = with_parts(["a", "b"], merges)
    theirs = reference.Tokenizer(reference.models.BPE(ids, kept))
    ours = BytePairs(ids, merges=kept)
    wanted = theirs.encode(word)
    assert ours.cut(word) == (tuple(wanted.ids), tuple(wanted.offsets))
    pairs = Merges(kept, first="ab")
    if pairs.symbols is not None:
        walk = Walk(pairs, Derivation(pairs))
        assert [pairs.texts[code] for code in walk.pieces(word)] == wanted.tokens


@settings(max_examples=500, deadline=None)
@given(
    merges=st.lists(st.tuples(PIECE, PIECE), unique=True, max_size=14), again=st.booleans(), whole=st.booleans(),
    words=st.lists(st.text("ab", min_size=1, max_size=40), min_size=1, max_size=80),
)
def test_bytes_merge_in_any_order(
    merges: list[tuple[str, str]], again: bool, whole: bool, words: list[str]
) -> None:
    """Also merges that no training makes: pieces that merging never comes to, or comes to in several ways."""
    ids, kept = with_parts(list(ALPHABET), merges, again)
    theirs = reference.Tokenizer(reference.models.BPE(ids, kept, ignore_merges=whole))
    ours = BytePairs(ids, merges=kept, byte_level=True, whole_words=whole)
    wanted = [theirs.encode(word) for word in words]
    ones = [1] * len(words)
    assert ours.row(words).ids_of(ones) == [tuple(each.ids) for each in wanted] == list(map(ours.ids, words))
    assert [ours.cut(word)[1] for word in words] == [tuple(each.offsets) for each in wanted]
    assert list(map(bounds_of, ours.row(words).cuts_of(ones))) == [
        [bound for span in each.offsets for bound in span] for each in wanted
    ]


def test_words_over_bytes_are_merged_by_the_library(shared_data: Path) -> None:
    """Each of the merges of a real vocabulary is orderly, and none of its pieces unsound, so that nothing is slow."""
    for name in ("gpt2", "roberta-base"):
        folder = shared_data / "tokenizers" / name
        model = build_tokenizer(section(name.split("-")[0]), folder)._encoder.pipeline.model
        assert model._bytes._library is not None and not Derivation(model._merges).unsound
