"""The command line: what it prints where, its exit codes, and that no mistake shows a traceback."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modelwright import cli

transformers = pytest.importorskip("transformers")
ROOT = Path(__file__).resolve().parent.parent
SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "weights"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def test_build_prints_the_report_and_writes(run, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("build", "bert", "--weights", folder, "--head", "masked_lm", "--output", tmp_path / "out")
    assert code == 0 and err == ""
    assert "every value finite" in out and "heads.masked_lm" in out and "written" in out
    assert transformers.BertForMaskedLM.from_pretrained(tmp_path / "out").config.hidden_size == 16


def test_build_from_the_weights_alone_as_json(run, folder: Path) -> None:
    code, out, _ = run("build", "--weights", folder, "--json", "--head", "masked_lm", "--head", "question_answering")
    result = json.loads(out)
    assert code == 0 and result["spec"] == "bert" and result["config"]["hidden_size"] == 16
    assert result["report"]["fresh"] == [f"heads.question_answering.projection.{leaf}" for leaf in ("weight", "bias")]


def test_a_dry_run_reads_and_writes_nothing(run, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("build", "bert", "--weights", folder, "--dry-run", "--output", tmp_path / "out")
    assert code == 0 and "dry run" in out and not (tmp_path / "out").exists()


def test_the_script_runs_from_anywhere(folder: Path, tmp_path: Path) -> None:
    spec = ROOT / "specs" / "bert.yaml"
    command = [sys.executable, str(ROOT / "cli.py"), "build", str(spec), "--weights", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0 and "loaded" in result.stdout, result.stderr
    assert subprocess.run([*command, "--head", "x"], capture_output=True, cwd=ROOT).returncode == 1


SPECS = {
    "unknown key": ("spec: a\nextends: bert\nhparams:\n  hiden_size: 768\n", "did you mean `hidden_size`?"),
    "unknown argument": (
        "spec: a\nextends: bert\nmodel:\n  encoder:\n    layer:\n      sublayers:\n        attention: {num_head: 3}\n",
        "did you mean `num_heads`?",
    ),
    "wrong type": ("spec: a\nextends: bert\nhparams:\n  num_hidden_layers: twelve\n", "num_hidden_layers"),
    "heads": ("spec: a\nextends: bert\nhparams:\n  num_attention_heads: 10\n", "768 cannot be split into 10 heads"),
    "cyclic": ("spec: a\nextends: ./spec.yaml\n", "extends"),
    "aliases": (
        "spec: a\na: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        "alias",
    ),
    "brackets": ("spec: " + "[" * 100_000, "deep"),
    "tag": ("spec: a\nhparams: !!python/object/apply:os.system ['touch /tmp/owned']\n", "tag"),
    "environment": ("spec: a\nextends: bert\nhparams:\n  hidden_size: ${oc.env:HOME}\n", "oc.env"),
    "not a spec": ("- a\n- b\n", "mapping"),
    "duplicate": ("spec: a\nextends: bert\nspec: b\n", "duplicate key `spec`"),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("command", ["validate", "build"])
def test_bad_specs(run, tmp_path: Path, name: str, command: str) -> None:
    text, message = SPECS[name]
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    code, out, err = run(command, path)
    assert code == 1 and message in err, err
    assert f"{path}:" in err or "spec.yaml" in err
    assert err.count("error: ") == 1, err


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lie(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 2**62) + data[8:])


def payload(folder: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return Path.touch, (folder / "owned",)

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Bomb()}))


def change(edit):
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        edit(tensors)
        save_file(tensors, folder / "model.safetensors")

    return apply


def escape(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    index = {"metadata": {}, "weight_map": {"bert.embeddings.LayerNorm.weight": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


NAME = "bert.encoder.layer.0.output.dense.bias"
WEIGHTS = {
    "truncated": (cut, 4, "model.safetensors"),
    "lying": (lie, 4, "model.safetensors"),
    "payload": (payload, 4, "pytorch_model.bin"),
    "missing": (change(lambda t: t.pop(NAME)), 4, "encoder.layers.0.feed_forward.output.bias"),
    "extra": (change(lambda t: t.update(stranger=torch.ones(3))), 4, "stranger"),
    "misshapen": (change(lambda t: t.update({NAME: torch.ones(3)})), 4, "another shape"),
    "nan": (change(lambda t: t[NAME].fill_(float("nan"))), 4, "NaN"),
    "shard": (escape, 4, ".."),
    "config": (lambda folder: (folder / "config.json").write_text("{"), 4, "config.json"),
    "nothing": (lambda folder: (folder / "model.safetensors").unlink(), 3, "no weights"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_bad_weights(run, folder: Path, tmp_path: Path, name: str) -> None:
    damage, expected, message = WEIGHTS[name]
    damage(folder)
    code, out, err = run("build", "bert", "--weights", folder, "--head", "masked_lm", "--output", tmp_path / "out")
    assert code == expected and message in err, err
    assert err.count("error: ") == 1 and out == "", err
    assert not (folder / "owned").exists() and not (tmp_path / "out").exists()


def test_exit_codes_of_the_rest(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("build", "bert", "--weights", "no/such/path/at/all")[0] == 3
    assert run("build", "bert", "--weights", "bert-base-uncased")[0] == 3  # the tests are offline
    assert run("build")[0] == 2 and run("biuld")[0] == 2 and run("build", "bert", "--set", "x")[0] == 2
    assert run("build", "bert", "--device", "cudda")[0] == 2 and run("build", "bert", "--dtype", "float99")[0] == 2
    assert "must be at least 1" in run("build", "bert", "--set", "num_hidden_layers=0")[2]
    assert "must be at most 10000" in run("validate", "bert", "--set", "num_hidden_layers=1000000000")[2]
    assert "must be at most 1" in run("validate", "bert", "--set", "hidden_dropout=1.5")[2]
    assert run("build", "bert", "--set", "initializer_range=x")[0] == 1
    assert run("build", "bert", "--dtype", "float8_e4m3fn")[0] == 2 and run("build", "bert", "--device", "xpu")[0] == 2
    assert run("build", "no_such_spec")[0] == 1
    assert run("build", "bert", "--head", "masked_ml")[0] == 1
    assert run("build", "bert", "--plugin", "no_such_module")[0] == 2

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("modelwright.assembler.language.catalogue.catalogue", interrupt)
    assert run("list")[0] == 130


def test_no_verify_loads_what_is_not_finite(run, folder: Path) -> None:
    WEIGHTS["nan"][0](folder)
    assert run("build", "bert", "--weights", folder, "--no-verify")[0] == 0


def test_json_errors_are_json(run, folder: Path) -> None:
    cut(folder)
    code, out, _ = run("build", "bert", "--weights", folder, "--json")
    assert code == 4 and json.loads(out)["exit_code"] == 4
    code, out, _ = run("validate", "bert", "--set", "num_attention_heads=10", "--json")
    assert code == 1 and "10 heads" in json.loads(out)["bert"][0]["message"]


def test_the_readable_commands(run, tmp_path: Path) -> None:
    assert run("list")[1].count(" bert-base-uncased") == 1
    described = run("describe", "bert", "--head", "pretraining", "--length", "16")[1]
    assert "110,106,428 parameters" in described and "{0…11}" in described and "GFLOP" in described
    rendered = run("render", "gpt2", "--set", "num_hidden_layers=3")[1]
    assert "--set num_hidden_layers=3" in rendered and "specs/gpt2.yaml:" in rendered
    (tmp_path / "again.yaml").write_text(rendered)
    assert run("diff", tmp_path / "again.yaml", "gpt2", "--set", "num_hidden_layers=3")[1] == "no difference\n"
    assert "hparams.hidden_size: 768 -> 12" in run("diff", "bert", "bert", "--set", "hidden_size=12")[1]
    assert json.loads(run("schema")[1]) == json.loads((ROOT / "specs" / "schema.json").read_text())


def test_flops_match_an_independent_count(run) -> None:
    """2 · tokens · weights of the layers, plus 4 · tokens² · width of attention, plus the vocabulary projection."""
    length, width, layers, vocabulary = 128, 768, 12, 50257
    expected = 2 * length * layers * 12 * width**2 + 4 * layers * length**2 * width + 2 * length * width * vocabulary
    found = json.loads(run("describe", "gpt2", "--head", "causal_lm", "--length", length, "--json")[1])
    assert found["flops"] == expected and found["parameters"] == 124_439_808


def test_plugins_bring_own_blocks(tmp_path: Path) -> None:
    def run(*arguments: object) -> tuple[int, str]:  # in a process of its own: the registry is global
        command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)})
        return result.returncode, result.stderr

    (tmp_path / "my_norms.py").write_text(
        "import torch\nimport modelwright as mw\n\n"
        "@mw.blocks.register('plain_norm')\nclass PlainNorm(mw.blocks.Norm):\n"
        '    """No norm at all.\n\n    Args:\n        factor: what the input is multiplied by.\n    """\n\n'
        "    def __init__(self, *, factor: float = 1.0) -> None:\n        super().__init__()\n"
        "        self.factor = factor\n\n"
        "    def forward(self, hidden):\n        return hidden * self.factor\n"
    )
    spec = tmp_path / "mine.yaml"
    spec.write_text("spec: mine\nextends: gpt2\nmodel:\n  decoder:\n    norm: {block: plain_norm, factor: 2.0}\n"
                    "weights:\n  huggingface:\n    rules: {decoder.norm: null}\n")  # fmt: skip
    small = [f"--set={name}={value}" for name, value in SMALL.items()]
    assert run("build", spec, *small)[0] == 1
    code, err = run("build", spec, *small, "--plugin", "my_norms")
    assert code == 0, err
    assert run("validate", spec, "--plugin", "my_norms")[0] == 0
    installed = tmp_path / "my_norms-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: my-norms\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[modelwright.blocks]\nmy-norms = my_norms\n")
    assert run("validate", spec)[0] == 0 and run("build", spec, *small)[0] == 0
    spec.write_text(spec.read_text().replace("factor", "faktor"))
    assert "did you mean `factor`?" in run("build", spec, *small, "--plugin", "my_norms")[1]


def test_tokenize_prints_a_table(run, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nhouse\n##s\n")
    code, out, err = run("tokenize", tmp_path, "The\thouses x", "--spec", "bert")
    assert code == 0 and err == "" and out.splitlines() == [
        "   id  type  from   token  text",
        "0   2     0         [CLS]",
        "1   5     0  0-3    the    The",
        "2   6     0  4-9    house  house",
        "3   7     0  9-10   ##s    s",
        "4   1     0  11-12  [UNK]  x",
        "5   3     0         [SEP]",
    ]
    code, out, _ = run("tokenize", tmp_path, "the", "--pair", "house", "--spec", "bert", "--json", "--no-special")
    assert code == 0 and json.loads(out) == [
        {"token": "the", "id": 5, "type": 0, "start": 0, "end": 3, "text": "the"},
        {"token": "house", "id": 6, "type": 1, "start": 0, "end": 5, "text": "house"},
    ]
    code, _, err = run("tokenize", tmp_path, "the")
    assert code == 3 and "cannot tell which spec" in err and 'spec="…"' in err
    code, _, err = run("tokenize", tmp_path / "none.txt", "the", "--spec", "bert")
    assert code != 0 and "Traceback" not in err


def test_tokenize_takes_what_is_piped_in(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nhouse\n##s\n")

    def piped(data: bytes, *more: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))
        return run("tokenize", tmp_path, *more, "--spec", "bert", "--no-special", "--json")

    for more in ((), ("-",)):
        code, out, err = piped("the\u00e9 house\r\n".encode(), *more)
        assert code == 0 and err == "" and [row["text"] for row in json.loads(out)] == ["the\u00e9", "house"]
    assert piped(b"")[:2] == (0, "[]\n")
    code, _, err = piped(b"\xff")
    assert code == 2 and "not UTF-8" in err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert run("tokenize", tmp_path, "--spec", "bert")[0] == 2
