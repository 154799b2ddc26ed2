"""Archives: unpacked once, and never outside their folder, by a link, twice or to the last byte of the disk."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

import modelwright as mw
from modelwright.assembler.stores import archives, is_archive, open_store, unpack
from modelwright.assembler.weights.checkpoint import open_checkpoint
from modelwright.errors import WeightsError

FILES = {"big/model.bin": b"", "big/config.json": b'{"model_type": "bert"}', "big/sub/vocab.txt": b"a\n"}
KINDS = ("x.zip", "x.tar", "x.tar.gz", "x.tgz")


def saved() -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.arange(4.0)}, buffer)
    return buffer.getvalue()


def write(path: Path, files: dict[str, bytes]) -> None:
    """An honest archive of any kind."""
    with warnings.catch_warnings(action="ignore"):
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            with tarfile.open(path, "w" if path.name.endswith(".tar") else "w:gz") as archive:
                for name, content in files.items():
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))


def refused(path: Path, cache: Path) -> str:
    before = set(cache.rglob("*")) if cache.is_dir() else set()
    with pytest.raises(WeightsError) as caught:
        unpack(path, cache)
    assert caught.value.exit_code == 4 and len(caught.value.diagnostics) == 1 and str(path) in str(caught.value)
    left = {entry for entry in cache.rglob("*") if entry.suffix != ".lock"} - before
    assert left <= {cache / "unpacked"}, "nothing of a bad archive stays"
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_unpacked_once(kind: str, tmp_path: Path) -> None:
    path, cache = tmp_path / kind, tmp_path / "cache"
    files = FILES | {"big/model.bin": saved()}
    write(path, files)
    assert is_archive(path)
    folder = unpack(path, cache)
    assert folder.name == "big"  # down to where there is a choice
    there = [file for file in folder.rglob("*") if file.is_file()]
    assert {str(file.relative_to(folder.parent)): file.read_bytes() for file in there} == files
    times = folder.stat().st_mtime_ns
    assert unpack(path, cache) == folder and folder.stat().st_mtime_ns == times
    with open_checkpoint(path, cache_dir=cache).store as store:
        assert torch.equal(store.read("w"), torch.arange(4.0))
    assert open_checkpoint(path, cache_dir=cache).config == {"model_type": "bert"}
    os.utime(path, ns=(1, 1))  # another archive of this name, as far as anybody can tell
    assert unpack(path, cache) != folder


def test_the_cache_is_beside_the_hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    write(tmp_path / "x.zip", {"a": b"1", "b": b"2"})
    assert unpack(tmp_path / "x.zip").is_relative_to(tmp_path / "home" / "assets" / "modelwright" / "unpacked")


def test_build_takes_an_archive(tmp_path: Path) -> None:
    model = mw.build(
        "bert", vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    model.save(tmp_path / "out")
    write(tmp_path / "bert.tar.gz", {f"m/{file.name}": file.read_bytes() for file in (tmp_path / "out").iterdir()})
    again = mw.build(weights=tmp_path / "bert.tar.gz", cache_dir=tmp_path / "cache")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_what_is_no_archive(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / "m.pt")
    (tmp_path / "m.pkl.gz").write_bytes(gzip.compress(b"\x80\2N."))
    (tmp_path / "m.txt").write_bytes(b"")
    assert not any(is_archive(path) for path in tmp_path.iterdir())
    assert open_store(tmp_path / "m.pt").name == "torch"


NAMES = ["../a", "/a", "a/../../b", "a\\..\\b", "C:a", "a/./b", "a//b", "a\nb", "..", "x" * 300, "/".join("a" * 30)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS[:3])
def test_names_stay_in_the_folder(kind: str, name: str, tmp_path: Path) -> None:
    write(tmp_path / kind, {"good": b"1", name: b"evil"})
    assert "not plainly inside it" in refused(tmp_path / kind, tmp_path / "cache")
    assert {path.name for path in tmp_path.iterdir()} == {kind, "cache"}


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("a/b", "a"), ("a", "a/b")])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_no_name_twice(kind: str, names: tuple[str, str], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / kind, "w") if kind != "x.zip" else zipfile.ZipFile(tmp_path / kind, "w") as archive:
        for name in names:
            if kind == "x.zip":
                with warnings.catch_warnings(action="ignore"):
                    archive.writestr(name, b"1")
            else:
                archive.addfile(tarfile.TarInfo(name))
    assert "two files of one name" in refused(tmp_path / kind, tmp_path / "cache")


@pytest.mark.parametrize("kind", [
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"Z",
])
def test_only_files_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        entry = tarfile.TarInfo("a")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    assert "link or device" in refused(tmp_path / "x.tar", tmp_path / "cache") or kind == tarfile.GNUTYPE_SPARSE


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_only_files_in_a_zip(kind: int, tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert "link or device" in refused(tmp_path / "x.zip", tmp_path / "cache")


@pytest.mark.parametrize("kind", ["x.zip", "x.tar.gz"])
def test_bombs(kind: str, tmp_path: Path) -> None:
    write(tmp_path / kind, {f"{i}": bytes(2**24) for i in range(6)})
    tracemalloc.start()
    assert "bomb" in refused(tmp_path / kind, tmp_path / "cache")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS[:3])
def test_bounds_of_number_and_size(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ENTRIES", 5)
    write(tmp_path / kind, {str(i): b"" for i in range(7)})
    assert "over 5" in refused(tmp_path / kind, tmp_path / "cache")
    monkeypatch.setattr(archives, "TOTAL", 100)
    write(tmp_path / kind, {"a": bytes(60), "b": bytes(60)})
    assert "bomb" in refused(tmp_path / kind, tmp_path / "cache")


@pytest.mark.parametrize("kind", KINDS[:3])
def test_cut_anywhere(kind: str, tmp_path: Path) -> None:
    write(tmp_path / kind, {"a": os.urandom(700), "b": os.urandom(300)})
    whole = (tmp_path / kind).read_bytes()
    end = 512 + 1024 + 512 + 512 + 512 if kind == "x.tar" else len(whole)  # in a tar the rest is padding
    for length in [2, 30, *range(100, end, 41), end - 1]:
        (tmp_path / kind).write_bytes(whole[:length])
        assert "truncated" in refused(tmp_path / kind, tmp_path / "cache"), length


def test_headers_that_claim_absurd_lengths(tmp_path: Path) -> None:
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        entry = tarfile.TarInfo("a")
        entry.type, entry.size = kind, 2**33 - 512
        with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
            file.write(entry.tobuf(tarfile.GNU_FORMAT) + bytes(2**23))
        tracemalloc.start()
        assert "absurd length" in refused(tmp_path / "x.tar.gz", tmp_path / "cache")
        assert tracemalloc.get_traced_memory()[1] < 50e6
        tracemalloc.stop()
    entry = tarfile.TarInfo("a")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2
    (tmp_path / "x.tar").write_bytes((entry.tobuf() + b"b\0".ljust(512, b"\0")) * 5000)  # one inside the other
    refused(tmp_path / "x.tar", tmp_path / "cache")


def test_zip_that_lies_about_sizes(tmp_path: Path) -> None:
    write(tmp_path / "x.zip", {"a": bytes(5000)})
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace(struct.pack("<I", 5000), struct.pack("<I", 100)))
    refused(tmp_path / "x.zip", tmp_path / "cache")
    damaged = bytearray(data)
    damaged[40] ^= 255
    (tmp_path / "x.zip").write_bytes(damaged)
    refused(tmp_path / "x.zip", tmp_path / "cache")


def test_encrypted_and_empty(tmp_path: Path) -> None:
    write(tmp_path / "x.zip", {"a": b"1"})
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert "encrypted" in refused(tmp_path / "x.zip", tmp_path / "cache")
    for kind in KINDS[1:3]:
        write(tmp_path / kind, {})
        assert "empty" in refused(tmp_path / kind, tmp_path / "cache")
