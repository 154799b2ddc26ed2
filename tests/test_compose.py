"""`extends`, overrides and the memory of where each value is from; rendering and comparing what they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.assembler.language import layers
from modelwright.assembler.language.compose import Composition, compose, override
from modelwright.assembler.language.documents import parse_document
from modelwright.assembler.language.render import diff, flow, render, render_diff
from modelwright.errors import SpecError, UsageError

BASE = """\
spec: base
hparams:
  width: 8
  depth: 2
  names: [a, b]
  table: {x: 1}
configs:
  plain: {read: {width: w}}
model:
  body:
    block: stack
    repeat: ${depth}
    norm: {block: layer_norm, eps: 1e-5}
    kinds: [one, two]
  pooler: {block: pooler}
weights:
  plain:
    rules:
      body.{i}.a: b
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def child(folder: Path, text: str, name: str = "child.yaml", extends: str = "base.yaml") -> Composition:
    (folder / name).write_text(f"extends: {extends}\n{text}")
    return compose(name)


def failure(*args: Any) -> str:
    with pytest.raises(SpecError) as caught:
        compose(*args)
    return str(caught.value)


def test_merge(folder: Path) -> None:
    hparams = "hparams: {depth: 3, names: [c], table: {y: 2}}"
    made = child(folder, f"{hparams}\nmodel: {{body: {{norm: {{eps: 1}}}}, head: {{block: h}}}}")
    assert made.name == made.tree["spec"] == "child"
    assert "extends" not in made.tree
    assert made.tree["hparams"] == {"width": 8, "depth": 3, "names": ["c"], "table": {"x": 1, "y": 2}}
    assert made.tree["model"]["body"]["norm"] == {"block": "layer_norm", "eps": 1}
    assert list(made.tree["model"]) == ["body", "pooler", "head"]
    assert [layer.source for layer in made.layers] == ["base.yaml", "child.yaml"]
    depth = made.origins["hparams", "depth"]
    assert str(depth) == "child.yaml:2:18 (replaces 2, base.yaml:4:10)"
    assert (depth.value, depth.layer, depth.replaced.layer) == (3, 1, 0)
    assert str(made.origins["hparams", "width"]) == "base.yaml:3:10"
    assert str(made.key_place(("model", "head"))) == "child.yaml:3:33"
    assert str(made.place(("model", "body", "norm", "missing"))) == "child.yaml:3:22"


def test_every_value_has_an_origin_that_knows_it(folder: Path) -> None:
    made = child(folder, "model: {pooler: null, body: {norm: {block: rms_norm}}}")
    made = override(made, ["table={z: [1]}", "width=3"])

    def visit(value: Any, path: tuple[str | int, ...]) -> int:
        assert made.origins[path].value == value or isinstance(value, dict)
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return 1 + sum(visit(item, (*path, key)) for key, item in items)

    assert visit(made.tree, ()) == len(made.origins)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("{norm: {block: rms_norm}}", {"norm": {"block": "rms_norm"}}),  # another block replaces the node
        ("{norm: {block: layer_norm}}", {"norm": {"block": "layer_norm", "eps": 1e-5}}),
        ("{norm: null}", {}),
        ("{kinds: [x]}", {"norm": {"block": "layer_norm", "eps": 1e-5}, "kinds": ["x"]}),
        ("{more: null}", {"norm": {"block": "layer_norm", "eps": 1e-5}, "more": None}),
        ("{block: other}", None),
    ],
)
def test_replacing_and_deleting(folder: Path, text: str, body: dict[str, Any] | None) -> None:
    made = child(folder, f"model: {{body: {text}}}").tree["model"]["body"]
    common = {"block": "stack", "repeat": "${depth}", "kinds": ["one", "two"]}
    assert made == ({"block": "other"} if body is None else common | body)


def test_null_is_a_value_of_an_hparam(folder: Path) -> None:
    made = child(folder, "hparams: {width: null, table: {x: null}}\nweights: null")
    assert made.tree["hparams"] == {"width": None, "depth": 2, "names": ["a", "b"], "table": {}}
    assert "weights" not in made.tree


def test_null_takes_an_hparam_away_once_nothing_refers_to_it(folder: Path) -> None:
    made = child(folder, "hparams: {width: null, depth: null}\nconfigs: {plain: {read: {width: null}}}")
    assert made.tree["hparams"] == {"depth": None, "names": ["a", "b"], "table": {"x": 1}}
    assert ("hparams", "width") not in made.origins and made.explicit == set()
    with pytest.raises(SpecError, match="unknown hparam `width`"):
        override(made, ["width=3"])


def test_explicit_hparams(folder: Path) -> None:
    assert compose("base.yaml").explicit == set()
    assert child(folder, "hparams: {depth: 3}").explicit == {"depth"}
    assert child(folder, "hparams: {width: 3}", "grandchild.yaml", "child.yaml").explicit == {"depth", "width"}
    assert child(folder, "hparams: {width: 3}\nconfigs: {}", "own.yaml", "child.yaml").explicit == set()
    made = compose("base.yaml", ["width=3", "hparams.table.x=1", "model.body.repeat=2"])
    assert made.explicit == {"width", "table"}


def test_extends_is_relative_to_the_extending_file_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "base.yaml").write_text("hparams: {width: 1}")
    (folder / "sub" / "a.yaml").write_text("extends: base.yaml")
    (folder / "sub" / "b.yaml").write_text("extends: ../base.yaml")
    assert compose("sub/a.yaml").tree["hparams"] == {"width": 1}
    assert compose("sub/b.yaml").tree["hparams"]["width"] == 8
    monkeypatch.setattr(layers, "SPECS", folder / "sub")
    (folder / "sub" / "_hidden.yaml").write_text("extends: base")
    assert layers.list_specs() == ["a", "b", "base"]
    assert compose("base").tree["hparams"] == {"width": 1}
    assert child(folder, "", extends="_hidden").tree["hparams"] == {"width": 1}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a": "extends: b.yaml", "b": "extends: c.yaml", "c": "extends: a.yaml"},
         ["a.yaml -> b.yaml -> c.yaml -> a.yaml", "--> c.yaml:1:10", "extends: b.yaml   a.yaml:1:10"]),
        ({"a": "extends: ./a.yaml"}, ["a.yaml -> a.yaml"]),
        ({"a": "extends: nope"}, ["unknown spec `nope`", "a.yaml:1:10"]),
        ({"a": "extends: gone.yaml"}, ["there is no file `gone.yaml`", "a.yaml:1:10"]),
        ({"a": "extends: https://example.org/x.yaml"}, ["neither the name of a spec nor a path"]),
        ({"a": "extends: [b, c]"}, ["`extends` takes one name or path"]),
        ({"a": "- x"}, ["a spec is a mapping of the sections spec, extends"]),
        ({"a": ""}, ["a spec is a mapping of the sections"]),
    ],
)  # fmt: skip
def test_bad_extends(folder: Path, files: dict[str, str], expected: list[str]) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    message = failure("a.yaml")
    assert not [text for text in expected if text not in message], message


@pytest.mark.parametrize("name", ["bret", "bert.yaml", "", "a\0b", "x" * 5000, "specs"])
def test_unknown_specs(folder: Path, name: str) -> None:
    assert len(failure(name)) < 10_000


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("width=3", ("hparams", "width"), 3),
        ("width=", ("hparams", "width"), None),
        ("width=null", ("hparams", "width"), None),
        ("width=1e-3", ("hparams", "width"), 1e-3),
        ("width=${calc:2 * ${depth}}", ("hparams", "width"), "${calc:2 * ${depth}}"),
        ("names=[x, y]", ("hparams", "names"), ["x", "y"]),
        ("names.1=z", ("hparams", "names"), ["a", "z"]),
        ("hparams.new=1", ("hparams", "new"), 1),
        ("table.x=5", ("hparams", "table"), {"x": 5}),
        ("model.body.norm.eps=a=b", ("model", "body", "norm", "eps"), "a=b"),
        ("model.body.norm={block: rms_norm}", ("model", "body", "norm"), {"block": "rms_norm"}),
        ("model.body.norm={eps: 3}", ("model", "body", "norm"), {"block": "layer_norm", "eps": 3}),
        ("model.body.new=x", ("model", "body", "new"), "x"),
        ("model.pooler=null", ("model",), None),
        ("weights.plain.rules.body.{i}.a=c", ("weights", "plain", "rules"), {"body.{i}.a": "c"}),
        ("tokenizer={a: 1}", ("tokenizer",), {"a": 1}),
    ],
)
def test_overrides(folder: Path, override: str, path: tuple[str, ...], value: Any) -> None:
    made = compose("base.yaml", [override])
    if override == "model.pooler=null":
        assert "pooler" not in made.tree["model"] and ("model", "pooler") not in made.origins
        return
    found: Any = made.tree
    for key in path:
        found = found[key]
    assert found == value
    assert compose("base.yaml").tree["hparams"]["width"] == 8
    name, _, text = override.partition("=")
    if isinstance(parse_document(text, "").tree, int):
        assert compose("base.yaml", {name: int(text)}).tree == made.tree


def test_places_of_overrides(folder: Path) -> None:
    made = compose("base.yaml", ["width=6", "width=7"])
    assert str(made.origins["hparams", "width"]) == "--set width=7 (replaces 6, --set width=6)"
    assert str(made.origins["hparams", "width"].replaced) == "--set width=6 (replaces 8, base.yaml:3:10)"
    made = compose("base.yaml", {"width": 6, "table": {"x": (1, 2)}})
    assert str(made.origins["hparams", "width"].place) == "width=6 (argument)"
    assert made.tree["hparams"]["table"] == {"x": [1, 2]}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["widht=3"], ["unknown hparam `widht`", "--> --set widht=3  did you mean `width`?"]),
        ({"widht": 3}, ["--> widht=3 (argument)  did you mean `width`?"]),
        (["model.bdoy.x=3"], ["`model.bdoy` does not exist, so `model.bdoy.x` cannot be set", "did you mean `body`?"]),
        (["model.body.repeat.x=3"], ["`model.body.repeat` is ${depth}, so"]),
        (["model.body.kinds.2=x"], ["`model.body.kinds` has 2 items and no `2`"]),
        (["model.body.kinds.x=x"], ["`model.body.kinds` has 2 items and no `x`"]),
        (["extends=other"], ["`extends` cannot be overridden"]),
        (["width=[1"], ["not YAML", "--> --set width=[1"]),
        (["width=!!python/name:os.system"], ["tag `!!python/name:os.system` is not allowed"]),
        ({"width": object()}, ["a object is nothing a spec can hold"]),
        (["a=1", "b=2", "width=*x"], ["unknown hparam `a`", "unknown hparam `b`", "no anchor `&x`"]),
    ],
)
def test_bad_overrides(folder: Path, overrides: Any, expected: list[str]) -> None:
    message = failure("base.yaml", overrides)
    assert not [text for text in expected if text not in message], message


@pytest.mark.parametrize("overrides", [["width"], ["=3"], "width=3"])
def test_what_is_no_override(folder: Path, overrides: Any) -> None:
    with pytest.raises(UsageError, match="NAME=VALUE"):
        compose("base.yaml", overrides)


def test_a_python_value_that_holds_itself(folder: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "nested more than" in failure("base.yaml", {"width": endless})


def test_render(folder: Path) -> None:
    made = override(child(folder, "hparams: {depth: 3, table: {on: 'yes', e: ''}}"), ["width=7"])
    lines = render(made).splitlines()
    assert lines[0].split() == ["spec:", "child", "#", "child.yaml:1"]
    assert "  depth: 3               # child.yaml:2 (replaces 2, base.yaml:4)" in lines
    assert "  width: 7               # --set width=7 (replaces 8, base.yaml:3)" in lines
    assert "    kinds: [one, two]    # base.yaml:14" in lines
    assert len({line.index("#") for line in lines}) == 1
    (folder / "again.yaml").write_text(render(made))
    assert compose("again.yaml").tree == made.tree
    assert render(made, color=True).count("\x1b[2m") == len(lines)


def test_diff(folder: Path) -> None:
    old, new = compose("base.yaml"), child(folder, "spec: base\nhparams: {depth: 3, new: x}\nmodel: {pooler: null}")
    changes = diff(old, new)
    assert [(change.sign, change.path[-1], change.old, change.new) for change in changes] == [
        ("~", "depth", 2, 3), ("-", "block", "pooler", None), ("+", "new", None, "x"),
    ]  # fmt: skip
    assert render_diff(changes).splitlines() == [
        "~ hparams.depth: 2 -> 3       # child.yaml:3 (replaces 2, base.yaml:4)",
        "- model.pooler.block: pooler  # base.yaml:15",
        "+ hparams.new: x              # child.yaml:3",
    ]
    assert diff(old, old) == [] and render_diff([]) == ""
    assert [c.sign for c in diff(old, override(old, {"depth": True, "width": 8.0}))] == ["~", "~"]  # 1 is not true


text = st.text(st.characters(codec="utf-8"), max_size=9)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(values)
def test_flow_is_read_back(value: Any) -> None:
    assert repr(parse_document(flow(value), "x").tree) == repr(value)
    made = Composition("x", [], {"spec": "x", "tokenizer": {"a": value}})
    assert repr(parse_document(render(made), "x").tree["tokenizer"]["a"]) == repr(value)


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_override_text_is_applied_or_refused(name: str, value: str) -> None:
    made = Composition("x", [], {"spec": "x", "hparams": {"a": 1}, "model": {"b": [1, {"c": 2}]}})
    for text in (f"{name}={value}", f"model.b.{name}={value}", f"a={value}"):
        try:
            render(override(made, [text]))
        except (SpecError, UsageError) as error:
            error.render()
