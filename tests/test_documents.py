"""Safe YAML with places: what is read, where it stands, and what is refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.assembler.language import documents
from modelwright.assembler.language.documents import load_document, parse_document
from modelwright.errors import SpecError

BOMB = "l0: &l0 [x, x]\n" + "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 10))


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers of PyYAML: the one in C may be missing."""
    loader = getattr(yaml, request.param, None)
    if loader is None:
        pytest.skip("PyYAML without libyaml")
    monkeypatch.setattr(documents, "_PARSER", loader)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_document(text, "x.yaml")
    return [f"{problem.place}: {problem.message}" for problem in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-12", 1e-12), ("1.5", 1.5), (".5", 0.5), ("-1.", -1.0), ("1E3", 1000.0), ("0x1F", 31), ("0o17", 15),
        ("017", 17), ("-3", -3), ("+3", 3), (".inf", math.inf), ("-.INF", -math.inf), ("~", None), ("null", None),
        ("", None), ("Null", None), ("nULL", "nULL"), ("true", True), ("FALSE", False), ("tRue", "tRue"), ("on", "on"),
        ("yes", "yes"), ("off", "off"), ("No", "No"), ("y", "y"), ("2020-01-01", "2020-01-01"), ("1_000", "1_000"),
        ("12:30", "12:30"), ("0b1", "0b1"), ("1e", "1e"), ("'1'", "1"), ('"null"', "null"), ("${a}", "${a}"),
        ("${calc:4 * ${a}}", "${calc:4 * ${a}}"), ("=", "="), ("٣", "٣"), ("nan", "nan"),
    ],
)  # fmt: skip
def test_scalars_of_yaml_1_2(text: str, value: Any, parser: None) -> None:
    found = parse_document(f"k: {text}", "x.yaml").tree["k"]
    assert (type(found), found) == (type(value), value)


def test_nan() -> None:
    assert math.isnan(parse_document("[.nan]", "x").tree[0])


def test_tree_and_places(parser: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("\ufeffmödel:\n  part: {repeat: 12,\n    x: [1, 'b c']}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    document = load_document(tmp_path / "a.yaml")
    assert document.tree == {"mödel": {"part": {"repeat": 12, "x": [1, "b c"]}}}
    place = document.places["mödel", "part", "x", 1]
    assert (str(place), place.width, place.text) == ("a.yaml:3:12", 5, "    x: [1, 'b c']}")
    assert str(document.places["mödel", "part", "repeat"]) == "a.yaml:2:18"
    assert str(document.key_places["mödel", "part", "repeat"]) == "a.yaml:2:10"
    assert str(document.places["mödel",]) == "a.yaml:2:3"
    assert set(document.key_places) == {path for path in document.places if path and isinstance(path[-1], str)}
    monkeypatch.chdir("/")
    relative = os.path.relpath(tmp_path / "a.yaml")
    assert load_document(relative).source == relative


def test_aliases_are_expanded_and_keep_the_place_of_the_anchor(parser: None) -> None:
    document = parse_document("a: &x {b: [1]}\nc: *x\n", "x.yaml")
    assert document.tree == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert document.places["c", "b", 0] == document.places["a", "b", 0]
    document.tree["a"]["b"].append(2)
    assert document.tree["c"]["b"] == [1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !!python/object/apply:os.system [x]", "x.yaml:1:4: tag `!!python/object/apply:os.system` is not allowed"),
        ("a: !foo 3", "x.yaml:1:4: tag `!foo` is not allowed"),
        ("%TAG ! tag:x,2000:\n---\na: !b 1", "x.yaml:3:4: tag `tag:x,2000:b` is not allowed"),
        ("a: !!int 3", "x.yaml:1:4: tag `!!int` is not allowed"),
        ("1: a", "x.yaml:1:1: key `1` is an integer, not a string"),
        ("a: {~: 1}", "x.yaml:1:5: key `~` is null, not a string"),
        ("true: 1", "x.yaml:1:1: key `true` is a truth value, not a string"),
        ("? [a]\n: 1", "x.yaml:1:3: a key is a plain or quoted string"),
        ("<<: {a: 1}", "x.yaml:1:1: merge keys `<<` are not allowed"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document begins here"),
        ("a: *b", "x.yaml:1:4: no anchor `&b` stands before this alias"),
        ("a: &a [*a]", "x.yaml:1:8: `*a` stands within what it refers to"),
        (BOMB, "x.yaml:5:47: more than 20000 values, aliases expanded"),
        ("a: &a 1\nb: [" + "*a, " * 200 + "]", "x.yaml:2:405: more than 100 aliases"),
        ("[" + "a," * 30_000 + "]", "x.yaml:1:40000: more than 20000 values, aliases expanded"),
        ("[" * 100_000, "x.yaml:1:66: nested more than 64 levels deep"),
        ("{a: " * 100_000, "x.yaml:1:258: nested more than 64 levels deep"),
        ("- " * 100_000, "x.yaml:1:131: nested more than 64 levels deep"),
        ("? " * 100_000, "x.yaml:1:131: nested more than 64 levels deep"),
        (f"a: &a {'[' * 40}{']' * 40}\nb: {'[' * 40}*a{']' * 40}", "x.yaml:2:44: nested more than 64 levels deep"),
        ("a: 1" + "0" * 200, "x.yaml:1:4: an integer of 201 digits"),
        ("a: -1e999", "x.yaml:1:4: `-1e999` is larger than any number that can be held"),
        ("a: b: c", "x.yaml:1:5: not YAML: mapping values are not allowed"),
        ("a: 1\nb: \x07", "x.yaml:2:4: not YAML: a character that may not stand in YAML"),
        ("\ud800", "x.yaml: not text"),
        (b"a: 1\nbc: \xff", "x.yaml:2:5: not UTF-8 text"),
        (b"a: 1\n" * (1 << 18), "x.yaml: larger than 1024 KiB"),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_refused(text: str | bytes, expected: str, parser: None) -> None:
    [found] = problems(text)
    if "more than 20000" in expected:  # where it is noticed depends on nothing a user cares about
        found, expected = found.rpartition(": ")[2], expected.rpartition(": ")[2]
    assert found.startswith(expected)


def test_independent_problems_come_at_once(parser: None) -> None:
    assert problems("a: !t 1\na: 2\nb: {c: 1, c: 2}\n3: 4\n") == [
        "x.yaml:1:4: tag `!t` is not allowed", "x.yaml:2:1: duplicate key `a`", "x.yaml:3:11: duplicate key `c`",
        "x.yaml:4:1: key `3` is an integer, not a string",
    ]  # fmt: skip
    with pytest.raises(SpecError) as caught:
        parse_document("key: 1\nkey: 2", "x.yaml")
    assert caught.value.render().endswith(" 2 | key: 2\n   | ^^^\n   = `key` stands here already   x.yaml:1:1")


@pytest.mark.parametrize("path", ["nothing.yaml", ".", "/dev/zero", "a\0b", "x" * 5000])
def test_what_is_no_file(path: str) -> None:
    with pytest.raises(SpecError, match="no file|cannot read"):
        load_document(path)


def test_snippets_cannot_steer_a_terminal() -> None:
    with pytest.raises(SpecError) as caught:
        parse_document("a: 1\n\x85a: \u202e2", "x.yaml")
    assert "\u202e" not in str(caught.value)


yamlish = st.text(alphabet="ab:-[]{}&*!|>'\"#%,? \n\t0.e~\u2028é", max_size=60)


@settings(deadline=None, max_examples=300)
@given(st.one_of(yamlish, st.text(max_size=80), st.binary(max_size=80)))
def test_anything_is_a_value_or_a_spec_error(data: str | bytes) -> None:
    try:
        document = parse_document(data, "x.yaml")
    except SpecError as error:
        assert error.diagnostics
        error.render()
    else:
        assert () in document.places


basic = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(basic, max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(basic, max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(json_values)
def test_reads_json(value: Any) -> None:
    """JSON is YAML 1.2, and another library writes it."""
    assert repr(parse_document(json.dumps(value), "x.yaml").tree) == repr(value)
