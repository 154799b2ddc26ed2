"""Every spec in every format that it declares, and from each to each: what is written reads back bit for bit.

Nothing here names a spec or a format: a new mapping is covered when it is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from synthetic import tiny_original
from torch import Tensor

import modelwright as mw
from modelwright.assembler.convert import Conversion
from modelwright.assembler.stores import open_store
from modelwright.assembler.weights.names import OWN_FORMAT

FORMATS = [(spec, format) for spec in mw.list_specs() for format in mw.load_spec(spec).weights_formats]
PAIRS = [(spec, a, b) for spec, a in FORMATS for other, b in FORMATS if spec == other and a != b]

#: Their configs say no more than another spec's, unless they name a class, which files with many heads do not.
TOLD_BY_NAME = {("electra_generator", "huggingface"), ("electra_generator", "keras")}

Made = Callable[[str, str], tuple[Path, Path]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The folders of a spec's tiny checkpoint, under our own names and in a format that can hold it."""
    root = tmp_path_factory.mktemp("synthetic")

    @functools.cache
    def make(spec: str, format: str) -> tuple[Path, Path]:
        own, folder = root / spec / f"for_{format}", root / spec / format
        tiny_original(spec, format, own)
        converted(own, format, folder)
        return own, folder

    return make


def converted(source: Path, format: str, folder: Path, spec: str | None = None, **told: object) -> Conversion:
    done = mw.convert(source, format, folder, spec, **told)
    assert not done.report.missing and not done.report.unexpected and not done.report.fresh
    assert {path for path in folder.rglob("*") if path.is_file()} == set(done.written)
    return done


def untold(spec: str, format: str, model: mw.Model) -> dict[str, object]:
    rules = mw.load_spec(spec).sections["configs"].get(format) or {}
    return {name: model.config[name] for name in rules.get("untold") or {}}


def ours(folder: Path, place: Path, spec: str, told: dict[str, object]) -> dict[str, Tensor]:
    """All that a checkpoint has, in our names."""
    converted(folder, OWN_FORMAT, place, spec, **told)
    with open_store(place) as store:
        return {name: store.read(name).clone() for name in store.tensors}


def assumed_otherwise(spec: str, model: mw.Model, format: str) -> list[str]:
    """Hparams that a format does not say and whose readers assume another value than the model has."""
    loaded = mw.load_spec(spec)
    rules, section = loaded.sections["configs"].get(format) or {}, loaded.sections["weights"][format]
    said = {*(rules.get("read") or ()), *(rules.get("untold") or ()), *(section.get("shapes") or ())}
    values = loaded.with_overrides(rules.get("always") or {}).hparams({name: model.config[name] for name in said})
    return [name for name, value in values.items() if name not in said and model.config[name] != value]


def different(one: mw.Model, other: mw.Model) -> dict[str, tuple[object, object]]:
    """The hparams in which two models differ."""
    return {name: (one.config[name], value) for name, value in vars(other.config).items() if one.config[name] != value}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], gone: list[str]) -> None:
    """Bit for bit, but for what is said to be left out."""
    assert found.keys() == expected.keys() - set(gone)
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype and tensor.shape == expected[name].shape, name
        assert torch.equal(tensor.view(torch.int32), expected[name].view(torch.int32)), name


@pytest.mark.parametrize("spec,format", FORMATS)
def test_written_and_read(spec: str, format: str, made: Made, tmp_path: Path) -> None:
    source = made(spec, format)[0]
    done = converted(source, format, tmp_path / "theirs")
    original = mw.build(weights=source, dry_run=True)
    told = untold(spec, format, original)
    assert done.untold == told
    kinds = mw.load_spec(spec).sections["weights"][format].get("store")
    with open_store(tmp_path / "theirs") as store, open_store(source) as own:
        assert store.name == kinds[0]
        expected = {name: own.read(name) for name in own.tensors}
    by_itself = None if (spec, format) not in TOLD_BY_NAME else spec
    again = mw.build(by_itself, weights=tmp_path / "theirs", verify=True, **told)
    assert (again.spec.name, again.load_report.format) == (spec, format)
    assert not different(again, original)
    assert_same(ours(tmp_path / "theirs", tmp_path / "ours", spec, told), expected, done.left_out)


@pytest.mark.parametrize("spec,a,b", PAIRS)
def test_from_each_to_each(spec: str, a: str, b: str, made: Made, tmp_path: Path) -> None:
    own, first_folder = made(spec, a)
    original = mw.build(weights=own, dry_run=True)
    told_a, told_b = untold(spec, a, original), untold(spec, b, original)
    if strange := assumed_otherwise(spec, original, b):
        with pytest.raises(mw.SpecError, match=f"{strange[0]} = .* cannot be said in {b}"):
            mw.convert(first_folder, b, tmp_path / "b", spec, **told_a)
        return
    there = converted(first_folder, b, tmp_path / "b", spec, **told_a)
    back = converted(tmp_path / "b", a, tmp_path / "a", spec, **told_b)
    assert not back.left_out
    assert not different(mw.build(spec, weights=tmp_path / "b", dry_run=True, **told_b), original)
    first = ours(first_folder, tmp_path / "first", spec, told_a)
    assert_same(ours(tmp_path / "b", tmp_path / "second", spec, told_b), first, there.left_out)
    assert_same(ours(tmp_path / "a", tmp_path / "third", spec, told_a), first, there.left_out)
    with open_store(first_folder) as old, open_store(tmp_path / "a") as new:
        assert new.tensors.keys() <= old.tensors.keys()
        assert all(torch.equal(new.read(name), old.read(name)) for name in new.tensors)
