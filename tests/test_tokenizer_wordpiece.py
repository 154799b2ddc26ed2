"""WordPiece against the Rust reference: ids, offsets, words, masks and decoded text, character for character."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwright as mw
from modelwright.errors import TokenizerError
from modelwright.tokenizers import Tokenizer, build_tokenizer
from modelwright.tokenizers.cache import Cache
from modelwright.tokenizers.chunks import ChunkPipeline
from modelwright.tokenizers.normalizer import BasicNormalizer
from modelwright.tokenizers.pre_tokenizer import WhitespacePunctuation
from modelwright.tokenizers.wordpiece import WordPiece

reference = pytest.importorskip("tokenizers")

SECTION = mw.load_spec("bert").tokenizer_section()
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SMALL = [
    *SPECIALS, *"abcdehiostuz,.!?'-#019", "##a", "##b", "##c", "##s", "##t", "##ing", "##ab", "##1", "abc", "the",
    "house", "cat", "do", "not", "A", "E", "É", "é", "ß", "σ", "ς", "ü", "##ü", "İ", "i̇", "水", "火", "한", "ᄒ", "##ᅡ",
    "##ᆫ", "कि", "##ि", "ข้", "##อ", "ع", "##ر", "\U0001f600", "##\u200d", "ʹ", "##\u302e", "\u302e", "##\u0301",
    "a\u0301",
]
CONFIGURATIONS = [
    {},
    {"do_lower_case": False},
    {"do_lower_case": False, "strip_accents": True},
    {"strip_accents": False},
    {"tokenize_chinese_chars": False},
    {"clean_text": False},
    {"clean_text": False, "strip_accents": False, "do_lower_case": False},
]
TEXTS = [
    "", " ", "\n\t \u3000", "the house", "The HOUSE, the cats!", "abcabc abst tabc abcing", "can't do not ?! don ' t .",
    "[CLS] the [MASK][SEP]abc[UNK]", "[mask] [MASK", "a\x00b\ufffdc\x1cd\x85e\x0bf\u2028g\u00a0h\u200bi\u00ad",
    "É é E\u0301 ÉÉ\u0301 a\u0301b\u0323\u0301", "İ ı ẞ ß ΣΑΣ ς ﬁ Ǆ", "水火abc水 한국어 \uf900\U0002f800",
    "कि ข้อ عربي ع\u0651", "\U0001f600\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 ⚑\ufe0f",
    "a\u302e\u0301\u0345\u302fb \u0344\u302e c\u1dfb",
    "\U0001d15e\u0301 \U0001d165\u0301\U0001d16d x", "ꟋꟌᲉ\U00010d50\U00016ea0", "\u0897a\u08e1b\U00011938c",
    "a" * 99 + " " + "a" * 100 + " " + "a" * 101, "ab" * 60 + " " + "x" * 500, "#a ##a a##b - -- ...", "0x1f 1,000.5",
    "\u202eabc\u202c \ue000 \U000e0041", "\u0300abc", "\u0300", "a\u0300" * 50, "$^`|~+<=>", "‐—«»¿、。！？",
]


def rust(folder: Path, added: Iterable = (), **options: bool | None) -> reference.Tokenizer:
    tokenizer = reference.Tokenizer(reference.models.WordPiece.from_file(str(folder / "vocab.txt"), unk_token="[UNK]"))
    tokenizer.normalizer = reference.normalizers.BertNormalizer(
        clean_text=options.get("clean_text", True), handle_chinese_chars=options.get("tokenize_chinese_chars", True),
        strip_accents=options.get("strip_accents"), lowercase=options.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = reference.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = reference.decoders.WordPiece(prefix="##")
    tokenizer.post_processor = reference.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    special = [reference.AddedToken(token, special=True, normalized=False) for token in SPECIALS]
    tokenizer.add_tokens([*special, *added])
    return tokenizer


def agree(ours: Tokenizer, theirs: reference.Tokenizer, text: str) -> None:
    wanted = theirs.encode(text)
    plain = ours(text, return_special_tokens_mask=True)
    assert plain.input_ids == wanted.ids, text
    assert plain.token_type_ids == wanted.type_ids
    assert plain.attention_mask == wanted.attention_mask
    assert plain.special_tokens_mask == wanted.special_tokens_mask
    detailed = ours(text, return_offsets_mapping=True)
    assert detailed.input_ids == wanted.ids, text
    assert detailed.offset_mapping == wanted.offsets, text
    assert detailed.word_ids() == wanted.word_ids == plain.word_ids(), text
    for skip in (False, True):
        assert ours.decode(wanted.ids, skip_special_tokens=skip) == theirs.decode(wanted.ids, skip_special_tokens=skip)


def pair(folder: Path, **options: bool | None) -> tuple[Tokenizer, reference.Tokenizer]:
    return build_tokenizer(SECTION, folder, **options), rust(folder, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    (folder / "vocab.txt").write_text("\n".join(SMALL) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_texts(folder: Path, options: dict[str, bool]) -> None:
    ours, theirs = pair(folder, **options)
    for text in [*TEXTS, "\n".join(TEXTS), " ".join(reversed(TEXTS))]:
        agree(ours, theirs, text)


# Marks that move or stay, characters that decompose, vanish, split or change case, and pieces of the vocabulary.
PARTS = [
    *"abcA É\n", "é", "\u0301", "\u0323", "\u0345", "\u302e", "\u302f", "\u1b44", "\u08d4", "\U0001d165", "\U0001d15e",
    "\U0001d16d", "\u0344", "\u0897", "\u200d", "\u00ad", "\x1f", "\x85", "\u2028", "\ufffd", "水", "\uf900", "한", "ข้",
    "ع", "Σ", "İ", "[MASK]", "[SEP]", "[", "]", "#", "'", ".", " do not", "the", "cat", "house", "\U0001f600", "ﷺ",
]


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_any_text(folder: Path, options: dict[str, bool]) -> None:
    ours, theirs = pair(folder, **options)

    @settings(max_examples=150, deadline=None)
    @given(st.one_of(
        st.lists(st.sampled_from(PARTS), max_size=30).map("".join), st.text(st.characters(codec="utf-8"), max_size=40)
    ))
    def check(text: str) -> None:
        agree(ours, theirs, text)

    check()


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_every_character(folder: Path, options: dict[str, bool]) -> None:
    """The pinned Unicode tables, whatever version Python's own are of."""
    theirs = rust(folder, **options)
    pipeline = build_tokenizer(SECTION, folder, **options)._encoder.pipeline
    points = [*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200), 0xF0000, 0x10FFFD]
    text = "".join(f"a{chr(point)}" for point in points) + "a"
    normalized = theirs.normalizer.normalize_str(text)
    assert pipeline.normalizer.normalize(text) == normalized
    words = [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(normalized)]
    spaced = " ".join(pipeline._chunks(normalized)).translate(pipeline._table)
    assert list(filter(None, spaced.split(" "))) == words


def test_combining_marks_in_canonical_order(folder: Path) -> None:
    """Two characters that could change places, after a third."""
    theirs = rust(folder)
    normalizer = BasicNormalizer()
    marks = [c for c in map(chr, range(0x300, 0x1F000)) if unicodedata.combining(c)] + ["\u0344", "\U0001d15e", "é"]
    for first in ("\u302e", "\u08d4", "\U0001d165", "\U0001d172", "\u0301"):
        text = " ".join(f"a{mark}{first} a{first}{mark}" for mark in marks)
        assert normalizer.normalize(text) == theirs.normalizer.normalize_str(text)


@pytest.mark.parametrize("name, lower", [
    ("bert-base-uncased", True), ("bert-base-cased", False), ("bert-base-chinese", False),
    ("bert-base-multilingual-cased", False),
])
def test_real_vocabularies_and_texts(shared_data: Path, name: str, lower: bool) -> None:
    ours, theirs = pair(shared_data / "tokenizers" / name, do_lower_case=lower)
    assert ours.get_vocab() == theirs.get_vocab()
    assert len(ours) == theirs.get_vocab_size() == ours.vocab_size

    def lines(file: str, step: int) -> list[str]:
        return (shared_data / "text" / file).read_text(encoding="utf-8").split("\n")[::step]

    texts = [
        *lines("blns.txt", 1), *lines("xquad-paragraphs-12-languages.tsv", 5), *lines("wikitext2-test.txt", 37),
        *lines("wagahai.txt", 17), *lines("botchan.txt", 23), "\n".join(lines("blns.txt", 1)),
    ]
    for text in texts:
        agree(ours, theirs, text)


def test_long_input_is_linear(folder: Path) -> None:
    """Work that grew faster than the text would not end."""
    ours = build_tokenizer(SECTION, folder)
    unknown = [ours.cls_token_id, ours.unk_token_id, ours.sep_token_id]
    size = 1_000_000
    assert ours.encode("a" * size) == unknown
    assert ours("é" * size, return_offsets_mapping=True).offset_mapping == [(0, 0), (0, size), (0, 0)]
    assert ours.encode("a" + "\u0301" * size) == ours.encode("a")
    moving = ours("a" + "\u302e\u0301" * (size // 10), return_offsets_mapping=True)
    assert moving.input_ids == unknown and moving.offset_mapping[1][0] == 0
    assert len(ours.encode("水" * size)) == len(ours.encode("[" * size)) == size + 2
    assert len(ours.encode("[MASK]" * (size // 10))) == size // 10 + 2


def test_caches_are_bounded() -> None:
    made: list[str] = []
    cache = Cache(lambda key: made.append(key) or key.upper(), limit=3, longest=5)
    for key in ("a", "b", "a", "c", "d", "a", "too long", "too long"):
        assert cache[key] == key.upper()
    assert made == ["a", "b", "c", "d", "a", "too long", "too long"] and len(cache) == 2
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = {piece: i for i, piece in enumerate(["[UNK]", *letters, *(f"##{letter}" for letter in letters)])}
    pipeline = ChunkPipeline(BasicNormalizer(), WhitespacePunctuation(), WordPiece(vocabulary))
    caches = (pipeline._chunk_ids, pipeline._words.ids, pipeline._chunk_cuts)
    for held in caches:
        held._limit = 100
    text = " ".join(f"{chr(97 + i % 26)}{'abcdefghij'[i // 26 % 10]}{'xyz'[i % 3]}" for i in range(5000))
    for stretches in (text, text.replace(" ", "!")):  # words are looked up where a stretch has many
        assert pipeline.details(stretches).ids == pipeline.ids(stretches)
    for held in caches:
        assert 0 < len(held) <= 100


def test_lone_surrogates_count_as_control_characters(folder: Path) -> None:
    """The reference cannot take them at all."""
    ours = build_tokenizer(SECTION, folder)
    assert ours.encode("th\ud800e") == ours.encode("the")


def test_duplicate_lines_and_blanks(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("\n".join([*SPECIALS, "a \u3000", "b", "a", "", "c\r"]).encode())
    ours, theirs = pair(tmp_path)
    assert ours.get_vocab() == theirs.get_vocab() and len(ours) == theirs.get_vocab_size()
    assert [ours.convert_ids_to_tokens(i) for i in range(12)] == [theirs.id_to_token(i) for i in range(12)]
    agree(ours, theirs, "a b a c")
    assert ours.decode([5, 6, 7, 9, 99]) == theirs.decode([5, 6, 7, 9, 99])
    ours.save(tmp_path / "saved")
    assert build_tokenizer(SECTION, tmp_path / "saved").get_vocab() == ours.get_vocab()
    ours.add_tokens(["new"])  # the reference gives it the id of "c"
    assert ours.convert_tokens_to_ids(["new", "c"]) == [10, 9]


@pytest.mark.parametrize("data, message", [
    (b"", "vocabulary file is empty"),
    (b"\n\n", "vocabulary file is empty"),
    (b"[PAD]\n[UNK]\nca\xff\n", "vocab.txt:3:3"),
    (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", r"`[MASK]` (mask_token)"),
    (b"a\nb\n", r"`[UNK]` (unk_token), `[SEP]` (sep_token), `[PAD]` (pad_token), `[CLS]` (cls_token), `[MASK]`"),
    (None, "`vocab.txt` is not in"),
])
def test_bad_vocabularies(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "vocab.txt").write_bytes(data)
    with pytest.raises(TokenizerError) as caught:
        build_tokenizer(SECTION, tmp_path)
    assert message in str(caught.value)


def test_a_special_token_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["<unk>", "<s>", "</s>", "a"]))
    ours = build_tokenizer(
        SECTION, tmp_path / "vocab.txt", unk_token="<unk>", cls_token="<s>", sep_token="</s>", pad_token=None,
        mask_token=None,
    )
    assert ours.encode("a é </s> x") == [1, 3, 0, 2, 0, 2]
    assert (ours.mask_token, ours.mask_token_id, ours.all_special_ids) == (None, None, [0, 2, 1])


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_as_vocabulary(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any-vocab.txt"
    file.write_bytes(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n" + data)
    try:
        data.decode()
    except UnicodeDecodeError:
        with pytest.raises(TokenizerError, match="not UTF-8"):
            build_tokenizer(SECTION, file)
    else:
        tokenizer = build_tokenizer(SECTION, file)
        assert tokenizer.decode(tokenizer.encode("[MASK]")) == "[CLS] [MASK] [SEP]"


def test_no_torch_is_imported() -> None:
    import subprocess

    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('modelwright', {sys.modules['modelwright'].__file__!r},"
        f" submodule_search_locations={list(sys.modules['modelwright'].__path__)!r})\n"
        "sys.modules['modelwright'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(sys.modules['modelwright'])\n"
        "import modelwright.tokenizers\n"
        "assert not {'torch', 'numpy', 'transformers'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


LETTERS = st.sampled_from(["a", "b", "\ue000", "\ue001", "\ue002", "é", "\n", "\U0001f600", "#"])


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=12),
    later=st.lists(st.text(LETTERS, min_size=1, max_size=3), max_size=12),
    words=st.lists(st.text(LETTERS, min_size=1, max_size=24), min_size=1, max_size=70), longest=st.integers(1, 30),
)
def test_the_longest_piece_first(pieces: list[str], later: list[str], words: list[str], longest: int) -> None:
    """Whatever characters the pieces and the words have, those among them that stand between words elsewhere."""
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(["?", *pieces, *(f"##{piece}" for piece in later)]))}
    model = reference.models.WordPiece(vocabulary, unk_token="?", max_input_chars_per_word=longest)
    theirs = reference.Tokenizer(model)
    ours = WordPiece(vocabulary, unknown="?", max_word_length=longest)
    wanted = [theirs.encode(word) for word in words]
    assert ours.row(words).ids_of([1] * len(words)) == [tuple(each.ids) for each in wanted]
    assert [ours.cut(word) for word in words] == [(tuple(each.ids), tuple(each.offsets)) for each in wanted]
    assert ours.row(words).cuts_of([len(words)])[0][0] == tuple(number for each in wanted for number in each.ids)


def test_words_that_the_library_cannot_take() -> None:
    model = WordPiece({"?": 0, "a": 1, "##b": 2, "\0": 3}, unknown="?")
    assert model.row(["ab", "a\ud800", "a\0", "ab"]).ids_of([1] * 4) == [(1, 2), (0,), (0,), (1, 2)]
    assert model.row([]).ids_of([]) == []
    nested = {"?": 0, **{"a" * size: size for size in range(1, 64)}}
    assert WordPiece(nested, unknown="?").ids("a" * 63) == (63,)
    with pytest.raises(TokenizerError, match="more than 63 pieces"):
        WordPiece({**nested, "a" * 64: 64}, unknown="?")
