"""`modelwright inspect`: what a checkpoint, an archive or a config is, without loading it."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch

import modelwright as mw
from modelwright import cli
from modelwright.assembler.stores import TensorInfo, open_store, write_numpy, write_safetensors, write_torch
from modelwright.assembler.weights.guess import guess
from modelwright.assembler.weights.inspection import inspect
from modelwright.assembler.weights.shown import fold_tensors

SMALL = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    for spec, head in (("bert", "masked_lm"), ("gpt2", "causal_lm")):
        mw.build(spec, head=head, intermediate_size=12, **SMALL).save(root / spec)
    return {spec: root / spec for spec in ("bert", "gpt2")}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["inspect", *map(str, arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def test_a_folder(run, folders: dict[str, Path]) -> None:
    code, out, err = run(folders["bert"])
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].startswith(f"{folders['bert']}: safetensors, 1 file, ")
    assert lines[1] == "  family    bert (huggingface), by config.json" and "num_hidden_layers 3" in lines[2]
    (row,) = (line for line in lines if "attention.self.query.weight" in line)
    name = "bert.encoder.layer.{0…2}.attention.self.query.weight"
    assert row.split() == [name, "[8,", "8]", "float32", "3", "768", "B"]
    assert lines[-1].startswith("  ") and "tensors, " in lines[-1]


def test_as_json(run, folders: dict[str, Path]) -> None:
    code, out, _ = run(folders["gpt2"], "--json")
    found, store = json.loads(out), open_store(folders["gpt2"])
    assert code == 0 and found["family"] == ["gpt2"] and found["config"]["hidden_size"] == 8
    assert found["tensors"].keys() == store.tensors.keys()
    assert found["total"]["bytes"] == sum(store.read(name).nbytes for name in store.tensors)
    assert found["problems"] == [] and found["verified"] is False


@pytest.mark.parametrize("spec", ["bert", "gpt2"])
def test_the_family_by_names_and_shapes(run, spec: str, folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(folders[spec] / "model.safetensors", tmp_path / "model.safetensors")
    code, out, _ = run(tmp_path / "model.safetensors")
    assert code == 0 and f"family    {spec} (huggingface), by names and shapes" in out
    names = open_store(tmp_path).tensors
    bent = {name: TensorInfo((*info.shape, 2, 2), info.dtype, info.file) for name, info in names.items()}
    assert [one.spec for one in guess(names)] == [spec]
    assert guess({f"x/{name}": info for name, info in names.items()}) == []
    assert len(guess(bent)) == 0 or guess(bent)[0].explained < len(names), "shapes count as well"


def test_an_archive(run, folders: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as archive:
        archive.add(folders["bert"], "release")
    code, out, _ = run(tmp_path / "m.tar.gz", "--cache-dir", tmp_path / "cache", "--verify")
    assert code == 0 and ", in an archive" in out and "family    bert" in out and "every tensor read" in out


def test_configs_and_specs(run, folders: dict[str, Path], tmp_path: Path) -> None:
    code, out, _ = run(folders["bert"] / "config.json")
    assert code == 0 and ": config," in out and "family    bert, by config.json" in out and "hidden_size 8" in out
    (tmp_path / "config.json").write_text('{"model_type": "unheard of", "width": 3}')
    code, out, _ = run(tmp_path)
    assert code == 0 and "family    not known" in out and "width 3" in out
    code, out, _ = run(Path(mw.__file__).parent / "specs" / "gpt2.yaml")
    assert code == 0 and ": spec," in out and "family    gpt2" in out


def test_what_lies_beside_the_weights(run, tmp_path: Path) -> None:
    options, words = argparse.Namespace(arch="large", layers=2), {i: str(i) for i in range(30)}
    extras = {"args": options, "dico": words, "note": "a\x1b[1m"}
    write_torch(tmp_path / "model.pt", {"decoder.layers.0.w": torch.ones(2)}, extras)
    code, out, _ = run(tmp_path)
    assert code == 0 and "config    arch large, layers 2" in out
    assert "dico (dict of 30)" in out and "args (attributes of 2)" in out and "\x1b" not in out


def test_positions_in_place_of_names(run, tmp_path: Path) -> None:
    write_numpy(tmp_path, {f"params/{i}": torch.ones(3) for i in range(12)})
    code, out, _ = run(tmp_path)
    assert code == 0 and ": numpy, 11 files" in out and "params/{0…11}" in out


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_verifying_finds_what_is_no_number(run, arguments: list[str], tmp_path: Path) -> None:
    write_safetensors(tmp_path / "m.safetensors", {"a": torch.tensor([1.0, float("nan")]), "b": torch.ones(1)})
    assert run(tmp_path, *arguments)[0] == 0
    code, out, err = run(tmp_path, "--verify", *arguments)
    assert code == 4 and "1 NaN" in (json.loads(out)["problems"][0]["message"] if arguments else err)


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"\x80\2cposix\nsystem\n.", "run code")])
def test_what_cannot_be_opened(run, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(content)
    code, out, err = run(tmp_path / "m.pkl")
    assert (code, out) == (4, "") and message in err
    assert run(tmp_path / "nowhere.bin")[0] == 3


def info(*shape: int) -> TensorInfo:
    return TensorInfo(shape, "float32", Path())


def test_folding() -> None:
    names = [f"b/block_{i:03d}/layer_{j:03d}/w" for i in range(12) for j in range(2)]
    rows = fold_tensors({name: info(2) for name in names} | {"b/block_007/layer_000/v": info(3), "h2o.w": info(1)})
    assert {name: count for name, (_, count) in rows.items()} == {
        "b/block_{0…11}/layer_{0…1}/w": 24, "b/block_007/layer_000/v": 1, "h2o.w": 1,
    }  # fmt: skip
    uneven = {"l.0.w": info(2), "l.1.w": info(3), "l.3.w": info(2)}
    assert {name: count for name, (_, count) in fold_tensors(uneven).items()} == {"l.{0,3}.w": 2, "l.1.w": 1}
    assert fold_tensors({}) == {}


def test_nothing_is_read(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwright.assembler.stores.SafetensorsStore.read", lambda *_: pytest.fail("it was read"))
    assert inspect(str(folders["bert"])).family == ["bert"]


RELEASES = Path(__file__).parent / "golden" / "releases"


RELEASED = [
    "gpt", "gpt2", "roberta_2019", "roberta_mnli", "bart", "xlm_languages", "t5", "xlnet", "ctrl", "llama_shards",
]  # fmt: skip


@pytest.mark.parametrize("name", RELEASED)
def test_releases(name: str, run) -> None:
    """Spec, format, hparams and what is not told, without loading anything."""
    case = json.loads((RELEASES / name / "case.json").read_text())
    code, out, err = run(RELEASES / name / "release", "--json", "--verify")
    found = json.loads(out)
    assert (code, err, found["verified"]) == (0, "", True)
    assert (found["family"], found["format"]) == ([case["spec"]], case["format"])
    assert found["untold"].keys() == case["set"].keys()
    model = mw.build(weights=RELEASES / name / "release", dry_run=True, **case["set"])
    assert found["config"] and all(model.config[key] == value for key, value in found["config"].items())


COUNTS = {  # tensors, as the programs that wrote them count; what several layers of Keras share is one
    "bert": 139, "gpt": 26, "roberta_mnli": 50, "xlm_languages": 39, "reformer": 44, "transfo_xl_pytorch": 42,
    "llama": 22, "keras_bert": 42,
}  # fmt: skip


def test_torch_is_not_needed_to_look(folders: dict[str, Path], tmp_path: Path) -> None:
    """A release of each format, TensorFlow's first among them, and files of Hugging Face."""
    (tmp_path / "old").mkdir()
    shutil.copy(folders["gpt2"] / "config.json", tmp_path / "old")
    with open_store(folders["gpt2"]) as store:
        write_torch(tmp_path / "old" / "pytorch_model.bin", {name: store.read(name) for name in store.tensors})
        wanted = dict.fromkeys([folders["gpt2"], tmp_path / "old"], ["gpt2", "huggingface", len(store.tensors)])
    wanted[RELEASES.parent / "tensorflow_bundles" / "first_format"] = ["", "", 12]
    for name, count in COUNTS.items():
        case = json.loads((RELEASES / name / "case.json").read_text())
        wanted[RELEASES / name / "release"] = [case["spec"], case["format"], count]
    code = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import conftest\n"
        "from modelwright.assembler.weights.inspection import inspect\n"
        "found = [inspect(path) for path in sys.argv[1:]]\n"
        "said = [[' '.join(one.family), one.format, len(one.tensors)] for one in found]\n"
        "print(json.dumps([said, 'torch' in sys.modules]))"
    )
    command = [sys.executable, "-P", "-c", code, *map(str, wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[*wanted.values()], False]


def test_what_belongs_to_a_release(run) -> None:
    code, out, _ = run(RELEASES / "ctrl" / "release")
    assert code == 0 and "  untold    --set num_attention_heads=…  how many heads the attention has" in out
    assert "  ignored   52 tensors: the optimizer's" in out and "  ignored   1 tensor: of the training" in out
    code, out, _ = run(RELEASES / "gpt2" / "release")
    assert code == 0 and "  tokens    encoder.json, vocab.bpe" in out


def test_a_config_that_does_not_fit_is_a_problem(run, folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["bert"], tmp_path / "bert")
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config | {"position_embedding_type": "relative_key"}))
    code, out, err = run(tmp_path / "bert")
    assert code == 4 and "family    bert (huggingface)" in out and "can only build 'absolute'" in err
