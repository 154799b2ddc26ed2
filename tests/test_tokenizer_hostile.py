"""Texts and files that are made to exhaust: linear in time and memory, or one clear error. What could exhaust runs in a
process of its own with limits, so that failing is failing, not waiting."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizer_texts import TEXTS

import modelwright as mw
from modelwright.errors import TokenizerError
from modelwright.tokenizers import build_tokenizer, open_tokenizer, split_patterns
from modelwright.tokenizers.bpe import BytePairs
from modelwright.tokenizers.byte_alphabet import ALPHABET
from modelwright.tokenizers.unigram import Unigram

GOLDEN = Path(__file__).parent / "golden" / "python_tokenizers"
SECONDS, MEBIBYTES = 30, 2048
SIZE = 30_000
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = ["t", "h", "e", "th", "the", "a", "aa", "aaaa", "an", "ing", "er", "é", "水"]
PROGRAM = """
import importlib.util, json, random, resource, sys
root, source, size, seconds, mebibytes = sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:])
spec = importlib.util.spec_from_file_location("modelwright", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["modelwright"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["modelwright"])
import modelwright as mw
from modelwright.tokenizers import build_tokenizer, open_tokenizer
kind, folder = source
section = None if kind == "json" else mw.load_spec(kind).tokenizer_section()
tokenizer = open_tokenizer(folder) if section is None else build_tokenizer(section, folder)
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
letters = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=size))
parts = ["a", "the", "\\u0301", "é", "水", " ", "'", "9,", "👍🏿", "<unk>", "\\u302e\\u0301"]
found = {}
for text in [letters, *(part * (size // len(part)) for part in parts)]:
    found[text[:3]] = [len(tokenizer.encode(text)), len(tokenizer(text, return_offsets_mapping=True).offset_mapping)]
print(json.dumps(found))
"""


def written(kind: str, folder: Path) -> list[str]:
    """A small vocabulary for a spec, or a whole tokenizer."""
    pairs = [("t", "h"), ("th", "e"), ("a", "a"), ("aa", "aa"), ("e", "r"), ("in", "g"), ("i", "n")]
    if kind == "bert":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        lines = [*special, *LETTERS, *PIECES, *(f"##{piece}" for piece in [*LETTERS, *PIECES]), ".", "9", ","]
        (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(lines)))
    elif kind in ("gpt2", "gpt"):
        end = "</w>" if kind == "gpt" else ""
        pairs += [("th", "e</w>"), ("e", "r</w>")] if end else []
        pieces = ["<unk>", *(ALPHABET if kind == "gpt2" else [*LETTERS, *(letter + end for letter in LETTERS)])]
        pieces = dict.fromkeys([*pieces, *(left + right for left, right in pairs), "<|endoftext|>", "<s>"])
        (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
        (folder / "merges.txt").write_text("".join(f"{left} {right}\n" for left, right in pairs))
    elif kind == "json":
        (folder / "tokenizer.json").write_text(json.dumps(unigram_file()))
    else:
        return [kind, str(GOLDEN / kind)]
    return [kind, str(folder)]


def unigram_file(**changes: Any) -> dict[str, Any]:
    vocabulary = [["<unk>", 0.0], ["\u2581", -2.0], *([piece, -3.0 - number] for number, piece in enumerate(PIECES))]
    return {
        "model": {"type": "Unigram", "vocab": vocabulary, "unk_id": 0}, "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"},
        "decoder": {"type": "Metaspace", "replacement": "\u2581"}, **changes,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["bert", "gpt2", "gpt", "ctrl", "xlm", "xlnet", "transfo_xl", "json"])
def test_one_word_without_end(tmp_path: Path, kind: str) -> None:
    """Words of tens of thousands of characters. Work that grew with their square would not end in time."""
    root = str(Path(mw.__file__).parent)
    numbers = map(str, (SIZE, SECONDS, MEBIBYTES))
    command = [sys.executable, "-P", "-c", PROGRAM, root, json.dumps(written(kind, tmp_path)), *numbers]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]
    found = json.loads(done.stdout)
    assert len(found) == 12 and all(ids == offsets for ids, offsets in found.values())
    if kind == "bert":  # words longer than 100 characters are unknown, marks vanish, ideographs are words
        assert [found[text][0] for text in ("aaa", "é" * 3, "\u0301" * 3, "水水水")] == [3, 3, 2, SIZE + 2]
    if kind == "gpt2":
        assert found["aaa"][0] == SIZE // 4 and found["the"][0] == SIZE // 3


# Files --------------------------------------------------------------------------------------------------------------


def bpe_file(**changes: Any) -> dict[str, Any]:
    vocabulary = {piece: number for number, piece in enumerate(ALPHABET)}
    return {
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "decoder": {"type": "ByteLevel"}, **changes,
    }  # fmt: skip


DEEP: dict[str, Any] = {"type": "Lowercase"}
for _ in range(300):
    DEEP = {"type": "Sequence", "normalizers": [DEEP]}
WRONG = [None, 3, -1, 1.5, True, "x", [], ["x"], [[]], {}, {"type": 3}, {"type": "Sequence"}]


@pytest.mark.parametrize("key", ["normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "added_tokens"])
def test_wrong_types_in_a_file(tmp_path: Path, key: str) -> None:
    """It is a tokenizer that works, or one error."""
    file = tmp_path / "tokenizer.json"
    parts = {
        "normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": False},
        "post_processor": {"type": "RobertaProcessing", "cls": ["a", 64], "sep": ["b", 65], "trim_offsets": True},
        "decoder": {"type": "Strip", "content": "a", "start": 1, "stop": 0},
        "model": {**bpe_file()["model"], "unk_token": "a", "byte_fallback": False},
        "added_tokens": [{"id": 300, "content": "<x>", "special": True}],
    }
    whole = parts[key]
    changed = [*WRONG]
    for wrong in WRONG:
        if isinstance(whole, dict):
            changed += [{**whole, name: wrong} for name in whole]
        else:
            changed += [[{**whole[0], name: wrong}] for name in whole[0]]
    for part in changed:
        file.write_text(json.dumps(bpe_file(**{key: part})))
        try:
            tokenizer = open_tokenizer(file)
            tokenizer.decode(tokenizer.encode("a cab <x>"))
        except TokenizerError as problem:
            assert str(problem)


@pytest.mark.parametrize("change, message", [
    ({"normalizer": DEEP}, None),
    ({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}, "make or take `ab`"),
    ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a x"]}}, "make or take `x`"),
    ({"model": {"type": "BPE", "vocab": {"a": "0"}, "merges": []}}, "damaged"),
    ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}}, "damaged"),
    ({"model": {"type": "WordLevel", "vocab": ["a"], "unk_token": "a"}}, "damaged"),
    ({"model": {"type": "Unigram", "vocab": [], "unk_id": None}}, None),
    ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}}, "cannot be used"),
    ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a{9999999999}"}, "behavior": "Isolated"}}, "cannot be"),
    ({"normalizer": {"type": "Replace", "pattern": {"Regex": "[z-a]"}, "content": ""}}, "cannot be used"),
    ({"decoder": {"type": "Replace", "pattern": {"Regex": "(a"}, "content": ""}}, "cannot be used"),
])  # fmt: skip
def test_files_that_say_impossible_things(tmp_path: Path, change: dict[str, Any], message: str | None) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(bpe_file(**change)))
    if message is None:
        try:
            open_tokenizer(file).encode("a")
        except TokenizerError as problem:
            assert str(problem)
        return
    with pytest.raises(TokenizerError, match=message):
        open_tokenizer(file)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 100_000, b'{"model": ' * 50_000, b'{"model": NaN}', b"{}"])
def test_files_that_are_no_tokenizers(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(data)
    with pytest.raises(TokenizerError):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"(a|a)*b", r"(?:a|aa)+$x", r"(\w+\s?)*z"])
@pytest.mark.parametrize("slot", ["pre_tokenizer", "normalizer", "decoder"])
def test_patterns_that_never_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, slot: str
) -> None:
    """A pattern may be made to try more ways than there is time for: that stops with an error."""
    monkeypatch.setattr(split_patterns, "_SECONDS", 0.2)
    part: dict[str, Any] = {"pattern": {"Regex": pattern}}
    if slot == "pre_tokenizer":
        part |= {"type": "Split", "behavior": "Isolated"}
    else:
        part |= {"type": "Replace", "content": "-"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(bpe_file(**{slot: part})))
    tokenizer = open_tokenizer(tmp_path)
    try:
        if slot == "decoder":
            added = "a" * 60
            tokenizer.add_tokens([added])
            tokenizer.decode(tokenizer.encode(added))
        else:
            tokenizer.encode("a" * 60 + "!")
    except TokenizerError as problem:
        assert "takes too long" in str(problem)


def test_pieces_that_are_not_there() -> None:
    with pytest.raises(TokenizerError, match="make or take `xy`"):
        BytePairs({"x": 0, "y": 1}, merges=[("x", "y")])
    assert BytePairs({"x": 0, "y": 1, "?": 2}, merges=[("x", "y")], unknown="?").ids("xyx") == (2, 0)
    with pytest.raises(TokenizerError, match="no piece for 'b'"):
        Unigram([("a", -1.0)]).ids("ab")


def test_caches_stay_small(tmp_path: Path) -> None:
    """Words that never come back do not pile up."""
    tokenizer = build_tokenizer(mw.load_spec("gpt2").tokenizer_section(), written("gpt2", tmp_path)[1])
    pipeline = tokenizer._encoder.pipeline
    cache = pipeline._words.ids
    cache._limit = 500
    text = " ".join(f"{number:x}, {number}th" for number in range(4000))
    once = tokenizer(text, return_offsets_mapping=True)
    assert tokenizer(text, return_offsets_mapping=True) == once and tokenizer.encode(text) == once.input_ids
    assert 0 < len(cache) <= 500
    assert "".join(text[start:end] for start, end in once.offset_mapping) == text
    long = "".join(TEXTS) * 50
    tokenizer.encode(long)
    assert all(len(key) <= 64 for key in cache)
