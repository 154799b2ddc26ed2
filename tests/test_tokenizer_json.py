"""`tokenizer.json`: every component against the Rust library that the files are made by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_texts import TEXTS, real_texts

import modelwright as mw
from modelwright.errors import TokenizerError
from modelwright.tokenizers import AddedToken, Tokenizer, open_tokenizer

reference = pytest.importorskip("tokenizers")
N, P, D = reference.normalizers, reference.pre_tokenizers, reference.decoders
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
WORDS = ["the", "house", "The", "cat", "9", ",", "a", "é", "水", "▁the", "▁a"]
PARTS = [
    *"abcth A É\n\t.,!?9", " the", "house", "'s", "  ", "é", "\u0301", "\u200d", "水", "ع", "😀", "<s>", "</s>",
    "\u3000", "\x85", "ß", "ﬁ", "¼", "_", "-", "▁", "한", "\x01", "\ufeff", "Σ",
]  # fmt: skip
ANY_TEXT = st.lists(st.sampled_from(PARTS), max_size=24).map("".join)


def bpe(byte_level: bool = False, **options: Any) -> Any:
    model = reference.Tokenizer(reference.models.BPE())
    model.pre_tokenizer = P.ByteLevel(add_prefix_space=False) if byte_level else P.Metaspace()
    alphabet = P.ByteLevel.alphabet() if byte_level else []
    more = [f"<0x{byte:02X}>" for byte in range(256)] if options.get("byte_fallback") else []
    trainer = reference.trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*SPECIAL, *more], initial_alphabet=alphabet, show_progress=False,
        limit_alphabet=300,
    )
    model.train_from_iterator([text for text in TEXTS if "水" not in text] * 3, trainer)
    state = json.loads(model.to_str())["model"]
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in state["merges"]]
    return reference.models.BPE(state["vocab"], merges, **options)


def unigram(**options: Any) -> Any:
    """Pieces as the merges found them, each a little less likely than the one before."""
    state = json.loads(reference.Tokenizer(bpe(**options)).to_str())["model"]
    pieces = [(piece, -0.01 * number) for number, piece in enumerate(state["vocab"])]
    return reference.models.Unigram(pieces, 0, **options)


def word_piece() -> Any:
    pieces = [*SPECIAL, *WORDS, *(f"##{c}" for c in "abctheous"), *"abct"]
    return reference.models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>")


def word_level() -> Any:
    return reference.models.WordLevel({piece: i for i, piece in enumerate([*SPECIAL, *WORDS])}, unk_token="<unk>")


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {
        "bytes": bpe(True), "bytes, whole words": bpe(True, ignore_merges=True), "bpe": bpe(unk_token="<unk>"),
        "bpe, fused": bpe(unk_token="<unk>", fuse_unk=True), "bpe, no unknown": bpe(),
        "bpe, fallback": bpe(unk_token="<unk>", fuse_unk=True, byte_fallback=True), "unigram": unigram(),
        "unigram, fallback": unigram(byte_fallback=True), "wordpiece": word_piece(), "wordlevel": word_level(),
    }  # fmt: skip


def template(single: str = "<s> $A </s>", pair: str = "<s> $A </s> $B:1 </s>:1") -> Any:
    return reference.processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("<s>", 1), ("</s>", 2)]
    )


SPLIT = P.Split(reference.Regex(LLAMA3), "isolated")
BYTES = P.ByteLevel(add_prefix_space=False, use_regex=False)
UNTRIMMED = reference.processors.ByteLevel(trim_offsets=False)
BEGIN = template("<s> $A", "<s> $A <s>:1 $B:1")
FALLBACK = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
ONE_BLANK = N.Replace(reference.Regex(" {2,}"), " ")
ROBERTA = reference.processors.RobertaProcessing(("</s>", 2), ("<s>", 1), True, True)
CASES: dict[str, tuple[str, Any, Any, Any, Any]] = {
    "gpt": ("bytes", None, P.ByteLevel(add_prefix_space=False), reference.processors.ByteLevel(), D.ByteLevel()),
    "roberta": ("bytes", None, P.ByteLevel(add_prefix_space=True), ROBERTA, D.ByteLevel()),
    "llama3": ("bytes, whole words", None, P.Sequence([SPLIT, BYTES]),
               reference.processors.Sequence([UNTRIMMED, BEGIN]), D.ByteLevel()),
    "qwen": ("bytes", N.NFC(), P.Sequence([SPLIT, BYTES]), UNTRIMMED, D.ByteLevel()),
    "stripped": ("bpe", N.Strip(), P.WhitespaceSplit(), None, D.BPEDecoder()),
    "stripped, bytes": ("bytes", N.Strip(), P.ByteLevel(add_prefix_space=False), UNTRIMMED, D.ByteLevel()),
    "digits, bytes": ("bytes", None, P.Sequence([P.Digits(True), P.ByteLevel(False)]), None, D.ByteLevel()),
    "words only": ("bytes", None, P.Sequence([P.Split(reference.Regex(r"[A-Za-z]+"), "isolated"), BYTES]), None,
                   D.ByteLevel()),
    "llama2": ("bpe, fallback", N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None, BEGIN, FALLBACK),
    "mistral": ("bpe, fallback", None, P.Metaspace(prepend_scheme="first", split=False), BEGIN, FALLBACK),
    "no unknown": ("bpe, no unknown", None, P.Metaspace(), None, D.Metaspace()),
    "fused": ("bpe, fused", N.NFKC(), P.Metaspace(), None, D.Metaspace()),
    "bpe": ("bpe", N.Lowercase(), P.WhitespaceSplit(), None, D.BPEDecoder()),
    "xlm-r": ("unigram", N.Sequence([N.Nmt(), N.NFKC(), ONE_BLANK]), P.Metaspace(), template(), D.Metaspace()),
    "marian": ("unigram, fallback", N.Sequence([N.Strip(), N.NFD(), N.StripAccents()]),
               P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), template(), D.Metaspace()),
    "bert": ("wordpiece", N.BertNormalizer(lowercase=False), P.BertPreTokenizer(), template(), D.WordPiece()),
    "chain": ("wordpiece", N.Sequence([N.NFD(), N.Lowercase(), N.StripAccents()]), P.BertPreTokenizer(),
              reference.processors.BertProcessing(("</s>", 2), ("<s>", 1)), D.WordPiece(cleanup=False)),
    "words": ("wordlevel", N.Lowercase(), P.Whitespace(), template(), None),
    "marks": ("wordlevel", None, P.Sequence([P.Punctuation("merged_with_previous"), P.Split(" ", "merged_with_next")]),
              None, None),
    "digits": ("wordlevel", N.NFKD(), P.Sequence([P.CharDelimiterSplit(" "), P.Digits(), P.Punctuation("contiguous")]),
               None, None),
    "inverted": ("wordlevel", None, P.Split(reference.Regex(r"\w+"), "removed", invert=True), None, None),
    "byte normalizer": ("bytes", N.ByteLevel(), P.WhitespaceSplit(), None, D.ByteLevel()),
}  # fmt: skip


def pair(models: dict[str, Any], name: str, folder: Path, normalized: bool = True) -> tuple[Tokenizer, Any]:
    """Ours and theirs; `normalized`: with an added token that is looked for in the normalized text."""
    model, normalizer, words, processor, decoder = CASES[name]
    theirs = reference.Tokenizer(models[model])
    slots = {"normalizer": normalizer, "pre_tokenizer": words, "post_processor": processor, "decoder": decoder}
    for slot, part in slots.items():
        if part is not None:
            setattr(theirs, slot, part)
    theirs.add_special_tokens(SPECIAL)
    theirs.add_tokens([reference.AddedToken("<e>", lstrip=True, normalized=False)])
    if normalized:
        theirs.add_tokens([reference.AddedToken("house cat", single_word=True)])
    theirs.save(str(folder / "tokenizer.json"))
    return open_tokenizer(folder), theirs


def agree(ours: Tokenizer, theirs: Any, text: str, other: str | None = None, offsets: bool = True) -> None:
    wanted = theirs.encode(text, other)
    got = ours(text, other, return_offsets_mapping=True, return_special_tokens_mask=True, return_token_type_ids=True)
    assert got.input_ids == wanted.ids == ours(text, other).input_ids, text
    if offsets:
        assert got.offset_mapping == wanted.offsets, text
    assert got.word_ids() == wanted.word_ids and got.token_type_ids == wanted.type_ids, text
    assert got.special_tokens_mask == wanted.special_tokens_mask
    for skip in (False, True):
        assert ours.decode(wanted.ids, skip_special_tokens=skip) == theirs.decode(wanted.ids, skip_special_tokens=skip)


@pytest.mark.parametrize("name", CASES)
def test_components(models: dict[str, Any], tmp_path: Path, name: str) -> None:
    ours, theirs = pair(models, name, tmp_path)
    assert ours.get_vocab() == theirs.get_vocab()
    offsets = name != "no unknown"  # where characters are dropped, the reference's offsets are of others
    for index, text in enumerate([*TEXTS, "The house cat <e> x"]):
        agree(ours, theirs, text, offsets=offsets)
        if text:
            agree(ours, theirs, TEXTS[index - 1], text, offsets)

    @settings(max_examples=120, deadline=None)
    @given(ANY_TEXT)
    def check(text: str) -> None:
        agree(ours, theirs, text, offsets=offsets)

    check()
    ours.add_tokens([AddedToken("<new>", normalized=False)])
    ours.save(tmp_path / "saved")
    other = reference.Tokenizer.from_file(str(tmp_path / "saved" / "tokenizer.json"))
    agree(open_tokenizer(tmp_path / "saved"), other, "the <new> cat")


@pytest.mark.parametrize("name", ["stripped", "stripped, bytes", "gpt", "qwen", "roberta", "xlm-r", "marian", "bert"])
def test_normalizing_and_cutting_at_once(models: dict[str, Any], tmp_path: Path, name: str) -> None:
    """Where no added token is looked for in between."""
    ours, theirs = pair(models, name, tmp_path, normalized=False)
    for text in [*TEXTS, "  the cat <e>\t cats \n", " x", "é e\u0301"]:
        agree(ours, theirs, text)


@pytest.mark.parametrize("name", ["roberta-base", "t5-small"])
def test_real_files(shared_data: Path, name: str) -> None:
    file = shared_data / "tokenizers" / name / "tokenizer.json"
    ours, theirs = open_tokenizer(file), reference.Tokenizer.from_file(str(file))
    for text in real_texts(shared_data):
        agree(ours, theirs, text)


def test_loading_by_folder(models: dict[str, Any], tmp_path: Path) -> None:
    """No config, no spec; roles from the configuration; a spec that knows other files takes it too."""
    pair(models, "llama3", tmp_path)
    config = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "padding_side": "left",
              "model_max_length": 9, "tokenizer_class": "PreTrainedTokenizerFast"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for ours in (mw.load_tokenizer(tmp_path), mw.load_tokenizer(tmp_path, spec="gpt2")):
        assert (ours.bos_token, ours.eos_token_id, ours.pad_token_id, ours.model_max_length) == ("<s>", 2, 3, 9)
        got, wanted = (t(["the house", "a"], padding=True, truncation=True) for t in (ours, theirs))
        assert got["input_ids"] == wanted["input_ids"] and got["attention_mask"] == wanted["attention_mask"]
    ours.save(tmp_path / "saved")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again("the house")["input_ids"] == ours("the house").input_ids and again.pad_token == "<pad>"


@pytest.mark.parametrize("change, message", [
    ({"normalizer": {"type": "Nmtt"}}, "normalizer `Nmtt` in tokenizer.json is not supported"),
    ({"pre_tokenizer": {"type": "UnicodeScripts"}}, "pre-tokenizer `UnicodeScripts`"),
    ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}}, "cannot be used"),
    ({"post_processor": {"type": "Template"}}, "did you mean `TemplateProcessing`"),
    ({"decoder": {"type": "CTC"}}, "decoder `CTC`"),
    ({"model": {"type": "Neural"}}, "model `Neural`"),
    ({"pre_tokenizer": {"type": "ByteLevel"}, "model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 0}},
     "pre-tokenizer `ByteLevel` before the model `Unigram`"),
    ({"model": {"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1}}, "drops merges by chance"),
    ({"model": {"type": "BPE"}}, "the tokenizer is damaged: KeyError 'merges'"),
    ({"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 4}}, "unknown piece has the id 4"),
    ({"added_tokens": [{"content": 3}]}, "damaged"),
    ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA"}}, "damaged"),
])
def test_what_is_not_known_is_named(
    models: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    pair(models, "gpt", tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(TokenizerError) as caught:
        open_tokenizer(file)
    assert message in str(caught.value)
