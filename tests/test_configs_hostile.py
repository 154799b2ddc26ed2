"""Configs that somebody made to harm: gin files, options inside weights, JSON, shapes. One of our errors each, soon."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import modelwright as mw
from modelwright.assembler.stores import open_store, write_torch
from modelwright.assembler.weights import gin, names
from modelwright.assembler.weights.gin import read_gin
from modelwright.assembler.weights.names import read_json
from modelwright.assembler.weights.shapes import read_shapes

RELEASES = Path(__file__).parent / "golden" / "releases"
GIN = (RELEASES / "t5" / "release" / "operative_config.gin").read_text()
SECONDS = 10  # of the processor; what is right takes a tenth of one

ABSURD: list[Any] = [
    10**9, 10_000, 2**70, -1, 0, math.nan, math.inf, "3", "x" * 100_000, True, None, [3], [[]] * 1000, {"a": {"b": 1}},
    10**30, "${vocab_size}", "${oc.env:HOME}",
]  # fmt: skip


def written(tmp_path: Path, text: str | bytes, name: str = "operative_config.gin") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.fixture
def soon() -> Any:
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "(" * 100_000,
        "a = " + "[" * 5_000 + "]" * 5_000,
        "a = " + ")" * 100_000 + "\nb = 1",
        "a = '" + "x" * 500_000,
        "a = " + "9" * 500_000,
        "a = " + "-" * 200_000 + "1",
        "a = " + "1 + " * 100_000 + "1",
        "%a = %b\n%b = %a\nc = %a",
        "\n".join(f"%m{i} = %m{i + 1}" for i in range(20_000)),
        f"%m = {list(range(60_000))}\n" + "\n".join(f"a{i} = %m" for i in range(20_000)),
        "\n".join(f"a{i} = @f()" for i in range(50_000)),
        "a = \\\n" * 100_000,
        "a = 2 ** 10 ** 10",
        "a = {}.__class__",
        "a = __import__('os').system('true')",
        "a = '''\n" * 1000,
    ],
    ids=lambda text: text[:20],
)
@pytest.mark.usefixtures("soon")
def test_gin(text: str, tmp_path: Path) -> None:
    """Values as they are, or the text; nothing is computed."""
    try:
        values = read_gin(written(tmp_path, text))
    except mw.WeightsError as error:
        assert "is not of the form" in str(error) and len(str(error)) < 1000
    else:
        assert "a" not in values or not isinstance(values["a"], type)


@pytest.mark.parametrize("content", [b"x" * (gin.LIMIT + 1), b"\xff\xfe\0\1", b"just words"])
def test_no_gin(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(mw.WeightsError, match=r"operative_config.gin"):
        read_gin(written(tmp_path, content))


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b'{"a": ' + b"9" * 10_000 + b"}", b"[1]", b""])
def test_no_json(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(mw.WeightsError, match=r"params.json"):
        read_json(written(tmp_path, content, "params.json"))


def test_endless_json(tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    with path.open("wb") as file:
        file.truncate(names.LIMIT + 1)
    with pytest.raises(mw.WeightsError, match="is the most"):
        read_json(path)


@pytest.fixture(scope="module")
def roberta() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with open_store(RELEASES / "roberta_2019" / "release") as store:
        return {name: store.read(name).clone() for name in store.tensors}, dict(store.extras["args"])


OPTIONS = ["encoder_layers", "encoder_embed_dim", "encoder_attention_heads", "encoder_ffn_embed_dim", "dropout",
           "activation_fn", "max_positions", "arch"]  # fmt: skip


@pytest.mark.parametrize("key", OPTIONS)
@pytest.mark.usefixtures("soon")
def test_options_inside_the_weights(key: str, roberta: Any, tmp_path: Path) -> None:
    tensors, options = roberta
    for value in ABSURD:
        write_torch(tmp_path / "model.pt", tensors, {"args": argparse.Namespace(**options | {key: value})})
        try:
            model = mw.build(weights=tmp_path, dry_run=True)
        except mw.ModelwrightError as error:
            assert len(str(error)) < 20_000
        else:
            assert model.config.num_hidden_layers == 3 and model.config.hidden_size == 24


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("key", ["num_hidden_layers", "vocab_size", "intermediate_size", "num_attention_heads"])
def test_a_config_beside_the_weights(key: str, tmp_path: Path) -> None:
    tiny = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    mw.build("bert", intermediate_size=36, **tiny).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for value in ABSURD:
        if value is None or config[key] == value:
            continue
        (tmp_path / "config.json").write_text(json.dumps(config | {key: value}))
        with pytest.raises(mw.ModelwrightError):
            mw.build(weights=tmp_path, dry_run=True)


def test_layers_that_a_file_cannot_hold(roberta: Any, tmp_path: Path) -> None:
    tensors, options = roberta
    write_torch(tmp_path / "model.pt", tensors, {"args": argparse.Namespace(**options | {"encoder_layers": 9_999})})
    with pytest.raises(mw.WeightsError, match=r"num_hidden_layers = 9999; .* has \d+ tensors"):
        mw.build(weights=tmp_path)


@pytest.mark.parametrize("shape", [(), (0,), (2**62, 2**62), (2**63 - 1,), (1,) * 60])
@pytest.mark.usefixtures("soon")
def test_shapes(shape: tuple[int, ...]) -> None:
    """Whatever the sizes, an expression has a value, says nothing, or is one of our errors."""
    rules = {"a": "<w[0]> * <w[1]> // <v[0]>", "b": ["<w[-3]>", "<dims w> - 3"], "c": "<count w{i}>",
             "d": "<ends w{i}[0]>", "e": "<w[0]> ** <w[0]>"}  # fmt: skip
    shapes = {"w": shape, "v": (0,), **{f"w{i}": shape for i in range(10_000)}}
    for hparam, rule in rules.items():
        try:
            found = read_shapes({hparam: rule}, shapes, {}, name="it")
        except mw.WeightsError as error:
            assert f"do not tell {hparam}" in str(error)
        else:
            assert found.keys() <= {hparam}


@st.composite
def mutated(draw: st.DrawFn, valid: str) -> str:
    pieces = [*"([{)'\"#%@\n\0", "\\\n", " = ", "${", "None", "1e999", "-1", "9" * 30]
    text = valid
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(pieces)) + text[at + draw(st.integers(0, 20)) :]
    return text


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=mutated(GIN))
def test_mutated_gin(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    values = {}
    try:
        values = read_gin(written(tmp_path_factory.getbasetemp(), text))
    except mw.WeightsError as error:
        assert "operative_config.gin" in str(error)
    for value in values.values():
        assert value is None or isinstance(value, str | int | float | bytes | complex | tuple | list | dict | set)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_options(data: st.DataObject, roberta: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any plain value under any key: the same network, or an error."""
    tensors, options = roberta
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    values = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
    keys = st.sampled_from([*options, "unheard_of"])
    folder = tmp_path_factory.getbasetemp() / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    changed = data.draw(st.dictionaries(keys, values, min_size=1, max_size=3))
    write_torch(folder / "model.pt", tensors, {"args": argparse.Namespace(**options | changed)})
    try:
        model = mw.build(weights=folder, dry_run=True)
    except mw.ModelwrightError as error:
        assert str(error).strip()
    else:
        assert model.config.hidden_size == 24 and model.config.num_hidden_layers == 3
