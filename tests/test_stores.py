"""Checkpoint stores against the libraries that own the formats, and against files that lie."""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.numpy
import safetensors.torch
import torch

from modelwright.assembler.stores import open_store, verify, write_safetensors
from modelwright.assembler.stores.dtypes import dtype_of
from modelwright.errors import DownloadError, WeightsError

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
UNSIGNED = [torch.uint16, torch.uint32, torch.uint64]


def tensors(dtypes: list[torch.dtype]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    made = {f"layer.{i}.{str(dtype)[6:]}": (torch.randn(3, 5) * 9).to(dtype) for i, dtype in enumerate(dtypes)}
    return made | {"scalar": torch.tensor(2.5), "none": torch.empty(0, 4), "ünïcode": torch.arange(7)}


def save_zip(content: object, path: Path, **options: object) -> None:
    torch.save(content, path, **options)


def save_legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_numpy(content: dict[str, torch.Tensor], path: Path) -> None:
    safetensors.numpy.save_file({name: tensor.numpy() for name, tensor in content.items()}, path)


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Bit for bit, whatever the type."""
    flat = (tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (left, right))
    return left.shape == right.shape and left.dtype == right.dtype and torch.equal(*flat)


WRITERS = {
    "safetensors": (safetensors.torch.save_file, FLOATS + INTEGERS + UNSIGNED + [torch.complex64], "m.safetensors"),
    "safetensors-numpy": (save_numpy, [torch.float64, torch.float32, torch.float16, *INTEGERS], "m.safetensors"),
    "ours": (lambda content, path: write_safetensors(path, content), FLOATS + INTEGERS + UNSIGNED, "m.safetensors"),
    "zip": (save_zip, FLOATS + INTEGERS + UNSIGNED + [torch.complex64, torch.complex128], "m.bin"),
    "zip-protocol-4": (lambda content, path: save_zip(content, path, pickle_protocol=4), FLOATS + INTEGERS, "m.pt"),
    "legacy": (save_legacy, FLOATS + INTEGERS + UNSIGNED + [torch.complex64], "m.pth"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_reads_what_others_write(writer: str, tmp_path: Path) -> None:
    save, dtypes, file = WRITERS[writer]
    expected = tensors(dtypes)
    save(expected, tmp_path / file)
    with open_store(tmp_path / file) as store:
        assert store.name == ("safetensors" if "safetensors" in file else "torch")
        assert store.paths == [tmp_path / file]
        assert set(store.tensors) == set(expected)
        for name, tensor in expected.items():
            info = store.tensors[name]
            assert (info.shape, info.dtype, info.file) == (tuple(tensor.shape), dtype_of(tensor), tmp_path / file)
            got = store.read(name)
            assert same(got, tensor), name
            assert got.data_ptr() % got.element_size() == 0
        assert verify(store) == []
        with pytest.raises(WeightsError, match="scalar"):
            store.read("scaler")
    with pytest.raises(WeightsError, match="closed"):
        store.read("scalar")
    assert same(got, expected[name])  # outlives the store


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_agrees_with_torch_load(save, tmp_path: Path) -> None:
    base = torch.arange(60.0).reshape(5, 12)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    marked = torch.nn.Parameter(torch.ones(2))
    marked.note = "an attribute"
    content = OrderedDict(
        module.state_dict(), whole=base, transposed=base.t(), part=base[1:3, ::2], row=base[4], tied=base,
        marked=marked, parameter=torch.nn.Parameter(torch.randn(3)), wide=torch.arange(4).expand(1, 4),
    )
    save(content, tmp_path / "m.bin")
    expected = torch.load(tmp_path / "m.bin", weights_only=True)
    store = open_store(tmp_path / "m.bin")
    assert list(store.tensors) == list(expected)
    for name, tensor in expected.items():
        assert same(store.read(name), tensor), name
        assert store.read(name).stride() == tensor.stride(), name


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_state_dict_inside_a_training_checkpoint(key: str, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))])
    optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
    optimizer.step()
    inner = {"w": torch.ones(2, 3), "version": 4, "note": "text", "nothing": None}
    save_zip({"epoch": 3, key: inner, "optimizer": optimizer.state_dict()}, tmp_path / "m.pt")
    store = open_store(tmp_path / "m.pt")
    assert list(store.tensors) == ["w"]
    assert store.ignored == ("epoch", "optimizer", "version", "note", "nothing")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("writer", ["safetensors", "zip", "legacy"])
def test_tensors_are_mapped_and_private(writer: str, tmp_path: Path) -> None:
    save, _, file = WRITERS[writer]
    path = tmp_path / file
    # int8 tensors are aligned wherever they begin, so that the old format is mapped as well
    save({"a": torch.ones(1 << 20, dtype=torch.int8)}, path)
    before = path.read_bytes()
    tensor = open_store(path).read("a")
    mappings = Path("/proc/self/maps").read_text().splitlines()
    ranges = [line.split()[0].split("-") for line in mappings if str(path) in line]
    assert any(int(start, 16) <= tensor.data_ptr() < int(end, 16) for start, end in ranges)
    tensor.fill_(7)
    assert path.read_bytes() == before
    assert open_store(path).read("a")[0] == 1


# Writing


def test_written_files_are_read_by_the_library(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    content = tensors(FLOATS + INTEGERS + UNSIGNED) | {"base": base, "transposed": base.t(), "tied": base}
    content["parameter"] = torch.nn.Parameter(torch.ones(2))
    content["conjugate"] = torch.tensor([1 + 2j]).conj()
    write_safetensors(tmp_path / "m.safetensors", iter(content.items()), {"title": "ein Täßt"})
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    read = safetensors.torch.load_file(tmp_path / "m.safetensors")
    assert set(read) == set(content)
    content["conjugate"] = content["conjugate"].resolve_conj()
    for name, tensor in content.items():
        assert same(read[name], tensor), name
        assert read[name].data_ptr() % read[name].element_size() == 0
    assert open_store(tmp_path / "m.safetensors").metadata == {"format": "pt", "title": "ein Täßt"}


@pytest.mark.parametrize(("tensor", "message"), [
    (torch.empty(2, device="meta"), "no values"), (torch.eye(2).to_sparse(), "sparse"),
    (torch.zeros(2, dtype=torch.complex128), "complex128"),
])
def test_what_cannot_be_stored_is_refused_before_writing(tensor: torch.Tensor, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"old")
    with pytest.raises(WeightsError, match=message):
        write_safetensors(tmp_path / "m.safetensors", {"good": torch.ones(2), "bad": tensor})
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m.safetensors", b"old")]


@pytest.mark.parametrize(("raised", "seen"), [
    (OSError(28, "No space left"), DownloadError), (KeyboardInterrupt(), KeyboardInterrupt),
])
def test_nothing_is_left_of_an_interrupted_write(
    raised: BaseException, seen: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"old")

    def fail(_: int) -> None:
        raise raised

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(seen):
        write_safetensors(tmp_path / "m.safetensors", {"a": torch.ones(2)})
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m.safetensors", b"old")]
    with pytest.raises(seen):
        write_safetensors(tmp_path / "new.safetensors", {"a": torch.ones(2)})
    assert len(list(tmp_path.iterdir())) == 1


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be written"):
        write_safetensors(tmp_path / "missing" / "m.safetensors", {"a": torch.ones(2)})


# Values


@pytest.mark.parametrize("writer", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("dtype", [*FLOATS, torch.complex64])
def test_verify_counts_what_is_no_number(writer: str, dtype: torch.dtype, tmp_path: Path) -> None:
    infinity = float("nan") if dtype is torch.float8_e4m3fn else float("-inf")  # that type has no infinity
    bad = torch.tensor([[1.0, float("nan")], [infinity, infinity]]).to(dtype)
    save, _, file = WRITERS[writer]
    good = torch.full((3,), torch.finfo(dtype).max, dtype=torch.float64).to(dtype)
    save({"good": good, "bad": bad, "count": torch.ones(2).int()}, tmp_path / file)
    (found,) = verify(open_store(tmp_path / file))
    counts = "3 NaN and 0 infinite" if dtype is torch.float8_e4m3fn else "1 NaN and 2 infinite"
    assert found.message == f"tensor `bad` [2, 2] has {counts} elements"
    assert found.place.source == str(tmp_path / file)
    assert verify(open_store(tmp_path / file), ["good", "count"]) == []


def test_verify_checks_stored_checksums(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    save_zip({"a": torch.ones(9), "tied": torch.ones(3)}, path)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("m/data/0").header_offset
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(9).numpy().tobytes(), start)] ^= 1
    path.write_bytes(data)
    (found,) = verify(open_store(path))
    assert found.message == "record `data/0` (`a`) does not match its checksum"


def test_files_saved_without_checksums_are_sound(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        save_zip({"a": torch.ones(9)}, tmp_path / "m.bin")
    finally:
        torch.serialization.set_crc32_options(True)
    assert verify(open_store(tmp_path / "m.bin")) == []
