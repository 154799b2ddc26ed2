"""Hostile files in the authors' own formats: one clear error each, nothing executed, no memory eaten."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch

from modelwright.assembler.stores import open_store, read_pickled, write_numpy, write_pickle
from modelwright.errors import WeightsError

np = pytest.importorskip("numpy")


def refused(path: Path, *, read: bool = False) -> str:
    """The one error that opening `path` (and with `read` reading all of it) must end in."""
    with pytest.raises(WeightsError) as caught:
        store = open_store(path)
        if read:
            for name in store.tensors:
                store.read(name)
    assert caught.value.exit_code == 4 and len(caught.value.diagnostics) == 1
    return str(caught.value)


class Payload:
    """Runs a command when it is unpickled by a reader that runs what it is told."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("where", ["args", "inside", "history", "key"])
@pytest.mark.parametrize("file", ["model.pt", "old.pth", "model.pkl", "model.pkl.gz", "cache.pkl"])
def test_payloads_do_not_run(file: str, where: str, protocol: int, tmp_path: Path) -> None:
    payload = Payload(f"touch {tmp_path / 'marker'}")
    content = {"model": {"w": torch.ones(2)}} if file.endswith(("pt", "pth")) else {"weights": [np.ones(2, "f4")]}
    match where:
        case "args" | "history":
            content[where] = payload
        case "inside":
            content["dico"] = [{"a": (payload,)}]
        case "key":
            content["dico"] = {payload: 1}
    path = tmp_path / file
    if file.endswith(("pt", "pth")):
        if protocol < 2:
            pytest.skip("torch itself needs protocol 2")
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=file == "model.pt")
    else:
        data = pickle.dumps(content, protocol)
        path.write_bytes(gzip.compress(data) if file.endswith("gz") else data)
    message = refused(path)
    assert protocol in (0, 1, 5) or "wants to run code" in message
    with pytest.raises(WeightsError):
        read_pickled(path)
    assert not (tmp_path / "marker").exists()


# NumPy shards


def shards(folder: Path) -> bytes:
    """Two sound pieces; returns the first."""
    write_numpy(folder, {"params/0": torch.arange(6.0), "params/1": torch.arange(4.0)}, 2)
    return (folder / "params_0.npy").read_bytes()


def header(text: str, version: int = 1, length: int | None = None) -> bytes:
    length = len(text) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(2 if version == 1 else 4, "little") + text.encode()


def described(shape: str = "(5,)", dtype: str = "'<f4'", fortran: str = "False") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


LYING_PIECES = {
    "code": (header("__import__('os').system('touch marker')\n"), "does not describe"),
    "a call in the shape": (header(described("(exit(),)")), "does not describe"),
    "nested": (header("(" * 60_000), "does not describe"),
    "many sizes": (header(described("(" + "1" * 60_000 + ")")), "does not describe"),
    "objects": (header(described(dtype="'|O'")) + b"\x80\4N.", "which torch has none for"),
    "a record": (header(described(dtype="[('a', '<f4')]")) + bytes(20), "does not describe"),
    "big-endian": (header(described(dtype="'>f4'")) + bytes(20), "big-endian"),
    "column-major": (header(described("(1, 5)", fortran="True")) + bytes(20), "column-major"),
    "shape overflows": (header(described(f"({2**62}, {2**62})")), "impossible shape"),
    "shape hides behind zero": (header(described(f"(0, {2**62}, 2)")), "impossible shape"),
    "too long": (header(described("(6,)")) + bytes(20), "truncated"),
    "left over": (header(described("(4,)")) + bytes(20), "the file has"),
    "header beyond the file": (header(described(), length=60_000), "truncated"),
    "header of gigabytes": (header(described(), 2, 2**32 - 1), "truncated"),
    "unknown version": (header(described(), 9) + bytes(20), "version"),
    "no NumPy": (b"<html>404", "web page"), "empty": (b"", "empty"),
}


@pytest.mark.parametrize("case", LYING_PIECES)
def test_lying_pieces(case: str, tmp_path: Path) -> None:
    data, message = LYING_PIECES[case]
    shards(tmp_path)
    (tmp_path / "params_0.npy").write_bytes(data)
    assert message in refused(tmp_path)


def test_pieces_cut_anywhere(tmp_path: Path) -> None:
    whole = shards(tmp_path)
    for length in range(1, len(whole)):
        (tmp_path / "params_0.npy").write_bytes(whole[:length])
        refused(tmp_path)


@pytest.mark.parametrize(("shapes", "message"), [
    ("", "not JSON"), ("[" * 100_000, "not JSON"), ("{}", "no list of shapes"), ("[]", "no list of shapes"),
    ("[6, 4]", "no list of shapes"), ("[[6], [-4]]", "no list of shapes"), ("[[6.0], [4]]", "no list of shapes"),
    ("[[true, 6], [4]]", "no list of shapes"), (f"[[0, {2**62}, 4]]", "no list of shapes"),
    ("[[6], [5]]", "need 11 numbers, the 2 files beside it hold 10"), (json.dumps([[2**40] * 1]), "need 1099511627776"),
])
def test_lists_of_shapes_that_do_not_fit(shapes: str, message: str, tmp_path: Path) -> None:
    shards(tmp_path)
    (tmp_path / "params_shapes.json").write_text(shapes)
    assert message in refused(tmp_path)


def test_pieces_missing_or_of_two_types(tmp_path: Path) -> None:
    shards(tmp_path)
    np.save(tmp_path / "params_1.npy", np.arange(5))
    assert "several types" in refused(tmp_path)
    (tmp_path / "params_0.npy").unlink()
    assert "`params_0.npy` is missing beside it; `params_1.npy` would come after it" in refused(tmp_path)
    (tmp_path / "params_1.npy").unlink()
    assert "`params_0.npy` is missing" in refused(tmp_path)


# Pickled arrays

START = b"\x80\2cnumpy.core.multiarray\n_reconstruct\nq\0cnumpy\nndarray\nq\1K\0\x85C\1b\x87R"
F4 = b"cnumpy\ndtype\nX\2\0\0\0f4\x89\x88\x87R(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"


def array(shape: bytes = b"K\2\x85", dtype: bytes = F4, content: bytes = b"C\x08" + bytes(8)) -> bytes:
    return START + b"(K\1" + shape + dtype + b"\x89" + content + b"tb."


HOSTILE_ARRAYS = {
    "too few bytes": (array(content=b"C\4" + bytes(4)), "should have 8 bytes and has 4"),
    "bytes beyond the file": (array(content=b"\x8e" + struct.pack("<Q", 2**40)), "truncated"),
    "impossible shape": (array(b"\x8a\x08" + struct.pack("<q", 2**62) + b"K\2\x86"), "impossible shape"),
    "negative shape": (array(b"J\xff\xff\xff\xff\x85"), "damaged"),
    "no shape": (array(b"N"), "damaged"), "no type": (array(dtype=b"N"), "damaged"),
    "no bytes": (array(content=b"N"), "damaged"), "objects": (array(content=b"]"), "Python objects"),
    "big-endian": (array(dtype=F4.replace(b"<", b">")), "big-endian"),
    "texts": (array(dtype=F4.replace(b"f4", b"U1")), "which torch has none for"),
    "structured": (array(dtype=F4.replace(b"<NNN", b"<NX\1\0\0\0aN")), "structured"),
    "type of nonsense": (array(dtype=F4.replace(b"(K\3", b"(K\x63")), "damaged"),
    "built twice of itself": (START + b"q\2h\2b.", "damaged"),
    "a number": (b"\x80\2K\1.", "no NumPy arrays"), "nothing": (b"\x80\2.", "damaged"),
    "an endless list": (b"\x80\2]q\0h\0a.", "without end"),
    "a list of lists of lists": (b"\x80\2N\x85" + b"q\0h\0\x86" * 30 + b".", "without end"),
    "scalar of the wrong size": (
        b"\x80\2cnumpy.core.multiarray\nscalar\n" + F4 + b"C\1a\x86R.", "damaged"),
    "complex scalar of the wrong size": (
        b"\x80\2cnumpy.core.multiarray\nscalar\n" + F4.replace(b"f4", b"c8") + b"C\1a\x86R.", "damaged"),
    "protocol 5": (pickle.dumps(np.ones(2), 5), "protocol 5"),
    "unknown function of NumPy": (b"\x80\2cnumpy\nload\nX\1\0\0\0a\x85R.", "numpy.load"),
}


@pytest.mark.parametrize("case", HOSTILE_ARRAYS)
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_arrays(case: str, packed: bool, tmp_path: Path) -> None:
    data, message = HOSTILE_ARRAYS[case]
    path = tmp_path / ("m.pkl.gz" if packed else "m.pkl")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert message in refused(path)


def test_the_programs_above_begin_with_a_sound_one(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"\x80\2(" + array(content=b"C\x08" + struct.pack("<ff", 1, 2))[2:-1] + b"t.")
    assert open_store(tmp_path / "m.pkl").read("0").tolist() == [1, 2]


def test_bytes_spelled_as_a_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(array(content=b"X\x18\0\0\0" + "€".encode() * 8))
    assert "is none" in refused(tmp_path / "m.pkl", read=True)


@pytest.mark.parametrize("packed", [False, True])
def test_pickles_cut_anywhere(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("m.pkl.gz" if packed else "m.pkl")
    write_pickle(path, {"weights/0": torch.ones(3), "weights/1/0": torch.zeros(2000)})
    whole = path.read_bytes()
    for length in [*range(1, 100), *range(100, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)


def test_attributes_cannot_be_multiplied(tmp_path: Path) -> None:
    """One large dict given to a hundred thousand namespaces is copied for each: stopped before it fills the memory."""
    large = b"}q\0(" + b"".join(b"J" + struct.pack("<i", number) + b"N" for number in range(50_000)) + b"u0"
    objects = b"cargparse\nNamespace\nq\1)\x81h\0b" + b"h\1)\x81h\0b" * 100_000
    (tmp_path / "m.pkl").write_bytes(b"\x80\2](" + large[:-1] + objects + b"e.")
    tracemalloc.start()
    assert "instructions" in refused(tmp_path / "m.pkl")
    assert tracemalloc.get_traced_memory()[1] < 500e6
    tracemalloc.stop()


def test_gzip_bombs(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl.gz"
    once = gzip.compress(bytes(2**27), 9)
    path.write_bytes(once)
    tracemalloc.start()
    assert "bomb" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
