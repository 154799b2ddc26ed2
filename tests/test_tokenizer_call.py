"""The tokenizer call, its files and its errors, against the reference library's tokenizer of the same vocabulary."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwright as mw
from modelwright.errors import TokenizerError
from modelwright.tokenizers import AddedToken, Tokenizer, build_tokenizer
from modelwright.tokenizers.batch import combinations, truncated, windows

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
rust = pytest.importorskip("tokenizers")

SECTION = mw.load_spec("bert").tokenizer_section()
VOCABULARY = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,'!", *(f"##{c}" for c in "abcxyz"),
    "the", "house", "is", "red", "##s", "don", "E", "水",
]
SHORT = "the house is red"
LONG = "a b c d e f g h i j k l the houses, don't! xyz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return folder


def theirs(folder: Path, **options: Any) -> Any:
    return transformers.BertTokenizer.from_pretrained(folder, **options)


@pytest.fixture
def ours(folder: Path) -> Tokenizer:
    return build_tokenizer(SECTION, folder)


def plain(encoding: Any) -> dict[str, Any]:
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in encoding.items()}


def same(ours: Tokenizer, other: Any, *inputs: Any, **options: Any) -> None:
    """Equal results, or an error from both."""
    try:
        wanted = other(*inputs, **options)
    except BaseException as problem:  # a panic of the Rust library is no Exception
        if not isinstance(problem, Exception) and "Panic" not in type(problem).__name__:
            raise
        with pytest.raises(TokenizerError):
            ours(*inputs, **options)
        return
    got = ours(*inputs, **options)
    assert list(got) == list(wanted) and plain(got) == plain(wanted), (inputs, options)
    for row in range(len(wanted.encodings)):
        assert got.tokens(row) == wanted.tokens(row)
        assert got.word_ids(row) == wanted.word_ids(row)
        assert got.sequence_ids(row) == wanted.sequence_ids(row)


INPUTS = {
    "one": (SHORT,),
    "empty": ("",),
    "pair": (SHORT, LONG),
    "empty pair": (SHORT, ""),
    "batch": ([SHORT, "", LONG],),
    "batch of one": ([LONG],),
    "batch of pairs": ([SHORT, LONG, ""], [LONG, SHORT, "a"]),
    "list of pairs": ([(SHORT, LONG), (LONG, SHORT)],),
}
PADDING = [{}, {"padding": True}, {"padding": "longest"}, {"padding": "max_length"}, {"padding": False}]
TRUNCATION = [
    {}, {"truncation": True}, {"truncation": False}, {"truncation": "longest_first"}, {"truncation": "only_first"},
    {"truncation": "only_second"},
]
LENGTHS = [{}, {"max_length": 8}, {"max_length": 16}]


@pytest.mark.filterwarnings("ignore:`max_length` is ignored")
@pytest.mark.parametrize("limit", [None, 12], ids=["unlimited", "12"])
@pytest.mark.parametrize("name", INPUTS)
def test_padding_and_truncation(folder: Path, name: str, limit: int | None) -> None:
    """The whole table of the original documentation, with and without a length of the model's own."""
    options = {} if limit is None else {"model_max_length": limit}
    mine, other = build_tokenizer(SECTION, folder, **options), theirs(folder, **options)
    for padding, truncation, length in itertools.product(PADDING, TRUNCATION, LENGTHS):
        same(mine, other, *INPUTS[name], **padding, **truncation, **length)


EXTRAS: list[dict[str, Any]] = [
    {"return_offsets_mapping": True, "return_special_tokens_mask": True, "return_length": True},
    {"return_attention_mask": False, "return_token_type_ids": False},
    {"add_special_tokens": False, "return_offsets_mapping": True},
    {"padding": True, "padding_side": "left", "return_special_tokens_mask": True, "return_offsets_mapping": True},
    {"padding": True, "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 9, "pad_to_multiple_of": 4},
    {"padding": True, "truncation": True, "max_length": 16, "pad_to_multiple_of": 8, "return_tensors": "pt"},
    {"padding": True, "return_tensors": "np", "return_offsets_mapping": True, "return_length": True},
    {"padding": True, "truncation": True, "max_length": 10, "pad_to_multiple_of": 8},
    {"truncation": True, "max_length": 3},
    {"truncation": True, "max_length": 0, "add_special_tokens": False},
    {"return_overflowing_tokens": True},
]
EXTRAS += [
    {"truncation": how, "max_length": length, "stride": stride, "return_overflowing_tokens": True,
     "return_offsets_mapping": True, **more}
    for how in (True, "only_first", "only_second") for length, stride in ((9, 0), (9, 2), (12, 3))
    for more in ({}, {"padding": True, "return_special_tokens_mask": True}, {"add_special_tokens": False})
]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", INPUTS)
def test_what_is_returned(folder: Path, name: str, side: str) -> None:
    mine, other = build_tokenizer(SECTION, folder, truncation_side=side), theirs(folder, truncation_side=side)
    for options in EXTRAS:
        if name == "empty pair" and options.get("truncation") == "only_second":
            continue
        same(mine, other, *INPUTS[name], **options)


@pytest.mark.parametrize("inputs", [
    (["the", "houses", "", "don't", "水水"],),
    (["the", "house"], ["is", "red!"]),
    ([["the", "houses"], [], ["[MASK]", "a b"]],),
    ([["the"], ["house", "xyz"]], [["is", "red"], ["a"]]),
    ([(["the"], ["house"]), (["a", "b"], ["c"])],),
    ([],),
])
def test_words(folder: Path, ours: Tokenizer, inputs: tuple[Any, ...]) -> None:
    other = theirs(folder)
    for options in ({}, {"padding": True, "truncation": True, "max_length": 6}, {"add_special_tokens": False}):
        same(ours, other, *inputs, is_split_into_words=True, return_offsets_mapping=True, **options)


WORD = st.sampled_from(["the", "houses", "xyz", "a", "don't", "[MASK]", "é", "水火"])
WORDS = st.lists(WORD, max_size=14).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(
    first=WORDS, second=st.none() | WORDS.filter(bool),
    how=st.sampled_from(["longest_first", "only_first", "only_second"]), length=st.integers(0, 20),
    stride=st.integers(0, 4), side=st.sampled_from(["left", "right"]), special=st.booleans(),
)
def test_windows_as_the_reference(
    tmp_path_factory: pytest.TempPathFactory, first: str, second: str | None, how: str, length: int, stride: int,
    side: str, special: bool,
) -> None:
    """Overflow windows of any shape. A length below the special tokens, which the reference takes to be endless, and a
    stride that fills it are left to the tests of errors."""
    home = tmp_path_factory.getbasetemp() / "windows"
    if not home.exists():
        home.mkdir()
        (home / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    room = length - (0 if not special else 2 if second is None else 3)
    if room < 0 or (stride and stride >= min(room, length - 2)):  # it counts special tokens even where none are added
        return
    mine, other = build_tokenizer(SECTION, home, truncation_side=side), theirs(home, truncation_side=side)
    same(
        mine, other, first, second, truncation=how, max_length=length, stride=stride, add_special_tokens=special,
        return_overflowing_tokens=True, return_offsets_mapping=True, return_special_tokens_mask=True, padding=True,
    )


def test_window_arithmetic() -> None:
    assert windows(10, 4, 1, "right") == [(0, 4), (3, 7), (6, 10)]
    assert windows(10, 4, 1, "left") == [(6, 10), (3, 7), (0, 4)]
    assert windows(4, 4, 9, "right") == [(0, 4)] and windows(0, 0, 0, "right") == [(0, 0)]
    for sizes, kept in (([0, 10], [0, 7]), ([2, 8], [2, 5]), ([4, 6], [3, 4]), ([5, 5], [3, 4]), ([8, 2], [5, 2])):
        assert truncated(sizes, 7, "longest_first") == kept
    assert combinations([(0, 1), (1, 2)], [(0, 3), (3, 4)]) == [
        ((0, 1), (0, 3)), ((1, 2), (0, 3)), ((1, 2), (3, 4)), ((0, 1), (3, 4)),
    ]


def test_questions_about_positions(folder: Path, ours: Tokenizer) -> None:
    text, other_text = "The houses é [MASK], xyz!", "don't 水"
    options = {"padding": "max_length", "max_length": 20, "padding_side": "left"}
    got, wanted = (tokenizer([text, "a"], [other_text, "b"], **options) for tokenizer in (ours, theirs(folder)))
    for row in (0, 1):
        for sequence, source in enumerate(((text, other_text), ("a", "b"))[row]):
            for char in range(len(source)):
                for name in ("char_to_token", "char_to_word"):
                    assert getattr(got, name)(row, char, sequence) == getattr(wanted, name)(row, char, sequence)
            for word in range(6):
                for name in ("word_to_tokens", "word_to_chars"):
                    try:
                        expected = getattr(wanted, name)(row, word, sequence)
                    except TypeError:  # the reference's way to say that there is no such word
                        expected = None
                    assert getattr(got, name)(row, word, sequence) == expected
        for token, sequence in enumerate(wanted.sequence_ids(row)):
            assert got.token_to_sequence(row, token) == sequence
            if sequence is not None:
                assert got.token_to_chars(row, token) == wanted.token_to_chars(row, token)
                assert got.token_to_word(row, token) == wanted.token_to_word(row, token)
    single = ours(text)
    assert single.char_to_token(4) == theirs(folder)(text).char_to_token(4) == 2
    assert single.token_to_chars(0) is None and single.char_to_token(3) is None
    with pytest.raises(TokenizerError, match="no row 3, only 1"):
        single.word_ids(3)


def test_encoding_is_a_dictionary(ours: Tokenizer) -> None:
    encoding = ours([SHORT, "a"], padding=True, return_tensors="pt")
    assert encoding.input_ids is encoding["input_ids"] and encoding.input_ids.dtype == torch.int64
    assert encoding.to("cpu") is encoding and set({**encoding}) == {"input_ids", "token_type_ids", "attention_mask"}
    with pytest.raises(AttributeError, match="no `labels`, only 'input_ids'"):
        _ = encoding.labels
    for other in (copy.deepcopy(encoding), pickle.loads(pickle.dumps(encoding))):
        assert torch.equal(other.input_ids, encoding.input_ids) and list(other) == list(encoding)
        with pytest.raises(TokenizerError, match="ask the original"):
            other.word_ids()
    twin = pickle.loads(pickle.dumps(ours))
    assert plain(twin(LONG, return_offsets_mapping=True)) == plain(ours(LONG, return_offsets_mapping=True))
    assert plain(ours([])) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}


def test_ids_alone_know_where_they_came_from(ours: Tokenizer) -> None:
    """Rows are made when somebody asks; what has become of the list of ids by then does not matter to offsets."""
    for texts in ([SHORT, "", LONG], [SHORT.split(), [], ["don't", ""]]):
        options = {"is_split_into_words": not isinstance(texts[0], str)}
        for special in (True, False):
            options["add_special_tokens"] = special
            whole = ours(texts, **options)
            alone = ours(texts, return_attention_mask=False, return_token_type_ids=False, **options)
            assert dict(alone) == {"input_ids": whole.input_ids}
            for row, ids in enumerate(alone.input_ids):
                ids.append(0)
                assert alone.word_ids(row) == whole.word_ids(row) and alone.tokens(row) == whole.tokens(row)
                assert alone.sequence_ids(row) == whole.sequence_ids(row)
                assert [alone.token_to_chars(row, at) for at in range(len(ids) - 1)] == [
                    whole.token_to_chars(row, at) for at in range(len(ids) - 1)
                ]


def test_decoding(folder: Path, ours: Tokenizer) -> None:
    other = theirs(folder)
    ids = other([LONG, "do not t ! ' s . the houses", "[CLS] ##s"])["input_ids"]
    ids.append([*range(len(VOCABULARY)), 99999])
    assert ours.add_tokens(["we do not"]) == other.add_tokens(["we do not"]) == 1
    ids.append(ours.encode("we do not, the we do not"))
    for skip, clean in itertools.product((False, True), (None, False, True)):
        options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean}
        assert ours.batch_decode(ids, **options) == other.batch_decode(ids, **options) == ours.decode(ids, **options)
    assert ours.decode(7) == other.decode(7) and ours.decode(torch.tensor(ids[0])) == other.decode(ids[0])
    assert ours.decode([]) == "" and ours.convert_ids_to_tokens([6, 4, 99], skip_special_tokens=True) == ["b", None]
    assert ours.encode("a", "b") == other.encode("a", "b") and ours.tokenize("houses") == other.tokenize("houses")
    assert ours.convert_tokens_to_ids(["the", "nothing"]) == other.convert_tokens_to_ids(["the", "nothing"])
    assert [ours.num_special_tokens_to_add(pair) for pair in (False, True)] == [2, 3]


ADDED = [
    {"content": "FooBar"}, {"content": "<e>", "lstrip": True, "rstrip": True, "normalized": False},
    {"content": "solo", "single_word": True}, {"content": "the red"}, {"content": "<e>>", "normalized": False},
    {"content": "É", "normalized": True}, {"content": "[ent]", "special": True, "normalized": False},
    {"content": "house"}, {"content": " x", "lstrip": True, "rstrip": True, "normalized": False},
]
PARTS = [
    "FooBar", "foobar", "<e>", "<e>>", "solo", "solo_", "é", "E", "the", "the  red", " ", "\u3000", "[ent]", " x",
    "xhouse", "\u0301", "ß", "水", "[MASK]", ",", "\n",
]


@settings(max_examples=200, deadline=None)
@given(
    chosen=st.lists(st.sampled_from(ADDED), min_size=1, unique_by=str),
    text=st.lists(st.sampled_from(PARTS), max_size=12),
)
def test_added_tokens(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[dict[str, Any]], text: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "added-vocab.txt"
    file.write_text("\n".join(VOCABULARY), encoding="utf-8")
    mine = build_tokenizer(SECTION, file)
    other = transformers.BertTokenizer(vocab={token: number for number, token in enumerate(VOCABULARY)})
    count = mine.add_tokens([AddedToken(**flags) for flags in chosen])
    assert count == other.add_tokens([rust.AddedToken(**flags) for flags in chosen])
    assert mine.add_tokens([AddedToken(**flags) for flags in chosen]) == 0
    assert mine.get_vocab() == other.get_vocab() and len(mine) == len(other)
    for options in ({}, {"is_split_into_words": True}):
        source = text if options else "".join(text)
        got, wanted = (t(source, return_offsets_mapping=True, **options) for t in (mine, other))
        assert plain(got) == plain(wanted) and got.word_ids() == wanted.word_ids(), source
        assert mine(source, **options).input_ids == wanted["input_ids"]


def test_special_tokens(folder: Path, ours: Tokenizer) -> None:
    other = theirs(folder)
    new = {"bos_token": "<s>", "pad_token": "z", "extra_special_tokens": ["<x>", "the"]}
    assert ours.add_special_tokens(new) == other.add_special_tokens(new)
    assert ours.all_special_tokens == other.all_special_tokens and ours.all_special_ids == other.all_special_ids
    assert (ours.bos_token_id, ours.pad_token_id, ours.eos_token_id) == (other.bos_token_id, other.pad_token_id, None)
    same(ours, other, ["<s>a<x>bthe", "a"], padding=True)
    ids = ours.encode("<s> a the house")
    assert ours.decode(ids, skip_special_tokens=True) == other.decode(ids, skip_special_tokens=True) == "a house"
    ours.cls_token = "<s>"
    assert ours("a").input_ids[0] == ours.bos_token_id
    with pytest.raises(TokenizerError, match="`<z>` cannot be the mask_token"):
        ours.mask_token = "<z>"
    with pytest.raises(TokenizerError, match="did you mean `pad_token`"):
        ours.add_special_tokens({"pad_tokens": "e"})


def test_save_and_load(tmp_path: Path, folder: Path) -> None:
    mine = build_tokenizer(
        SECTION, folder, do_lower_case=False, strip_accents=True, model_max_length=20, padding_side="left",
        truncation_side="left", clean_up_tokenization_spaces=True,
    )
    mask = AddedToken("<mask>", lstrip=True, special=True)
    mine.add_special_tokens({"mask_token": mask, "extra_special_tokens": ["<x>"]})
    mine.add_tokens(["Foo", AddedToken("bar", single_word=True)])
    written = mine.save(tmp_path / "a" / "b")
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    again = build_tokenizer(SECTION, tmp_path / "a" / "b")
    texts = ["É Foo  <mask> bar foobar <x>e", LONG, "the houses ! ' s"]
    automatic = transformers.AutoTokenizer.from_pretrained(tmp_path / "a" / "b")
    for other in (theirs(tmp_path / "a" / "b"), automatic, again):
        assert type(other).__name__ in ("BertTokenizer", "Tokenizer")
        for options in ({}, {"padding": True, "truncation": True}, {"truncation": True, "max_length": 5}):
            assert plain(mine(texts, **options)) == plain(other(texts, **options))
        ids = mine(texts)["input_ids"]
        assert mine.batch_decode(ids) == other.batch_decode(ids)
        assert mine.get_vocab() == other.get_vocab() and mine.all_special_tokens == other.all_special_tokens
        assert other.model_max_length == 20 and other.mask_token == "<mask>"
    assert build_tokenizer(SECTION, tmp_path / "a" / "b", do_lower_case=True).section["normalizer"]["lowercase"] is True
    build_tokenizer(SECTION, folder).save(tmp_path / "a" / "b")
    assert not (tmp_path / "a" / "b" / "added_tokens.json").exists()


def test_files_of_2019(tmp_path: Path) -> None:
    """added_tokens.json and special_tokens_map.json without a list of added tokens in the configuration."""
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    size = len(VOCABULARY)
    for name, content in (
        ("tokenizer_config.json", {"do_lower_case": False, "max_len": 9, "never_split": None, "strip_accents": None}),
        ("added_tokens.json", {"<b>": size + 1, "<a>": size}),
        ("special_tokens_map.json", {"mask_token": "<a>", "additional_special_tokens": ["<b>"]}),
    ):
        (tmp_path / name).write_text(json.dumps(content))
    mine, other = build_tokenizer(SECTION, tmp_path), theirs(tmp_path)
    assert (mine.mask_token_id, mine.all_special_tokens) == (size, other.all_special_tokens)
    for text in ("E <a> e <b> [MASK]", LONG):
        same(mine, other, text, truncation=True)
    assert mine.decode(mine.encode("<b>a"), skip_special_tokens=True) == "a"
    listed = {"mask_token": "e", "added_tokens_decoder": {str(size): AddedToken("<c>", single_word=True).as_dict()}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(listed))  # now the older files do not count
    mine, other = build_tokenizer(SECTION, tmp_path), theirs(tmp_path)
    assert mine.mask_token == other.mask_token == "e" and mine.get_vocab() == other.get_vocab()
    same(mine, other, "<a> E <b> <c>  x<c>")


@pytest.mark.parametrize("inputs, options, message", [
    ((None,), {}, "text is None, not a string"),
    ((3,), {}, "text is a int, not a string"),
    ((["a", None],), {}, r"text\[1\] is None, not a string"),
    ((["a", ["b", "c", "d"]],), {}, "a list of words needs is_split_into_words=True"),
    (("a", ["b"]), {}, "text_pair is a list of 1, not a string"),
    ((["a"], "b"), {}, "text is a batch, but text_pair is not"),
    ((["a"], ["b", "c"]), {}, "1 texts, but 2 in text_pair"),
    (("a b",), {"is_split_into_words": True}, "must be a list of words"),
    ((["a", 1],), {"is_split_into_words": True}, "a list of 2 with a int"),
    (("a",), {"padding": "longer"}, "did you mean `longest`"),
    (("a",), {"padding": []}, "padding=\\[\\] is not known"),
    (("a",), {"truncation": "only_frist"}, "did you mean `only_first`"),
    (("a",), {"return_tensors": "tf"}, "return_tensors='tf' is not known"),
    (("a",), {"padding_side": "top"}, "padding_side='top' is not known"),
    (("a",), {"max_length": -1}, "max_length=-1 is no length"),
    (("a",), {"max_length": 2.5}, "max_length=2.5 is no length"),
    (("a",), {"padding": True, "pad_to_multiple_of": 0}, "pad_to_multiple_of=0 is no length"),
    (("a",), {"stride": -2}, "stride=-2 is no number"),
    (("a",), {"truncation": True, "max_length": 1}, "max_length=1 is too small for the 2 special tokens"),
    (("a", "b"), {"truncation": True, "max_length": 2}, "too small for the 3 special tokens"),
    ((LONG,), {"truncation": True, "max_length": 6, "stride": 4}, "stride=4 is too large"),
    ((LONG, LONG), {"truncation": True, "max_length": 11, "stride": 4}, "a stride of 4 tokens leaves no way forward"),
    ((LONG,), {"truncation": "only_second", "max_length": 6}, "needs a text_pair"),
    ((LONG, "a"), {"truncation": "only_second", "max_length": 6}, "may only cut a sequence of 1"),
    (([LONG, "a"],), {"return_tensors": "pt"}, "padding=True"),
    (([LONG, "a"],), {"return_tensors": "np"}, "rows of 3 to"),
    (("a",), {"padding": True, "truncation": True, "max_length": 10, "pad_to_multiple_of": 8}, "max_length is 8"),
])
def test_bad_calls(ours: Tokenizer, inputs: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        ours(*inputs, **options)


def test_padding_without_a_padding_token(folder: Path) -> None:
    ours = build_tokenizer(SECTION, folder, pad_token=None)
    with pytest.raises(TokenizerError, match="padding needs a padding token"):
        ours(["a"], padding=True)
    with pytest.raises(TokenizerError, match="no id"):
        ours.decode(["a"])
    with pytest.raises(TokenizerError, match="cannot decode a str"):
        ours.decode("a")


def _section(**changes: Any) -> dict[str, Any]:
    return {**SECTION, **changes}


@pytest.mark.parametrize("section, options, files, message", [
    (_section(modle={}), {}, {}, "unknown key `modle` in `tokenizer`"),
    ({}, {}, {}, "`tokenizer` lacks `model`"),
    (_section(model="wordpeice"), {}, {}, "did you mean `wordpiece`"),
    (_section(model={"type": "wordpiece", "max_length": 3}), {}, {}, "unknown key `max_length` in `tokenizer.model`"),
    (_section(template={"single": "[CLS]"}), {}, {}, "must hold \\$A"),
    (_section(template={"single": "$C"}), {}, {}, "`\\$C` in the template"),
    (_section(template={"single": "$A", "triple": "$A"}), {}, {}, "unknown key `triple`"),
    (_section(special_tokens={"unk": "[UNK]"}), {}, {}, "known: `bos_token`, `eos_token`, `unk_token`"),
    (_section(files={"vocab": "../vocab.txt"}), {}, {}, "is a path"),
    (_section(files={"vocab": "words.txt"}), {}, {}, "`words.txt` is not in"),
    (_section(decoder=3), {}, {}, "`tokenizer.decoder` must be a mapping"),
    (_section(options={"x": "nothing.lowercase"}), {"x": True}, {}, "not in the section"),
    (SECTION, {"do_lowercase": True}, {}, "did you mean `do_lower_case`"),
    (SECTION, {"do_lower_case": "yes"}, {}, "must be true or false"),
    (SECTION, {"model_max_length": "many"}, {}, "model_max_length='many' is no length"),
    (SECTION, {"padding_side": "up"}, {}, "padding_side='up'"),
    (SECTION, {"mask_token": "<m>"}, {}, r"`<m>` \(mask_token\)"),
    (SECTION, {"unk_token": 3}, {}, "not a token: 3"),
    (SECTION, {}, {"tokenizer_config.json": "{"}, "tokenizer_config.json:1:2"),
    (SECTION, {}, {"tokenizer_config.json": "[" * 100000}, "not valid JSON"),
    (SECTION, {}, {"tokenizer_config.json": "[]"}, "a JSON object is expected, not a list"),
    (SECTION, {}, {"tokenizer_config.json": '{"do_lower_case": "no"}'}, "must be true or false"),
    (SECTION, {}, {"tokenizer_config.json": '{"added_tokens_decoder": {"x": "a"}}'}, "no usable id"),
    (SECTION, {}, {"tokenizer_config.json": '{"added_tokens_decoder": {"99": {"content": 1}}}'}, "not a token"),
    (SECTION, {}, {"tokenizer_config.json": '{"extra_special_tokens": 4}'}, "must be a list"),
    (SECTION, {}, {"added_tokens.json": '{"<a>": 3}'}, "cannot have the id 3: it belongs to `\\[SEP\\]`"),
    (SECTION, {}, {"added_tokens.json": '{"<a>": -3}'}, "no usable id: -3"),
    (SECTION, {}, {"special_tokens_map.json": '{"cls_token": ["a"]}'}, "not a token"),
])
def test_bad_sections_options_and_files(
    tmp_path: Path, section: dict[str, Any], options: dict[str, Any], files: dict[str, str], message: str
) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(TokenizerError, match=message):
        build_tokenizer(section, tmp_path, **options)


def test_where_files_may_lie(tmp_path: Path, folder: Path, ours: Tokenizer) -> None:
    for source in (str(folder), folder / "vocab.txt", {"vocab.txt": folder / "vocab.txt"}):
        assert build_tokenizer(SECTION, source).encode(LONG) == ours.encode(LONG)
    for source, message in ((tmp_path / "none", "there is no tokenizer at"), ({}, "not among the given files")):
        with pytest.raises(TokenizerError, match=message):
            build_tokenizer(SECTION, source)
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenizerError, match="cannot write to"):
        ours.save(tmp_path / "file")


def test_the_section_is_not_changed(folder: Path) -> None:
    before = copy.deepcopy(SECTION)
    build_tokenizer(SECTION, folder, do_lower_case=False, strip_accents=False)
    assert before == SECTION
