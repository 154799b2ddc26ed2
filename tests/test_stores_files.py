"""Finding a checkpoint, and holding one together that lies in several files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from modelwright.assembler.stores import open_store, verify
from modelwright.errors import DownloadError, UsageError, WeightsError


def save_legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def test_shards_written_by_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=99, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    model = transformers.BertModel(config)
    model.save_pretrained(tmp_path, max_shard_size="8KB")
    store = open_store(tmp_path)
    assert len(store.paths) > 3
    expected = model.state_dict()
    assert set(store.tensors) == set(expected)
    assert all(torch.equal(store.read(name), tensor) for name, tensor in expected.items())
    assert verify(store) == []
    assert set(open_store(tmp_path / "model.safetensors.index.json").tensors) == set(expected)


def write_shards(folder: Path, save=None) -> dict[str, str]:
    """Two shards {a, b} and {c}; returns the weight map that fits them."""
    save, ending = (save, "bin") if save else (safetensors.torch.save_file, "safetensors")
    save({"a": torch.ones(2), "b": torch.zeros(3)}, folder / f"1.{ending}")
    save({"c": torch.ones(4)}, folder / f"2.{ending}")
    return {"a": f"1.{ending}", "b": f"1.{ending}", "c": f"2.{ending}"}


def write_index(folder: Path, weight_map: object, name: str = "model.safetensors") -> None:
    text = weight_map if isinstance(weight_map, str) else json.dumps({"metadata": {"n": 1}, "weight_map": weight_map})
    (folder / f"{name}.index.json").write_text(text)


@pytest.mark.parametrize("save", [torch.save, save_legacy])
def test_shards_of_torch_files(save, tmp_path: Path) -> None:
    write_index(tmp_path, write_shards(tmp_path, save), "pytorch_model.bin")
    with open_store(tmp_path) as store:
        assert store.name == "torch" and store.metadata == {"n": "1"}
        assert torch.equal(store.read("c"), torch.ones(4))
        with pytest.raises(WeightsError, match="no tensor `d`"):
            store.read("d")


def test_shards_may_be_links_as_in_a_cache(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    weight_map = write_shards(blobs)
    for shard in set(weight_map.values()):
        (snapshot / shard).symlink_to(Path("..", "..", "blobs", shard))
    write_index(snapshot, weight_map)
    assert set(open_store(snapshot).tensors) == {"a", "b", "c"}


@pytest.mark.parametrize("shard", [
    "../1.safetensors", "..", ".", "", "/etc/passwd", "sub/1.safetensors", "..\\1.safetensors", "C:1.safetensors",
    "1\0.safetensors", "\ud800", "x" * 300, 7, None, ["1.safetensors"],
])
def test_shard_names_stay_in_the_folder(shard: object, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    write_shards(tmp_path)
    write_index(folder, write_shards(folder) | {"c": shard})
    with pytest.raises(WeightsError, match="not plainly beside it") as caught:
        open_store(folder)
    str(caught.value).encode()


@pytest.mark.parametrize(("change", "messages"), [
    ({"d": "2.safetensors"}, ["`d` into `2.safetensors`, where it is not"]),
    ({"b": None}, ["`1.safetensors` holds `b`, which the index does not name"]),
    ({"b": "2.safetensors"}, ["`b` into `2.safetensors`, where it is not", "holds `b`, which the index puts into `2"]),
])
def test_index_and_shards_must_agree(change: dict, messages: list[str], tmp_path: Path) -> None:
    weight_map = write_shards(tmp_path) | change
    write_index(tmp_path, {name: shard for name, shard in weight_map.items() if shard})
    with pytest.raises(WeightsError) as caught:
        open_store(tmp_path)
    assert len(caught.value.diagnostics) == len(messages)
    assert all(message in str(caught.value) for message in messages)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    weight_map = write_shards(tmp_path)
    safetensors.torch.save_file({"c": torch.ones(4), "a": torch.ones(2)}, tmp_path / "2.safetensors")
    write_index(tmp_path, weight_map)
    with pytest.raises(WeightsError, match="`2.safetensors` holds `a`, which the index puts into `1.safetensors`"):
        open_store(tmp_path)


def test_all_missing_shards_are_named(tmp_path: Path) -> None:
    write_index(tmp_path, write_shards(tmp_path) | {"d": "3.safetensors", "e": "4.safetensors"})
    with pytest.raises(DownloadError, match="2 of the 4 files .* `3.safetensors`, `4.safetensors`"):
        open_store(tmp_path)


@pytest.mark.parametrize(("text", "message"), [
    ("", "not JSON"), ("{", "not JSON"), ("[" * 100_000, "not JSON"), ("\ud83d", "not JSON"), ("[]", "weight_map"),
    ('{"weight_map": []}', "weight_map"), ('{"weight_map": {}}', "weight_map"),
])
def test_damaged_index(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(WeightsError, match=message):
        open_store(tmp_path)


# Finding


@pytest.mark.parametrize(("files", "kinds", "found"), [
    (["pytorch_model.bin", "model.safetensors", "x.pt"], ("safetensors", "torch"), "model.safetensors"),
    (["pytorch_model.bin", "model.safetensors"], ("torch", "safetensors"), "pytorch_model.bin"),
    (["pytorch_model.bin", "model.safetensors"], ("torch",), "pytorch_model.bin"),
    (["pytorch_model.bin", "other.safetensors"], ("safetensors", "torch"), "pytorch_model.bin"),
    (["vocab.txt", "weights.pth"], ("safetensors", "torch"), "weights.pth"),
    (["a.safetensors", "b.bin"], ("torch",), "b.bin"),
])
def test_finding_in_a_folder(files: list[str], kinds: tuple[str, ...], found: str, tmp_path: Path) -> None:
    for file in files:
        save = safetensors.torch.save_file if file.endswith("safetensors") else torch.save
        save({file: torch.ones(1)}, tmp_path / file)
    assert list(open_store(tmp_path, kinds).tensors) == [found]


@pytest.mark.parametrize(("files", "error", "message"), [
    ([], DownloadError, "looked for `model.safetensors`, `model.safetensors.index.json`, `pytorch_model.bin`"),
    (["model.onnx", "flax_model.msgpack"], DownloadError, r"`flax_model.msgpack \(Flax\)`, `model.onnx \(ONNX"),
    (["bert_model.ckpt.index"], WeightsError, "truncated or damaged: it does not end as a TensorFlow index"),
    (["b.pt", "a.bin"], WeightsError, "several files .*`a.bin`, `b.pt`"),
    (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], WeightsError, "need their .*index.json"),
])
def test_not_finding_in_a_folder(files: list[str], error: type, message: str, tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file).write_bytes(b"x")
    with pytest.raises(error, match=f"(?s){message}"):
        open_store(tmp_path)


def test_paths_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no such file") as caught:
        open_store(tmp_path / "nowhere")
    assert caught.value.exit_code == 3
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(DownloadError, match="neither"):
        open_store(tmp_path / "pipe.bin")
    with pytest.raises(UsageError, match="did you mean `torch`"):
        open_store(tmp_path, ["troch"])


def test_content_decides_what_a_file_is(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.ones(1)}, tmp_path / "a.bin")
    assert open_store(tmp_path / "a.bin").name == "safetensors"
    with pytest.raises(WeightsError, match="is a safetensors file; what is wanted is torch"):
        open_store(tmp_path / "a.bin", ["torch"])
