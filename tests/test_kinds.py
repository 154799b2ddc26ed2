"""Layers of several kinds in one stack: `kinds`, `by_kind`, and rules for a kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import modelwright as mw
from modelwright.assembler.language.validate import check_file

SPEC = """
spec: mixed
hparams: {pattern: [near, far], num_hidden_layers: 5, hidden_size: 8}
configs:
  elsewhere:
    file: config.json
    read: {pattern: {key: layer_types, repeat_to: num_hidden_layers}, num_hidden_layers: {length_of: layer_types}}
model:
  embeddings: {block: sum_embeddings, lookups: {token: {block: token_lookup, size: 9, width: 8}}}
  decoder:
    block: stack
    repeat: ${num_hidden_layers}
    kinds: ${pattern}
    layer:
      block: layer
      norm:
        by_kind: {near: {block: layer_norm, width: 8}, far: {block: rms_norm, width: 8}}
      sublayers:
        attention:
          by_kind:
            near: {block: local_attention, hidden_size: 8, num_heads: 2, chunk_length: 4}
            far: {block: attention, hidden_size: 8, num_heads: 2}
        extra:
          by_kind:
            near: {when: false, block: feed_forward, hidden_size: 8, intermediate_size: 3}
            far: {block: feed_forward, hidden_size: 8, intermediate_size: 3}
weights:
  elsewhere:
    store: [safetensors]
    prefix: [""]
    rules:
      embeddings.token: table
      decoder.layers.{i}.attention.{query,key,value,output}:
        - {from: "near.{i}.{q,k,v,o}", kind: near}
        - {from: "never.{i}.{q,k,v,o}", kind: other}
        - {from: "any.{i}.{q,k,v,o}"}
      decoder.layers.{i}.attention.norm: norm.{i}
      decoder.layers.{i}.extra.{intermediate,output}: {from: "extra.{i}.{in,out}", kind: far}
      decoder.layers.{i}.extra.norm: {from: "extra.{i}.norm", kind: far}
      decoder.layers.{i}.memory.norm: {from: "memory.{i}.norm", kind: other}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.yaml"
    path.write_text(SPEC)
    return path


def test_kinds_go_round(file: Path) -> None:
    model = mw.build(file)
    blocks = [(layer.kind, layer.attention.block, layer.attention.norm.block) for layer in model.decoder.layers]
    near, far = ("near", "local_attention", "layer_norm"), ("far", "attention", "rms_norm")
    assert blocks == [near, far, near, far, near]
    assert ["extra" in layer._modules for layer in model.decoder.layers] == [False, True, False, True, False]
    with torch.no_grad():
        assert model(torch.zeros(1, 8, dtype=torch.long)).last_hidden_state.shape == (1, 8, 8)


def test_rules_hold_for_a_kind_and_the_list_is_written_out(file: Path, tmp_path: Path) -> None:
    model = mw.build(file)
    model.save(tmp_path / "saved", format="elsewhere")
    stored = load_file(tmp_path / "saved" / "model.safetensors")
    assert torch.equal(stored["near.2.q.weight"], model.decoder.layers[2].attention.query.weight)
    assert torch.equal(stored["any.3.o.bias"], model.decoder.layers[3].attention.output.bias)
    assert "extra.1.in.weight" in stored and "extra.0.in.weight" not in stored
    assert '"near",\n    "far",\n    "near",\n    "far",\n    "near"' in (tmp_path / "saved/config.json").read_text()
    again = mw.build(file, weights=tmp_path / "saved")
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))


def test_all_layers_of_one_kind(file: Path) -> None:
    model = mw.build(file, pattern=["far"], num_hidden_layers=2)
    assert [layer.kind for layer in model.decoder.layers] == ["far", "far"]
    assert any(source.stored == "any.1.q.weight" for source in _sources(model))


def _sources(model: mw.Model) -> list:
    from modelwright.assembler.weights.mapping import find_sources

    section = model.spec.interpolated(model.config.to_dict())["weights"]["elsewhere"]
    return find_sources(model, section, "elsewhere")


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("[near, far]", "[near, fat]", "`model.decoder.layer.norm.by_kind` says nothing for layers of kind `fat`", 17),
        ("kinds: ${pattern}", "kinds: null", "norm.by_kind`, but the layers are all of one kind", 17),
        ("far: {block: attention,", "far: {block: layer_norm,", "block `layer_norm` does not fit here", 22),
        ("num_heads: 2}\n        extra", "num_heads: 3}\n        extra", "8 cannot be split into 3 heads", 22),
        ("        attention:\n", "        attention:\n          block: attention\n", "unknown key `block`", 20),
        ("[near, far]", "[]", "no kinds of layers", None),
    ],
)
def test_what_is_wrong_is_said_where_it_is(file: Path, old: str, new: str, message: str, line: int | None) -> None:
    file.write_text(SPEC.replace(old, new, 1))
    found = check_file(file)
    if line is None:  # found by the block
        with pytest.raises(mw.SpecError, match=message):
            mw.build(file)
    else:
        assert [problem.place.line for problem in found if message in problem.message] == [line], list(map(str, found))


def test_a_variant_changes_one_kind_or_all(file: Path, tmp_path: Path) -> None:
    variant = tmp_path / "variant.yaml"
    path = "model: {decoder: {layer: {sublayers: {attention: %s}}}}"
    variant.write_text("extends: mixed.yaml\n" + path % "{by_kind: {near: {chunk_length: 2}}}")
    assert mw.build(variant).decoder.layers[0].attention.chunk_length == 2
    variant.write_text("extends: mixed.yaml\n" + path % "{block: attention, hidden_size: 8, num_heads: 4}")
    assert {layer.attention.num_heads for layer in mw.build(variant).decoder.layers} == {4}
