"""TensorFlow's checkpoints: what TensorFlow wrote (golden files), the authors' releases, and what we write."""

from __future__ import annotations

import json
import lzma
import random
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from modelwright.assembler.stores import crc32c as crc
from modelwright.assembler.stores import open_store, verify, write_bundle
from modelwright.assembler.stores.base import Refused
from modelwright.assembler.stores.bundle import CODES
from modelwright.assembler.stores.crc32c import crc32c, masked
from modelwright.assembler.stores.dtypes import dtype_of, torch_dtype
from modelwright.assembler.stores.snappy import inflate
from modelwright.errors import DownloadError, WeightsError

GOLDEN = Path(__file__).resolve().parent / "golden" / "tensorflow_bundles"
DATA = ".data-00000-of-00001"


def raw(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.detach().resolve_conj().contiguous().reshape(-1).view(torch.uint8).tolist())


def golden(case: str, folder: Path) -> Path:
    """A copy of the case's bundle, unpacked; its prefix."""
    shutil.copytree(GOLDEN / case, folder / case)
    for path in (folder / case).glob("*.xz"):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
    return folder / case / "model.ckpt"


CASES = sorted(path.name for path in GOLDEN.iterdir())
IGNORED = {"dtypes": ["words"], "snappy": ["words"], "objects": ["_CHECKPOINTABLE_OBJECT_GRAPH"]}


@pytest.mark.parametrize("case", CASES)
def test_what_tensorflow_wrote(case: str, tmp_path: Path) -> None:
    prefix = golden(case, tmp_path)
    expected = json.loads((GOLDEN / case / "expected.json").read_text())
    with open_store(prefix) as store:
        assert store.name == "tensorflow" and list(store.ignored) == IGNORED.get(case, [])
        assert verify(store) == []
        assert len(store.tensors) == 17_000 if case == "blocks" else store.tensors.keys() == expected.keys()
        for name, values in expected.items():
            info, tensor = store.tensors[name], store.read(name)
            assert list(info.shape) == list(tensor.shape) == values["shape"] and dtype_of(tensor) == info.dtype
            assert info.dtype == values["dtype"] and raw(tensor).hex() == values["bytes"]
            assert tensor.numel() == 0 or tensor.data_ptr() % tensor.element_size() == 0


def test_index_and_data_are_tensorflows_own_bytes(tmp_path: Path) -> None:
    """In the order of names, as TensorFlow writes a variable of one type after the other."""
    for case in ("blocks", "dtypes", "objects", "shards"):
        prefix = golden(case, tmp_path)
        with open_store(prefix) as store:
            tensors = {name: store.read(name) for name in store.tensors}
        write_bundle(prefix.with_name("again"), tensors)
        with open_store(prefix.with_name("again")) as store:
            assert {name: raw(store.read(name)) for name in tensors} == {name: raw(tensors[name]) for name in tensors}
        if case == "blocks":  # nothing in it is padded or left out: the very same files
            for ending in (".index", DATA):
                assert (prefix.parent / f"again{ending}").read_bytes() == Path(f"{prefix}{ending}").read_bytes()


@pytest.mark.parametrize(("release", "count"), [("bert", 139), ("transformer_xl", 153)])
def test_releases(release: str, count: int, originals: Path, tmp_path: Path) -> None:
    folder = originals / release / "release"
    folder = folder / "model" if (folder / "model").is_dir() else folder
    with open_store(folder) as store:
        assert len(store.tensors) == count and verify(store) == []
        written = write_bundle(tmp_path / "copy", ((name, store.read(name)) for name in store.tensors))
    data, index = (path.read_bytes() for path in written)
    assert data == next(folder.glob(f"*{DATA}")).read_bytes() and index == next(folder.glob("*.index")).read_bytes()


def test_tensors_are_mapped(tmp_path: Path) -> None:
    big = torch.arange(2.0**20)
    write_bundle(tmp_path / "m", {"flag": torch.ones(1, dtype=torch.bool), "big": big})
    store = open_store(tmp_path / "m")
    first, second = store.read("big"), store.read("big")
    assert first.data_ptr() == second.data_ptr() and torch.equal(first, big)
    store.close()
    first[0] = 7.0  # its own pages: neither the file nor a later reader sees it
    assert open_store(tmp_path / "m").read("big")[0] == 0
    with pytest.raises(WeightsError, match="closed"):
        store.read("big")


# Finding


def test_every_way_to_name_a_bundle(tmp_path: Path) -> None:
    for step in (1, 20):
        write_bundle(tmp_path / f"model.ckpt-{step}", {"step": torch.tensor(step)}, note=step == 1)
    names = ["model.ckpt-20", "model.ckpt-20.index", f"model.ckpt-20{DATA}"]
    assert {int(open_store(tmp_path / name).read("step")) for name in names} == {20}
    assert open_store(tmp_path).read("step") == 1  # by the note
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-300"')
    with pytest.raises(WeightsError, match="names `model.ckpt-300`, which is not beside it"):
        open_store(tmp_path)
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(WeightsError, match=r"several files .*`model.ckpt-1.index`, `model.ckpt-20.index`"):
        open_store(tmp_path)
    (tmp_path / "model.ckpt-1.index").unlink()
    assert open_store(tmp_path).read("step") == 20
    with pytest.raises(DownloadError, match="no such file"):
        open_store(tmp_path / "model.ckpt-1")
    with pytest.raises(DownloadError, match="no such file"):
        open_store(tmp_path / "model.ckpt-20", ["torch"])


def test_first_format_by_its_note(tmp_path: Path) -> None:
    prefix = golden("first_format", tmp_path)
    (prefix.parent / "model.ckpt-2").write_bytes(b"")
    (prefix.parent / "checkpoint").write_text('model_checkpoint_path: "/home/somebody/run/model.ckpt"\n')
    assert open_store(prefix.parent).paths == [prefix]


@pytest.mark.parametrize("named", ["../other", "..", "", "/etc/passwd", "..\\other", "C:\\other", "x" * 5000, "a\0b"])
def test_a_note_never_leads_elsewhere(named: str, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    write_bundle(tmp_path / "other", {"outer": torch.ones(1)})
    write_bundle(folder / "mine", {"inner": torch.ones(1)})
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{named}"\n')
    assert list(open_store(folder).tensors) == ["inner"]


# Writing


def test_written_is_read_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {f"by/{dtype}": (torch.randn(3, 5) * 9).to(torch_dtype(dtype)) for dtype in CODES}
    tensors |= {"scalar": torch.tensor(2.5), "none": torch.empty(0, 4), "ünïcode": torch.arange(7)}
    tensors |= {"turned": torch.randn(4, 6).t(), "conj": torch.randn(3, dtype=torch.complex64).conj()}
    tensors |= {"b\0b": torch.ones(1), "big": torch.randn(300, 2000), "shared": tensors["turned"][1:]}
    assert [path.name for path in write_bundle(tmp_path / "m", tensors, note=True)] == [
        f"m{DATA}", "m.index", "checkpoint"
    ]  # fmt: skip
    with open_store(tmp_path) as store:
        assert store.tensors.keys() == tensors.keys() and verify(store) == []
        for name, tensor in tensors.items():
            found = store.read(name)
            assert found.dtype == tensor.dtype and found.shape == tensor.shape and raw(found) == raw(tensor), name


def test_one_tensor_at_a_time(tmp_path: Path) -> None:
    seen: list[weakref.ref[torch.Tensor]] = []

    def stream() -> Iterator[tuple[str, torch.Tensor]]:
        for i in range(5):
            tensor = torch.full((3,), float(i))
            seen.append(weakref.ref(tensor))
            yield str(i), tensor
            assert sum(reference() is not None for reference in seen) <= 2

    write_bundle(tmp_path / "m", stream())
    assert [float(open_store(tmp_path).read(str(i))[2]) for i in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("name", "tensor", "message"), [
    ("", torch.ones(1), "keeps this name"), ("\0x", torch.ones(1), "keeps this name"),
    ("\ud800", torch.ones(1), "not text"), ("x" * 5000, torch.ones(1), "over 4096 bytes"),
    ("m", torch.ones(1, device="meta"), "no values"), ("s", torch.eye(2).to_sparse(), "sparse"),
    ("q", torch.ones(2).view(torch.uint8).view(torch.float8_e8m0fnu), "no type for float8_e8m0fnu"),
    ("a", torch.ones(1), "another of its name"),
])
def test_what_cannot_be_written(name: str, tensor: torch.Tensor, message: str, tmp_path: Path) -> None:
    write_bundle(tmp_path / "m", {"old": torch.ones(1)})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(WeightsError, match=f"cannot be stored: .*{message}"):
        write_bundle(tmp_path / "m", [("a", torch.zeros(9)), (name, tensor)], note=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be written: no such file"):
        write_bundle(tmp_path / "no" / "m", {"a": torch.ones(1)})


# The parts


@pytest.mark.parametrize(("width", "piece"), [(crc.WIDTH, crc.PIECE), (16, 100), (32, 7)])
def test_checksum(width: int, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the check value of CRC-32C, and the definition byte by byte at every kind of length."""
    monkeypatch.setattr(crc, "WIDTH", width)
    monkeypatch.setattr(crc, "PIECE", piece)
    assert crc32c(bytearray(b"123456789")) == 0xE3069283
    draw = random.Random(0)
    for size in [0, 1, 3, 599, 600, 601, 607, 608, 1200, 5001, 16_000, 75 * 4096, 75 * 4096 + 1]:
        data = draw.randbytes(size)
        register = 0xFFFFFFFF
        for byte in data:
            register = register >> 8 ^ crc.TABLE[(register ^ byte) & 0xFF]
        assert crc32c(bytearray(data)) == register ^ 0xFFFFFFFF, size
    assert masked(0) == 0xA282EAD8


def test_snappy() -> None:
    sample = bytes(range(256)) + b"ab" * 500 + b"".join(bytes([i * i % 251]) * (i % 70) for i in range(3000))
    assert inflate((GOLDEN / "snappy" / "sample.snappy").read_bytes(), 2**20) == sample
    far = b"\x09\x0cabcd" + b"\x13\x04\0\0\0"  # a copy with an offset of four bytes, running into itself
    assert inflate(far, 9) == b"abcdabcda"


@pytest.mark.parametrize(("data", "message"), [
    (b"", "cut off"), (b"\xff" * 11, "longer than 64 bits"),
    (b"\x80\x80\x80\x80\x10", "4294967296 bytes inflated; 100 are"),
    *((data, "contradicts itself") for data in (
        b"\x04\x0cabc", b"\x03\x0cabcd", b"\x05\x0cabcd", b"\x05\xf0", b"\x05\xfc\xff\xff\xff\xffabcd",
        b"\x09\x0cabcd\x12\x05\0", b"\x05\x0cabcd\x12\0\0", b"\x09\x0cabcd\x1e\x04\0", b"\x09\x0cabcd\x12\x04",
    )),
])
def test_hostile_snappy(data: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message):
        inflate(data, 100)
