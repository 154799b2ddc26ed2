"""Interpolation, arithmetic, the chain of values behind an error, sections, and the index of the package's specs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

import modelwright
from modelwright.assembler.language import layers
from modelwright.assembler.language.calc import CalcError, evaluate
from modelwright.assembler.language.compose import Composition, compose, override
from modelwright.assembler.language.resolve import chain, references, resolve, resolve_hparams
from modelwright.assembler.language.spec import (
    Pretrained,
    find_config_matches,
    find_pretrained,
    list_specs,
    load_spec,
    pretrained_names,
)
from modelwright.errors import Place, SpecError, UsageError

BASE = """\
spec: base
hparams:
  width: 768
  count: 12
  part: ${calc:${width} / ${count}}
  wide: ${calc:4 * ${width}}
  act: gelu
  sizes: [1, 2]
  table: {x: {y: 5}}
  causal: false
  nothing: null
model:
  body: {block: stack, size: "${part}", repeat: 3}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def failure(function: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        function(*args, **options)
    return str(caught.value)


def lacking(message: str, expected: list[str]) -> list[str]:
    return [text for text in expected if text not in message]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("7 // 2", 3), ("7 % 4", 3), ("2 ** 10", 1024), ("-3", -3), ("8 / 2", 4),
        ("7.0 / 2", 3.5), ("1 / 0.5", 2.0), ("64 ** -0.5", 0.125), ("2 ** -1", 0.5), ("not true", False),
        ("True and null == None", True), ("false or 1 < 2 <= 2", True), ("1 < 2 > 3", False),
        ("'a' if 1 > 0 else 'b'", "a"),
        ("min(3, 2, 5) + max(1, 4)", 6), ("len(xs)", 2), ("xs == xs", True), ("'a' == \"a\"", True), ("1.5e3", 1500.0),
        ("false and 1 / 0 == 1", False), ("1 if true else 1 / 0", 1), ("2 ** 63", 2**63), ("None", None),
        ("1.0 == 1", True),
    ],
)  # fmt: skip
def test_calc(expression: str, value: Any) -> None:
    found = evaluate(expression, {"xs": [1, 2]})
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("768 / 10", "768 cannot be split evenly by 10"), ("1 / 0", "division by zero"), ("1 % 0", "division by zero"),
        ("1.0 // 0", "division by zero"), ("9**9**9", "9 ** 387420489 is too large"), ("2 ** 64 * 2", "64 bits"),
        ("10.0 ** 400", "has no value"), ("1e308 * 10", "not a finite number"), ("(-8) ** 0.5", "not a finite number"),
        ("0 ** -1", "has no value"), ("'a' * 9", "`'a'` is not a number"), ("'a' + 'b'", "is not a number"),
        ("true + 1", "`true` is not a number"), ("not 1", "neither true nor false"),
        ("1 if 1 else 2", "neither true nor"),
        ("1 < 'a'", "cannot be compared"), ("1 in xs", "are not among the comparisons"),
        ("min(1, 'a')", "has no value"),
        ("min()", "has no value"), ("len(3)", "has no value"), ("x", "unknown name `x`"),
        ("xs[0]", "more than arithmetic"),
        ("().__class__", "more than arithmetic"), ("__import__('os')", "more than arithmetic"),
        ("lambda: 1", "more than"),
        ("[1]", "more than arithmetic"), ("f'{1}'", "more than arithmetic"), ("min(*xs)", "more than arithmetic"),
        ("len(x=1)", "more than arithmetic"), ("(y := 1)", "more than arithmetic"), ("1 @ 2", "more than arithmetic"),
        ("b'a'", "more than arithmetic"), ("1j", "more than arithmetic"), ("1 << 9", "more than arithmetic"),
        ("+1", "more"),
        ("...", "more than arithmetic"), ("", "not an expression"), ("1 +", "not an expression"),
        ("\0", "not an expression"),
        ("a = 1", "not an expression"), ("(" * 300, "not an expression"),
        ("-" * 99 + "1", "nested more than 40 levels"),
        ("1 + " * 499 + "1", "an expression of 1997 characters"), ("9" * 400, "64 bits"),
    ],
)  # fmt: skip
def test_calc_refuses(expression: str, message: str) -> None:
    with pytest.raises(CalcError) as caught:
        evaluate(expression, {"xs": [1, 2]})
    assert message.replace("`'a'`", "'a'").replace("`true`", "true") in str(caught.value).replace("True", "true")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${width}", 768), ("${ width }", 768), ("${act}", "gelu"), ("a${width}b${act}", "a768bgelu"),
        ("${sizes}", [1, 2]),
        ("${sizes[1]}", 2), ("${sizes.0}", 1), ("${table.x.y}", 5), ("${table[x][y]}", 5),
        ("${table}", {"x": {"y": 5}}),
        ("${causal}", False), ("${nothing}", None), ("x=${causal},${nothing}", "x=false,null"), ("${part}", 64),
        ("${calc:(${width} + 1) * 2}", 1538), ("${calc: ${width} ** 0.5 }", 768**0.5),
        ("$5 {i:03d} $A", "$5 {i:03d} $A"),
        ("${calc:'pre' if ${causal} else 'post'}", "post"), ("${calc:\"'pre' if ${causal} else 'post'\"}", "post"),
        ("${calc:${act} == 'gelu'}", True), ("${calc:${nothing} == null}", True), ("${calc:len(${sizes})}", 2),
        ("${calc:\"${width} if ${causal} else None\"}", None), ("${calc:${act} == '}'}", False), (r"\d+", r"\d+"),
        ("${calc:1}-${calc:2}", "1-2"), ("${calc:not ${causal}}", True), ({"a": ["${width}"]}, {"a": [768]}),
    ],
)  # fmt: skip
def test_interpolation(folder: Path, text: Any, value: Any) -> None:
    composition = compose("base.yaml")
    found = resolve(text, resolve_hparams(composition), composition)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${widht}", ["unknown hparam `widht`", "did you mean `width`"]),
        ("${oc.env:HOME}", ["resolver `oc.env` is not allowed"]),
        ("${oc.env:HOME,${width}}", ["resolver `oc.env` is not allowed"]),
        ("a ${env:X}", ["resolver `env` is not allowed"]),
        ("${oc.decode:'1'}", ["resolver `oc.decode`"]),
        ("${calc:${oc.env:HOME}}", ["resolver `oc.env`"]),
        ("${.width}", ["`${.width}` does not name an hparam"]),
        ("${${act}}", ["does not name an hparam"]),
        ("${${act}:1}", ["does not name an hparam"]),
        ("${}", ["`${}` does not name an hparam"]),
        ("${width", ["`${` is never closed"]),
        ("${calc:1 + ${width}", ["`${calc:` is never closed"]),
        ("${calc:'a}", ["`${calc:` is never closed"]),
        (r"\${width}", ["a literal `${` is not possible"]),
        ("${calc:'${act}' == 'gelu'}", ["`${act}` within quotes would be plain text"]),
        ("${calc:width * 2}", ["unknown name `width`", "an hparam is written ${width}"]),
        ("${calc:${act} * 2}", ["'gelu' is not a number"]),
        ("${calc:${width}.real}", ["`${width}.real` is more than arithmetic"]),
        ("${calc:9**9**9}", ["is too large"]),
        ("x${sizes}", ["cannot stand within a text"]),
        ("${width.x}", ["not a container"]),
        ("${table.z}", ["`${table.z}`"]),
        ("${sizes[7]}", ["`${sizes[7]}`"]),
        ("${calc:${width} / 10}", ["768 cannot be split evenly by 10", "= width = 768", "base.yaml:3:10",
                                   "nearest divisors of 768: 8, 12"]),
        ("${calc:${part} / 7}", ["= part = 64", "= width = 768", "= count = 12 "]),
    ],
)  # fmt: skip
def test_refused_interpolation(folder: Path, text: str, expected: list[str]) -> None:
    composition = compose("base.yaml", {"model.body.size": text})
    message = failure(resolve, composition.tree["model"], resolve_hparams(composition), composition, ("model",))
    assert not lacking(message, expected), message


def test_the_error_that_the_plan_shows(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        resolve_hparams(compose("base.yaml", ["count=10"]))
    assert caught.value.render().splitlines() == [
        "error: 768 cannot be split evenly by 10",
        "  --> base.yaml:5:9",
        "   |",
        " 5 |   part: ${calc:${width} / ${count}}",
        "   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "   = width = 768   base.yaml:3:10",
        "   = count = 10    --set count=10 (replaces 12, base.yaml:4:10)",
        "   = help: nearest divisors of 768: 8, 12",
    ]


def test_hparams_keep_their_order_and_all_errors_come_at_once(folder: Path) -> None:
    assert list(resolve_hparams(compose("base.yaml"))) == [
        "width", "count", "part", "wide", "act", "sizes", "table", "causal", "nothing"
    ]  # fmt: skip
    overrides = ["count=10", "wide=${nope}", "act=${oc.env:A}", "sizes=['x${part}']"]
    message = failure(resolve_hparams, compose("base.yaml", overrides))
    assert message.count("error:") == 3  # what depends on a failed one is not reported again
    assert not lacking(message, ["split evenly", "unknown hparam `nope`", "resolver `oc.env`"])


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["width=${width}"], {"width"}),
        (["width=${count}", "count=${calc:1 + ${act}}", "act=x${width}"], {"width", "count", "act"}),
        (["sizes=[1, {a: '${table}'}]", "table={x: '${sizes}'}"], {"sizes", "table"}),
    ],
)
def test_circles(folder: Path, overrides: list[str], names: set[str]) -> None:
    with pytest.raises(SpecError, match="hparams refer to each other in a circle") as caught:
        resolve_hparams(compose("base.yaml", overrides))
    [found] = caught.value.diagnostics
    circle = found.message.partition(": ")[2].split(" -> ")
    assert (set(circle), circle[0], len(circle)) == (names, circle[-1], len(names) + 1)
    assert [note.text.split()[0] for note in found.notes] == circle[:-1]
    assert found.place.source.startswith(f"--set {circle[0]}=")


def test_values_from_a_config(folder: Path) -> None:
    composition = compose("base.yaml")
    hparams = resolve_hparams(composition, {"width": 1024, "count": 16, "table": {0: "a"}}, Place("config.json"))
    assert (hparams["part"], hparams["wide"], hparams["table"]) == (64, 4096, {0: "a"})
    assert str(hparams.origins["width"]) == "config.json (replaces 768, base.yaml:3:10)"
    notes = chain(composition, ("model", "body", "size"), hparams)
    assert [(note.text, note.place) for note in notes] == [
        ("part = 64", "base.yaml:5:9"),
        ("width = 1024", "config.json (replaces 768, base.yaml:3:10)"),
        ("count = 16", "config.json (replaces 12, base.yaml:4:10)"),
    ]
    message = failure(resolve_hparams, composition, {"count": 10}, Place("config.json"))
    assert "= count = 10    config.json (replaces 12, base.yaml:4:10)" in message
    message = failure(resolve_hparams, composition, {"widht": 3, "act": "${oc.env:HOME}"}, Place("config.json"))
    assert not lacking(message, ["unknown hparam `widht`", "--> config.json", "`act` may not hold `${`"])
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    assert "`act` may not nest 64 levels deep" in failure(resolve_hparams, composition, {"act": deep})


def test_chain(folder: Path) -> None:
    composition = compose("base.yaml", ["width=96"])

    def found(*path: str | int) -> list[str]:
        return [f"{note.text} @ {note.place}" for note in chain(composition, path)]

    width, count = "width = 96 @ --set width=96 (replaces 768, base.yaml:3:10)", "count = 12 @ base.yaml:4:10"
    part = "part = ${calc:${width} / ${count}} @ base.yaml:5:9"
    assert found("model", "body", "size") == found("model", "body") == [part, width, count]
    assert found("hparams", "wide")[1:] == [width]
    assert found("model", "body", "repeat") == ["repeat = 3 @ base.yaml:13:49"]
    assert found("model", "nothing") == []
    assert references(composition.tree) == ["width", "count", "part"]


@pytest.mark.parametrize(
    "hparams",
    [
        {f"a{i}": f"${{a{i + 1}}}" * 10 for i in range(20)} | {"a20": "x" * 100},
        {f"a{i}": [f"${{a{i + 1}}}"] * 10 for i in range(20)} | {"a20": [1] * 100},
        {"a": "x" * 900_000, "b": "${a}" * 10_000},
        {"a": "$", "b": "${a}{oc.env:HOME}", "c": "${b}"},
        {"a": {"b": "$"}, "b": ["${a.b}{oc.env:HOME}"], "c": "${b[0]}"},
        {"heads": 3, "act": "${nope}"},
    ],
    ids=["texts", "lists", "one text", "made at run time", "made below", "named like a section"],
)
def test_hostile_hparams(folder: Path, hparams: dict[str, Any]) -> None:
    message = failure(resolve_hparams, override(compose("base.yaml"), {"hparams": hparams}))
    assert len(message) < 100_000 and "HOME=" not in message


def test_long_chains_need_no_stack(folder: Path) -> None:
    hparams = {f"a{i}": f"${{a{i + 1}}}" for i in range(2000)} | {"a2000": 7}
    composition = override(compose("base.yaml"), {"hparams": hparams})
    assert resolve_hparams(composition)["a0"] == 7
    assert len(chain(composition, ("hparams", "a0"))) == 2001


@pytest.mark.parametrize("name", ["act", "table.x.y", "table[x]", "sizes", "sizes.0", "sizes[1]", "nothing", "part"])
def test_names_are_those_of_omegaconf(folder: Path, name: str) -> None:
    """The same grammar, and the same values, as the library gives for the same hparams."""
    hparams = resolve_hparams(compose("base.yaml"))
    for text in (f"${{{name}}}", f"${{ {name} }}"):
        assert resolve(text, hparams) == OmegaConf.create({**hparams, "text": text}).text


pieces = st.sampled_from([
    *"{}1'\"+()\\.[]:$ 9\n,a", "${", "calc:", "${a}", "${calc:", "**", "if", "else", "oc.env:HOME", "min", "not ", "=="
])  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(pieces, max_size=14).map("".join) | st.text(max_size=30).map(lambda text: f"${{calc:{text}}}"))
def test_any_string_has_a_value_or_a_spec_error(text: str) -> None:
    composition = Composition("x", [], {"hparams": {"a": 3, "l": [1]}, "model": text})
    try:
        resolve(text, {"a": 3, "l": [1]}, composition, ("model",))
    except SpecError as error:
        error.render()


BAD = """\
modle: 3
hparams: {"a-b": 3}
about: {titel: x, paper: 3, code: [a, 2]}
configs:
  huggingface: {fiel: 3, file: 4, read: {widht: [a, 3, {kye: b}], count: {key: 3}}, ignore: 3}
  other: {like: hugingface}
weights:
  huggingface: {store: torch, rules: {x: {form: 3}, y: 4, z: {from: a, when: 3}}}
model: {body: 3}
heads: []
pretrained: {x: {hugingface: y}}
generation: {requires: {widht: 3}}
"""


def test_sections(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD + "extends: base.yaml")
    with pytest.raises(SpecError) as caught:
        load_spec("bad.yaml")
    found = [f"{d.place.line}:{d.place.column} {d.message} {d.label}".rstrip() for d in caught.value.diagnostics]
    assert found == [
        "1:1 unknown key `modle` in the spec did you mean `model`?",
        "2:11 `a-b` cannot be a name in `hparams`",
        "3:9 unknown key `titel` in `about` did you mean `title`?",
        "3:26 `about.paper` must be a string or a list, but is `3`",
        "3:39 `about.code.1` must be a string, but is `2`",
        "5:17 unknown key `fiel` in `configs.huggingface` did you mean `file`?",
        "5:32 `configs.huggingface.file` must be a string or a list, but is `4`",
        "5:42 unknown hparam `widht` in `configs.huggingface.read` did you mean `width`?",
        "5:53 `configs.huggingface.read.widht.1` must be a string or a mapping, but is `3`",
        "5:57 unknown key `kye` in `configs.huggingface.read.widht.2` did you mean `key`?",
        "5:80 `configs.huggingface.read.count.key` must be a string, but is `3`",
        "5:93 `configs.huggingface.ignore` must be a list or a mapping, but is `3`",
        "6:17 unknown format `hugingface` in `configs.other.like` did you mean `huggingface`?",
        "8:24 `weights.huggingface.store` must be a list, but is `torch`",
        "8:39 `weights.huggingface.rules.x` lacks `from`",
        "8:43 unknown key `form` in `weights.huggingface.rules.x` did you mean `from`?",
        "8:56 `weights.huggingface.rules.y` must be a string or a mapping or a list, but is `4`",
        "8:78 `weights.huggingface.rules.z.when` must be true or false, but is `3`",
        "9:15 `model.body` must be a mapping, but is `3`",
        "10:8 `heads` must be a mapping, but is a list",
        "11:18 unknown format `hugingface` in `pretrained.x` did you mean `huggingface`?",
        "12:25 unknown hparam `widht` in `generation.requires` did you mean `width`?",
    ]


def test_a_spec(folder: Path) -> None:
    (folder / "my.yaml").write_text("""\
extends: base.yaml
configs:
  first: {file: a.json, match: {type: x}, read: {width: w}, ignore: [n]}
  second: {like: first, match: {}, file: b.json}
weights: {first: {rules: {a: b}, ignore: {c: a reason}}, second: {}}
tokenizer: {size: "${calc:${width} + 1}"}
""")
    spec = load_spec("my.yaml", ["width=24"])
    assert (spec.name, spec.weights_formats, load_spec(spec)) == ("my", ["first", "second"], spec)
    like = {"match": {}, "file": "b.json", "read": {"width": "w"}, "ignore": ["n"]}
    assert spec.sections["configs"]["second"] == like
    assert spec.sections["heads"] == {}
    hparams = spec.hparams({"count": 2})
    sections = spec.interpolated(hparams)
    assert sections["model"]["body"]["size"] == 12 and sections["hparams"] == dict(hparams)
    assert spec.tokenizer_section() == {"size": 25} and load_spec("base.yaml").tokenizer_section() is None
    assert spec.with_overrides({"width": 48}).hparams()["wide"] == 192 and spec.hparams()["wide"] == 96
    located = spec.locate(("model", "body", "size"), hparams)
    assert str(located["place"]) == "base.yaml:13:30" and [n.text for n in located["notes"]][2] == "count = 2"
    with pytest.raises(UsageError):
        load_spec(spec, ["width"])
    assert "must be a mapping" in failure(spec.with_overrides, {"weights.first": [1]})


@pytest.mark.parametrize(
    "text",
    ["hparams:", "hparams: [1]", "configs: {a: null}", "pretrained: {a: [1]}", "model: {a: [1]}", "spec: 3",
     "heads:\nabout:\nweights:", "configs: {a: {like: [1], read: 3}}"],
)  # fmt: skip
def test_sections_of_the_wrong_kind_do_no_worse(folder: Path, text: str) -> None:
    (folder / "odd.yaml").write_text(text)
    try:
        load_spec("odd.yaml", ["model.x=3"] if "model" in text else None).hparams()
    except SpecError as error:
        assert "odd.yaml" in str(error)
    else:
        assert text.endswith(":")


def test_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "_all": "pretrained: {hidden: {a: b}}",
        "one": "configs: {h: {match: {kind: one}}, g: {match: {}}}\n"
               "pretrained: {p: {h: org/p, g: https://x/y, about: text}}",
        "two": "extends: one\nconfigs: {h: {match: {kind: two, sub: 1}}}\npretrained: {q: {h: org/q}, p: {h: org/p2}}",
    }  # fmt: skip
    (folder / "specs").mkdir()
    for name, text in texts.items():
        (folder / "specs" / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(layers, "SPECS", folder / "specs")
    assert list_specs() == ["one", "two"] and pretrained_names() == ["p", "q"]
    assert find_pretrained("p") == [
        Pretrained("one", "h", "org/p"), Pretrained("one", "g", "https://x/y"), Pretrained("two", "h", "org/p2")
    ]  # fmt: skip
    assert find_pretrained("hidden") == []
    assert find_config_matches({"kind": "one", "more": 1}) == ["one"]
    assert find_config_matches({"kind": "two", "sub": 1}) == ["two"] and find_config_matches({"kind": "two"}) == []


@pytest.mark.parametrize("name", list_specs())
def test_specs_of_the_package_load(name: str) -> None:
    spec = load_spec(name)
    assert spec.name == name and None not in spec.interpolated(spec.hparams()).values()


def test_no_torch() -> None:
    """The whole layer works without torch, and OmegaConf waits until a key of an hparam is asked for."""
    code = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('modelwright', sys.argv[1],"
        "submodule_search_locations=[sys.argv[2]]); m = sys.modules['modelwright'] = u.module_from_spec(s);"
        "s.loader.exec_module(m)\n"
        "from modelwright.assembler.language.spec import load_spec\n"
        "s = load_spec(sys.argv[3]); s.interpolated(s.hparams())\n"
        "print('omegaconf' in sys.modules, 'torch' in sys.modules)"
    )
    root = Path(modelwright.__file__).parent
    base = root / "specs" / "bert.yaml"
    command = [sys.executable, "-P", "-c", code, str(root / "__init__.py"), str(root), str(base)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["False", "False"]
