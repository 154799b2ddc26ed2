"""Faults of a spec are found without torch, all at once, each at its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

import modelwright
from modelwright.assembler.language import validate
from modelwright.assembler.language.compose import compose, nodes
from modelwright.assembler.language.documents import parse_document
from modelwright.assembler.language.resolve import resolve_hparams
from modelwright.blocks import registry
from modelwright.blocks.registry import BlockError, Divides
from modelwright.errors import Diagnostic, Note, Place

ROOT = Path(modelwright.__file__).parent
SPECS = sorted((ROOT / "specs").glob("*.yaml"))

PARENT = """\
spec: parent
hparams:
  vocab_size: 100
  hidden_size: 768
  num_heads: 12
  num_layers: 2
  act: gelu
  cutoffs: [10, 20]
model:
  embeddings:
    block: sum_embeddings
    lookups:
      token: {block: token_lookup, size: "${vocab_size}", width: "${hidden_size}"}
  encoder:
    block: stack
    repeat: ${num_layers}
    layer:
      block: layer
      norm: {block: layer_norm, width: "${hidden_size}"}
      sublayers:
        attention: {block: attention, hidden_size: "${hidden_size}", num_heads: "${num_heads}"}
        feed_forward:
          block: feed_forward
          hidden_size: ${hidden_size}
          intermediate_size: ${calc:4 * ${hidden_size}}
          activation: ${act}
  pooler: {block: first_token_pooler, hidden_size: "${hidden_size}"}
heads:
  tagging: {block: token_classification_head, hidden_size: "${hidden_size}"}
  next_sentence_prediction: {block: next_sentence_head, hidden_size: "${hidden_size}"}
  both: {combine: {tagging: {}, next_sentence_prediction: {}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parent.yaml").write_text(PARENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def child(folder: Path, text: str, extends: str = "parent.yaml") -> list[Diagnostic]:
    (folder / "child.yaml").write_text(f"spec: child\nextends: {extends}\n{text}")
    return validate.check_file("child.yaml")


def brief(found: list[Diagnostic]) -> list[str]:
    return [f"{diagnostic.place}: {diagnostic.message}" for diagnostic in found]


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_our_specs_are_valid(file: Path) -> None:
    assert validate.check_file(file) == []


def test_the_parent_is_valid(folder: Path) -> None:
    assert validate.check_file("parent.yaml") == []


@pytest.mark.parametrize(
    ("text", "place", "message", "more"),
    [
        ("modle: {}", "3:1", "unknown key `modle` at the top of the spec", "did you mean `model`?"),
        ("hparams: {num_heads: 10}", "21:81", "768 cannot be split into 10 heads", "nearest divisors of 768: 8, 12"),
        ("hparams: {act: gleu}", "3:16", "`act` must be `gelu` or", "layer.sublayers.feed_forward.activation = ${act}"),
        ("hparams: {num_layers: twelve}", "3:23", "`num_layers` must be an integer, but is the string", "repeat ="),
        ("hparams: {hidden_size: 7.5}", "3:24", "`hidden_size` must be an integer, but is `7.5`", "token.width"),
        ("hparams: {hidden_size: wide}", "3:24", "`hidden_size` must be an integer, but is the string `wide`", ""),
        ("model: {encoder: {repeat: 2.0}}", "3:27", "encoder.repeat` must be an integer, but is `2.0`", ""),
        ("model: {encoder: {repeat: true}}", "3:27", "encoder.repeat` must be an integer, but is `true`", ""),
        ("model: {encoder: {repeat: '${num_lairs}'}}", "3:28", "unknown hparam `num_lairs`", "`num_layers`"),
        ("model: {encoder: {layer: 3}}", "3:26", "encoder.layer` must be a mapping, but is `3`", ""),
        ("model: {encoder: {repaet: 3}}", "3:19", "unknown key `repaet` in `model.encoder` (block `stack`)", "repeat"),
        ("model: {encoder: {repeat: null}}", "3:9", "`model.encoder` (block `stack`) lacks `repeat`", "number of"),
        ("model: {encoder: {layer: null}}", "3:9", "`model.encoder` (block `stack`) lacks `layer`", "`repeat` times"),
        ("model: {encoder: {layer: {norm: {when: false}}}}", "3:33", "layer.norm` cannot be left out", "rms_norm"),
        ("model: {pooler: {activation: {a: 1}}}", "3:30", "activation` must be `gelu` or", "is a mapping"),
        ("model: {pooler: {block: first_token_poler}}", "3:25", "unknown block `first_token_poler`", "token_pooler`?"),
        ("model: {pooler: {block: layer_norm}}", "3:25", "block `layer_norm` does not fit here", "memory_stack"),
        ("model: {more: {repeat: 3}}", "3:9", "`model.more` does not name its block", "first_token_pooler"),
        ("model: {pooler: null}", "30:29", "reads `pooler_output`", "blocks that make it: first_token_pooler"),
        ("model: {pooler: {when: false}}", "30:29", "reads `pooler_output`", "blocks that make it: first_token_pooler"),
        ("heads: {taging: null}", "3:17", "there is nothing to delete at `heads.taging`", "extends"),
        ("heads: {a b: {block: choice_head, hidden_size: 3}}", "3:9", "`a b` cannot be a name", "letters"),
        ("heads: {x: {combine: {tagin: {}}}}", "3:23", "there is no head `tagin` to combine", "mean `tagging`?"),
        ("heads: {tagging: {tie: {a: {too: b}}}}", "3:29", "unknown key `too` in `heads.tagging.tie.a`", "mean `to`?"),
        ("configs: {own: {file: 3}}", "3:23", "`configs.own.file` must be a string or a list, but is `3`", ""),
        ("configs: {own: {read: {act: {kee: a}}}}", "3:30", "unknown key `kee` in `configs.own.read.act`", "`key`"),
        ("weights: {own: {rules: {a.b: {when: true}}}}", "3:25", "`weights.own.rules.a.b` lacks `from`", ""),
        ("weights: {own: {rules: {a.b: [3]}}}", "3:31", "rules.a.b.0` must be a string or a mapping, but is `3`", ""),
        ("weights: {own: {rules: {a.b: null}}}", "3:30", "there is nothing to delete at `weights.own.rules.a.b`", ""),
        ("weights: {own: {rules: {a: {from: b, when: '${x}'}}}}", "3:45", "unknown hparam `x`", ""),
    ],
)
def test_one_fault(folder: Path, text: str, place: str, message: str, more: str) -> None:
    [found] = child(folder, text)
    assert (str(found.place).rpartition(".yaml:")[2], message in found.message) == (place, True), found.render()
    assert more in found.render()


def test_the_chain_of_values(folder: Path) -> None:
    """As in the house plan: the value, what it replaces, and the way out; here through `--set` on top of a child."""
    (folder / "child.yaml").write_text("spec: child\nextends: parent.yaml\nhparams: {hidden_size: 770}\n")
    [found] = validate.check_file("child.yaml", ["num_heads=12"])
    assert found.render() == """\
error: 770 cannot be split into 12 heads
   --> parent.yaml:21:81
    |
 21 |         attention: {block: attention, hidden_size: "${hidden_size}", num_heads: "${num_heads}"}
    |                                                                                 ^^^^^^^^^^^^^^
    = hidden_size = 770   child.yaml:3:24 (replaces 768, parent.yaml:4:16)
    = num_heads = 12      --set num_heads=12 (replaces 12, parent.yaml:5:14)
    = help: nearest divisors of 770: 10, 11"""


def test_an_override_is_cited(folder: Path) -> None:
    [found] = validate.check_file("parent.yaml", {"num_layers": "many"})
    assert str(found.place) == "num_layers=many (argument)" and "(replaces 2, parent.yaml:6:15)" in found.render()
    [found] = validate.check_file("parent.yaml", ["model.encoder.layer.residual=past"])
    assert found.message == "`model.encoder.layer.residual` must be `pre` or `post`, but is the string `past`"
    [found] = validate.check_file("parent.yaml", ["hiden_size=3"])
    assert found.message == "unknown hparam `hiden_size`"


def test_numbers_of_a_checkpoint_are_checked(folder: Path) -> None:
    composition = compose("parent.yaml")
    hparams = resolve_hparams(composition, {"num_heads": 7, "cutoffs": None}, Place("config.json"))
    [found] = validate.check(composition, hparams)
    assert found.message == "768 cannot be split into 7 heads"
    assert found.notes[1] == Note("num_heads = 7", "config.json (replaces 12, parent.yaml:5:14)")


def test_within_a_list(folder: Path) -> None:
    node = '{block: adaptive_lookup, size: 3, width: 3, hidden_size: 3, cutoffs: "${cutoffs}"}'
    text = f"hparams: {{cutoffs: [1, two]}}\nmodel: {{embeddings: {{lookups: {{token: {node}}}}}}}"
    assert brief(child(folder, text)) == ["child.yaml:3:24: `cutoffs.1` must be an integer, but is the string `two`"]


def test_all_faults_at_once_in_order(folder: Path) -> None:
    text = """\
hparams: {num_layers: twelve, num_heads: 10}
modle: {}
model:
  encoder:
    layer:
      sublayers:
        attention: {causl: true}
        feed_forward: {activation: gleu, chunk_size: "${chunk}"}
heads: {other: {block: lm_heed}}
"""
    assert brief(child(folder, text)) == [
        "child.yaml:3:23: `num_layers` must be an integer, but is the string `twelve`",
        "child.yaml:4:1: unknown key `modle` at the top of the spec",
        "child.yaml:9:21: unknown key `causl` in `model.encoder.layer.sublayers.attention` (block `attention`)",
        "child.yaml:10:36: `model.encoder.layer.sublayers.feed_forward.activation` must be `gelu` or `gelu_tanh` or "
        "`quick_gelu` or `relu` or `relu_squared` or `silu` or `mish` or `tanh` or `sigmoid` or `identity`, but is "
        "the string `gleu`",
        'child.yaml:10:55: unknown hparam `chunk`',
        "child.yaml:11:24: unknown block `lm_heed`",
        "parent.yaml:21:81: 768 cannot be split into 10 heads",
    ]


def test_parts_run_in_order(folder: Path) -> None:
    (folder / "late.yaml").write_text("""\
spec: late
model:
  pooler: {block: first_token_pooler, hidden_size: 4}
  embeddings: {block: sum_embeddings, lookups: {token: {block: token_lookup, size: 9, width: 4}}}
""")
    [found] = validate.check_file("late.yaml")
    assert found.message == "`model.pooler` reads `last_hidden_state`, which no part before it makes"
    assert found.help == "`model.embeddings` makes it, but comes later"


def test_what_cannot_be_composed_is_reported(folder: Path) -> None:
    assert brief(validate.check_file("absent.yaml")) == ["None: there is no file `absent.yaml`"]
    (folder / "a.yaml").write_text("spec: a\nextends: a.yaml\n")
    assert "goes round in a circle" in validate.check_file("a.yaml")[0].message
    (folder / "b.yaml").write_text("spec: b\n")
    assert brief(validate.check_file("b.yaml"))[0].endswith("the spec has no `model`")


def test_registered_blocks_are_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of the user's own is in no committed file."""
    monkeypatch.setattr(registry, "_BLOCKS", dict(registry._BLOCKS))
    text = "model: {pooler: {block: own_pooler, hidden_size: 3, size: x}}"
    assert brief(child(folder, text)) == ["child.yaml:3:25: unknown block `own_pooler`"]

    @registry.register("own_pooler")
    class OwnPooler(registry.get("first_token_pooler")):
        """Own."""

        def __init__(self, *, hidden_size: int, size: int) -> None: ...

    [found] = child(folder, text)
    assert found.message == "`model.pooler.size` must be an integer, but is the string `x`"


@pytest.mark.parametrize(("number", "divisor"), [(768, 10), (770, 12), (13, 100), (12, 12)])
def test_the_words_are_those_of_the_block(number: int, divisor: int, folder: Path) -> None:
    """The checker may not import the rule itself, which lives beside torch."""
    found = child(folder, f"hparams: {{hidden_size: {number}, num_heads: {divisor}}}")
    try:
        Divides("hidden_size", "heads", "heads").check({"hidden_size": number, "heads": divisor})
    except BlockError as error:
        assert [(d.message, d.help) for d in found] == [(error.message, error.help)]
    else:
        assert not found


PATHS = [path for path, _ in nodes(parse_document(PARENT, "parent.yaml").tree) if path]
ODD = ["x", "${nope}", "${", "${calc:1/3}", 3, -1.5, True, None, [], [None], {}, {"block": 3}, {"block": "stack"}]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=strategies.dictionaries(strategies.sampled_from(PATHS), strategies.sampled_from(ODD), max_size=3))
def test_any_change_gives_diagnostics_that_print(changes: dict[tuple[str, ...], Any], folder: Path) -> None:
    """Whatever a value is replaced by, the answer is a list of diagnostics, each with a place."""
    for problem in validate.check_file("parent.yaml", {".".join(map(str, p)): value for p, value in changes.items()}):
        assert problem.place is not None
        assert problem.render().startswith("error: ")


def test_neither_torch_nor_pydantic_is_imported() -> None:
    code = (
        "import sys; from modelwright.assembler.language.validate import check_file\n"
        f"assert check_file({str(ROOT / 'specs' / 'bert.yaml')!r}) == []\n"
        "sys.exit(', '.join({'torch', 'pydantic', 'numpy'} & set(sys.modules)) or 0)"
    )
    finder = "import importlib.util, sys\n" + LOADER
    done = subprocess.run([sys.executable, "-P", "-c", finder + code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


LOADER = f"""
spec = importlib.util.spec_from_file_location(
    "modelwright", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
)
sys.modules["modelwright"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["modelwright"])
"""
