"""Tiny releases in the authors' own formats: read as they are, against what the reference conversions make of them.

`tests/golden/README.md` tells what made them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_golden import GOLDEN, compare, read, value

import modelwright as mw
from modelwright.assembler.language.spec import load_spec
from modelwright.assembler.stores import PartedStore, open_store
from modelwright.assembler.stores.symbols import read_symbols

#: Read, and written under the names of most releases.
OTHER_SPELLINGS = {"bart_mnli", "reformer_chunked", "roberta_cfg", "roberta_mnli"}
#: Two models in one release.
NAMED = {"electra_discriminator": "electra", "electra_generator": "electra_generator"}
#: Calls with the activation of the authors' code, where the reference took `gelu` for the exact one.
TANH = "_tanh_gelu"
RELEASES = sorted(path.parent for path in GOLDEN.glob("releases/*/case.json"))


def untold(case: dict) -> set[str]:
    """The hparams that no checkpoint of the format says."""
    return set(load_spec(case["spec"]).sections["configs"].get(case["format"], {}).get("untold", {}))


@pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
def test_numbers(folder: Path) -> None:
    case, tensors = read(folder)
    both = any(call["name"].endswith(TANH) for call in case["calls"])
    for call in case["calls"]:
        activation = {"hidden_act": "gelu_tanh" if call["name"].endswith(TANH) else "gelu"} if both else {}
        options = case["set"] | activation
        spec = NAMED.get(folder.name)
        model = mw.build(spec, weights=folder / "release", head=call["head"], dtype="float32", verify=True, **options)
        report = model.load_report
        assert (model.spec.name, report.format) == (spec or case["spec"], case["format"])
        assert not report.missing and not report.unexpected
        assert not [name for name in report.fresh if name.startswith("heads.")]
        inputs = {name: value(tensors, f"{call['name']}/in/{name}") for name in call["inputs"]}
        inputs |= {name: value(tensors, f"{source}/out/{name}") for name, source in call["carry"].items()}
        with torch.no_grad():
            output = model(**inputs)
        for name in call["outputs"]:
            compare(getattr(output, name), tensors, case["gap"], f"{call['name']}/out/{name}")


@pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
def test_written_back(folder: Path, tmp_path: Path) -> None:
    """What is written is byte for byte what the release has, and the same model again."""
    case, _ = read(folder)
    head = max((call["head"] for call in case["calls"] if call["head"]), default=None)
    told = {hparam: value for hparam, value in case["set"].items() if hparam in untold(case)}
    spec = NAMED.get(folder.name)
    model = mw.build(spec, weights=folder / "release", head=head, **told)
    model.save(tmp_path / "again", format=case["format"])
    again = mw.build(spec, weights=tmp_path / "again", head=head, **told)
    assert (again.spec.name, again.load_report.format) == (spec or case["spec"], case["format"])
    assert again.config == model.config
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    with open_store(folder / "release") as theirs, open_store(tmp_path / "again") as ours:
        if isinstance(theirs, PartedStore):
            return
        common = ours.tensors.keys() & theirs.tensors.keys()
        assert common == ours.tensors.keys() or folder.name in OTHER_SPELLINGS
        for name in common:
            assert torch.equal(ours.read(name), theirs.read(name)), name
            assert ours.tensors[name].dtype == theirs.tensors[name].dtype


@pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
def test_hparams_that_nobody_tells_are_asked_for(folder: Path) -> None:
    case, _ = read(folder)
    spec = NAMED.get(folder.name)
    if not untold(case):
        mw.build(spec, weights=folder / "release")
        return
    with pytest.raises(mw.WeightsError) as caught:
        mw.build(spec, weights=folder / "release")
    assert untold(case) <= case["set"].keys()
    for hparam in untold(case):
        assert hparam in str(caught.value)


def test_gelu_is_what_the_authors_computed() -> None:
    assert mw.build(weights=GOLDEN / "releases" / "xlnet" / "release").config.hidden_act == "gelu_tanh"


def test_the_vocabulary_of_a_pickled_corpus() -> None:
    words = read_symbols(GOLDEN / "releases" / "transfo_xl_pytorch" / "release" / "cache.pkl")
    assert words[:3] == ["<S>", "<UNK>", "w2"] and len(words) == 60
