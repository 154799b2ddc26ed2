"""The schema is what an editor reads: plain draft-07, in step with the blocks, and its errors point at the culprit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from jsonschema import Draft7Validator
from pydantic import BaseModel
from torch import nn

import modelwright as mw
from modelwright.assembler.language.catalogue import family_reference
from modelwright.assembler.language.draft07 import draft07
from modelwright.assembler.language.schema import MODEL_ATTRIBUTES, block_reference, build_schema, write_schema
from modelwright.blocks import Factory, Norm, Sublayer, registry

ROOT = Path(__file__).resolve().parent.parent
SPECS = sorted((ROOT / "specs").glob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return build_schema()


def errors(schema: dict[str, Any], tree: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [(tuple(e.absolute_path), e.validator) for e in Draft7Validator(schema).iter_errors(tree)]


def test_is_plain_draft_07(schema: dict[str, Any]) -> None:
    Draft7Validator.check_schema(schema)
    known = set(Draft7Validator.META_SCHEMA["properties"]) | {
        "x-required", "x-present", "x-divides", "x-reads", "x-provides", "x-inputs"
    }  # fmt: skip
    targets = set()

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            assert set(node) <= known, set(node) - known
            targets.add(node.get("$ref", "#/definitions/interpolation"))
            assert "$ref" not in node or len(node) == 1, f"draft-07 passes over what stands beside $ref: {node}"
            for key, value in node.items():
                if key in ("properties", "definitions"):
                    for child in value.values():
                        visit(child)
                elif key in ("if", "then", "else", "items", "additionalProperties", "propertyNames", "allOf", "anyOf"):
                    for child in value if isinstance(value, list) else [value]:
                        visit(child)

    visit(schema)
    assert targets <= {f"#/definitions/{name}" for name in schema["definitions"]}


def test_the_reserved_names_are_those_of_a_model() -> None:
    model = mw.build("bert", num_hidden_layers=1, hidden_size=12, vocab_size=9, intermediate_size=4)
    names = {*vars(model), *vars(type(model)), *model._modules} - {"forward", *model.part_names}
    own = {name for name in names if not name.startswith("_")}
    assert own == set(MODEL_ATTRIBUTES)


def test_committed_files_are_in_step(tmp_path: Path) -> None:
    """To renew them: `write_schema` and `block_reference`."""
    committed = (ROOT / "specs" / "schema.json").read_text(encoding="utf-8")
    write_schema(tmp_path / "schema.json")
    assert committed == (tmp_path / "schema.json").read_text(encoding="utf-8")
    assert (ROOT / "docs" / "blocks.md").read_text(encoding="utf-8") == block_reference()
    assert (ROOT / "docs" / "families.md").read_text(encoding="utf-8") == family_reference()


def test_every_argument_is_explained(schema: dict[str, Any]) -> None:
    reference = block_reference()
    for name, cls in registry.blocks():
        definition = schema["definitions"][f"block {name}"]
        assert definition["description"]
        for argument in registry.parameters(cls):
            assert definition["properties"][argument].get("description"), f"{name}.{argument} is not in the docstring"
            assert f"| `{argument}` |" in reference


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_an_editor_finds_nothing_wrong_with_our_specs(file: Path, schema: dict[str, Any]) -> None:
    assert errors(schema, yaml.safe_load(file.read_text(encoding="utf-8"))) == []


LOOKUP = ("model", "embeddings", "lookups", "token")


@pytest.mark.parametrize(
    ("node", "where", "keyword"),
    [
        ({"block": "token_lookup", "sise": 3}, (), "additionalProperties"),
        ({"block": "token_lookup", "size": "three"}, ("size",), "type"),
        ({"block": "token_lookup", "size": 3.5}, ("size",), "type"),
        ({"block": "token_lookup", "scale": True}, ("scale",), "type"),
        ({"block": "sinusoidal_positions", "layout": "quarters"}, ("layout",), "enum"),
        ({"block": "adaptive_lookup", "cutoffs": [1, "two"]}, ("cutoffs", 1), "type"),
        ({"block": "layer_norm", "width": 3}, ("block",), "enum"),
        ({"block": "token_lookup", "when": 1}, ("when",), "type"),
        ("token_lookup", (), "type"),
    ],
)
def test_an_editor_points_at_the_culprit_alone(
    node: Any, where: tuple[str | int, ...], keyword: str, schema: dict[str, Any]
) -> None:
    tree = {"spec": "x", "model": {"embeddings": {"block": "sum_embeddings", "lookups": {"token": node}}}}
    assert errors(schema, tree) == [((*LOOKUP, *where), keyword)]


@pytest.mark.parametrize(
    "node",
    [
        {"size": "${vocab_size}", "width": "${calc:2 * ${hidden_size}}", "padding_id": None},
        {"padding_id": "${pad_token_id}", "when": "${has_tokens}"},
        {},
    ],
)
def test_interpolations_and_unfinished_nodes_pass(node: dict[str, Any], schema: dict[str, Any]) -> None:
    tree = {"spec": "x", "model": {"embeddings": {"lookups": {"token": {"block": "token_lookup", **node}}}}}
    assert errors(schema, tree) == []


def test_a_spec_that_extends_may_take_away(schema: dict[str, Any]) -> None:
    model = {"p": {"block": "stack", "norm": None}, "q": None}
    assert errors(schema, {"spec": "x", "extends": "y", "heads": {"a": None}, "model": model}) == []


@pytest.mark.parametrize(
    ("head", "where"),
    [
        ({"block": "lm_head", "tie": {"a": "b", "c": {"to": "d", "when": "${x}", "where": [True]}, "e": ["f"]}}, None),
        ({"block": "lm_head", "tie": {"a": {"too": "b"}}}, ("tie", "a")),
        ({"block": "lm_head", "tie": {"a": 3}}, ("tie", "a")),
        ({"block": "lm_head", "fresh": "yes"}, ("fresh",)),
        ({"combine": {"a": {"logits": "b"}, "c": {}}}, None),
        ({"combine": {"a": {"logits": 3}}}, ("combine", "a", "logits")),
        ({"combine": {}, "block": "lm_head"}, ()),
    ],
)
def test_heads_have_keys_of_the_language(head: Any, where: tuple[str, ...] | None, schema: dict[str, Any]) -> None:
    found = [path for path, _ in errors(schema, {"spec": "x", "heads": {"h": head}})]
    assert found == ([] if where is None else [("heads", "h", *where)])


def test_names_become_module_names(schema: dict[str, Any]) -> None:
    assert errors(schema, {"spec": "x", "heads": {"a.b": {"block": "lm_head"}}}) == [(("heads",), "pattern")]


def test_annotations_become_draft_07(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of annotation, on a block nobody else sees."""
    monkeypatch.setattr(registry, "_BLOCKS", dict(registry._BLOCKS))

    @registry.register("toy")
    class Toy(Sublayer):
        """A toy. Paper: none.

        Args:
            sizes: some sizes.
            mode: a choice.
        """

        constraints = (registry.Divides("width", "parts", "parts"),)

        def __init__(
            self, *, width: int, parts: int = 2, sizes: list[int] | int | None = None,
            mode: Literal["a", "b"] | None = None, table: dict[str, float] | None = None,
            inner: Factory[Norm], many: dict[str, Sublayer], maybe: Norm | None = None,
        ) -> None:  # fmt: skip
            nn.Module.__init__(self)

    definition = build_schema()["definitions"]["block toy"]
    assert definition["description"] == "A toy. Paper: none."
    assert definition["x-required"] == ["width", "inner", "many"]
    assert definition["x-divides"] == [{"number": "width", "divisor": "parts", "unit": "parts", "unless": None}]
    properties = definition["properties"]
    assert properties["parts"]["default"] == 2
    assert properties["mode"]["else"] == {"enum": ["a", "b", None]}
    assert properties["inner"]["x-present"] == "always" and "x-present" not in properties["maybe"]
    validator = Draft7Validator({"definitions": build_schema()["definitions"], "$ref": "#/definitions/Sublayer"})
    good: dict[str, Any] = {"block": "toy", "sizes": [1, "${x}"], "mode": None, "table": {"a": 0.5}}
    good |= {"inner": {"block": "layer_norm"}, "many": {"one": {"block": "toy", "sizes": 3}}, "maybe": None}
    assert not list(validator.iter_errors(good))
    for bad in ({"sizes": "x"}, {"table": {"a": "x"}}, {"many": {"one": {"block": "layer_norm"}}}, {"inner": 3}):
        assert list(validator.iter_errors(good | bad)), bad
    assert "| `sizes` | list[int] or int or null | | some sizes. |" in block_reference()


def test_pydantic_models_become_draft_07() -> None:
    class Inner(BaseModel):
        title: str

    class Outer(BaseModel):
        """Outer."""

        pair: tuple[int, str]
        inner: Inner | None = None

    converted = draft07(Outer.model_json_schema(ref_template="#/definitions/{model}"))
    assert converted["definitions"]["Inner"]["properties"] == {"title": {"type": "string"}}
    for value, good in (([1, "a"], True), (["a", 1], False), ([1], False), ([1, "a", 2], False)):
        assert Draft7Validator(converted).is_valid({"pair": value, "inner": {"title": "x"}}) == good, value
