"""Mutated checkpoint files: a store with well-formed tensors, or one of our errors; never another exception, a crash or
a gigabyte of memory. Each fuzz runs in a child process with a limited address space, so that a crash is seen as one.

`MODELWRIGHT_FUZZ_EXAMPLES=20000` looks longer, at new examples each time.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

LONGER = os.environ.get("MODELWRIGHT_FUZZ_EXAMPLES")
MEMORY = 2**30  # bytes that a child may take beyond what it has after its first file
NUMBERS = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 10**12, 2**63 - 1, 2**64 - 1]

CONTENT = {
    "a.weight": torch.arange(12.0).reshape(3, 4), "a.t": torch.arange(12.0).reshape(3, 4).t(), "n": torch.arange(3),
    "h": torch.ones(5, dtype=torch.bfloat16), "e": torch.empty(0, 2), "u": torch.ones(2, dtype=torch.uint16),
}


def saved(content: object = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content or {"model": CONTENT, "step": 3}, buffer, **options)
    return buffer.getvalue()


def safetensors_file(*starts: str) -> bytes:
    return safetensors.torch.save({name: CONTENT[name].contiguous() for name in CONTENT if name.startswith(starts)})


# Targets: the file's name, what is mutated (valid as it stands), and how the file is made of it.
Target = tuple[str, bytes, Callable[[bytes], bytes]]


def target_safetensors() -> Target:
    return "m.safetensors", safetensors_file(""), bytes


def target_header() -> tuple[str, bytes, Callable[[bytes], bytes]]:
    whole = safetensors_file("")
    (length,) = struct.unpack("<Q", whole[:8])
    text, data = whole[8 : 8 + length], whole[8 + length :]
    return "m.safetensors", text, lambda text: struct.pack("<Q", len(text)) + text + data


def target_index() -> tuple[str, bytes, Callable[[bytes], bytes]]:
    places = {name: f"{1 + name.startswith('a')}.safetensors" for name in CONTENT}
    return "model.safetensors.index.json", json.dumps({"metadata": {"n": 1}, "weight_map": places}).encode(), bytes


def target_zip() -> tuple[str, bytes, Callable[[bytes], bytes]]:
    return "m.bin", saved(), bytes


def target_zip_pickle() -> Target:
    return zipped_pickle(None)


def zipped_pickle(content: object) -> Target:
    """The pickle in a sound zip archive."""
    with zipfile.ZipFile(io.BytesIO(saved(content))) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in records if name.endswith("/data.pkl"))

    def build(data: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for record, content in (records | {name: data}).items():
                archive.writestr(record, content)
        return buffer.getvalue()

    return "m.bin", records[name], build


def target_legacy() -> tuple[str, bytes, Callable[[bytes], bytes]]:
    return "m.bin", saved(_use_new_zipfile_serialization=False), bytes


def training_checkpoint() -> dict[str, object]:
    """Options, a dictionary and arrays beside the weights."""
    numpy = pytest.importorskip("numpy")
    options = argparse.Namespace(layers=2, names=["a", "b"], rate=numpy.float32(0.5))
    params = {"scores": numpy.arange(5.0), ("a", "b"): "c", "probs": torch.ones(3)}
    return {"model": {"module." + name: tensor for name, tensor in CONTENT.items()}, "args": options, "params": params}


def target_training_zip() -> Target:
    return zipped_pickle(training_checkpoint())


def target_training_legacy() -> Target:
    return "m.pt", saved(training_checkpoint(), _use_new_zipfile_serialization=False), bytes


def target_piece() -> Target:
    return "params_1.npy", shards()["params_1.npy"], bytes


def target_shapes() -> Target:
    return "params_shapes.json", shards()["params_shapes.json"], bytes


def shards() -> dict[str, bytes]:
    from modelwright.assembler.stores import write_numpy

    with tempfile.TemporaryDirectory() as place:
        content = {f"params/{i}": torch.arange(float(i * i)).reshape(i, i) for i in range(4)}
        return {path.name: path.read_bytes() for path in write_numpy(Path(place), content, 3)}


def target_pickle() -> Target:
    return "m.pkl", pickled(), bytes


def target_packed_pickle() -> Target:
    return "m.pkl.gz", gzip.compress(pickled()), bytes


def pickled() -> bytes:
    numpy = pytest.importorskip("numpy")
    weights = [(), numpy.arange(6, dtype="f4").reshape(2, 3), [(numpy.ones((3, 2), "i2").T, numpy.ones(3000, "f2"))]]
    return pickle.dumps({"weights": weights, "step": numpy.int64(3), "history": {"a": [(1, 2.5)]}}, 4)


def target_archive_zip() -> Target:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/m.safetensors", safetensors_file("a", "n"))
        archive.writestr("folder/config.json", "{}")
    return "m.zip", buffer.getvalue(), bytes


def target_archive_tar() -> Target:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("folder/m.safetensors", "folder/" + "ä" * 120):
            content = safetensors_file("a", "n")
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return "m.tar", buffer.getvalue(), bytes


def target_archive_tar_gz() -> Target:
    name, valid, _ = target_archive_tar()
    return f"{name}.gz", valid, gzip.compress


def target_keras() -> Target:
    h5py = pytest.importorskip("h5py")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layer/scope/a:0"] = CONTENT["a.weight"].numpy()
        file.create_dataset("layer/scope/b:0", data=torch.ones(40, 3).numpy(), chunks=(10, 3), compression="gzip")
        file["layer"].attrs["weight_names"] = [b"scope/a:0", b"scope/b:0"]
    return "m.h5", buffer.getvalue(), bytes


def target_array_program() -> Target:
    """As `program`, of a plain pickle."""
    return "m.pkl", ARRAY, lambda program: b"\x80\2" + program + b"."


def target_program() -> Target:
    """Not mutated, but put together from whole instructions, which get further than damaged bytes do."""
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    tail = pickle.dumps(["k"], 2) + struct.pack("<Q", 4) + bytes(16)
    valid = b"}X\1\0\0\0a" + REBUILD + b"(" + STORAGE + b"K\0K\2K\2\x86K\2K\1\x86\x89}tRs"
    return "m.bin", valid, lambda program: head + b"\x80\2" + program + b"." + tail


def target_bundle() -> Target:
    return "m.index", golden("partitioned/model.ckpt.index"), bytes


def target_bundle_block() -> Target:
    return "m.index", first_block(golden("partitioned/model.ckpt.index")), lambda block: table(block, 0)


def target_bundle_snappy() -> Target:
    return "m.index", first_block(golden("snappy/model.ckpt.index")), lambda block: table(block, 1)


def target_first_format() -> Target:
    return "m.ckpt", golden("first_format/model.ckpt"), bytes


def target_first_format_block() -> Target:
    return "m.ckpt", first_block(golden("first_format/model.ckpt")), lambda block: table(block, 0)


def golden(path: str) -> bytes:
    return (Path(__file__).parent / "golden" / "tensorflow_bundles" / path).read_bytes()


def first_block(whole: bytes) -> bytes:
    """Of a table with one block of entries: it ends, with its trailer, where the extra block begins."""
    from modelwright.assembler.stores.protobuf import read_varint

    return whole[: read_varint(whole, len(whole) - 48)[0] - 5]


def table(block: bytes, kind: int) -> bytes:
    """A table with this block of entries, whatever is in it; all checksums are right."""
    from modelwright.assembler.stores.crc32c import crc32c, masked
    from modelwright.assembler.stores.protobuf import write_varint

    out = bytearray()

    def add(content: bytes, how: int) -> bytes:
        handle = write_varint(len(out)) + write_varint(len(content))
        data = content + bytes([how])
        out.extend(data + struct.pack("<I", masked(crc32c(bytearray(data)))))
        return handle

    end = struct.pack("<II", 0, 1)
    handle = add(block, kind)
    footer = add(end, 0) + add(b"\0\1" + bytes([len(handle)]) + b"z" + handle + end, 0)
    return bytes(out) + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


TARGETS = {name.removeprefix("target_"): value for name, value in dict(globals()).items() if name.startswith("target_")}
STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\4NtQ"  # four floats
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
F4 = b"cnumpy\ndtype\nX\2\0\0\0f4\x89\x88\x87R(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\1b\x87R"
ARRAY = EMPTY_ARRAY + b"(K\1K\2K\2\x86" + F4 + b"\x89C\x10" + bytes(16) + b"tb"
INSTRUCTIONS = [
    F4, EMPTY_ARRAY, ARRAY, EMPTY_ARRAY + b"(K\1K\2K\2\x86" + F4, b"C\x10" + bytes(16), b"B\xff\xff\xff\x7f",
    b"\x8e" + b"\xff" * 8, b"cargparse\nNamespace\n",
    b"cargparse\nNamespace\n)\x81", b"cnumpy\ndtype\n",
    b"cnumpy\nndarray\n",
    b"cnumpy.core.multiarray\nscalar\n", b"cnumpy.core.multiarray\nscalar\n" + F4 + b"C\4abcd\x86R",
    b"ccollections\nCounter\n",
    *(bytes([code]) for code in b"(.0N\x88\x89)t\x85\x86\x87]ael}usdbRQ\x81\x94\x90\x8f\x93o2"),
    b"K\0", b"K\4", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"G" + bytes(8), b"X\1\0\0\0a",
    b"q\0", b"h\0", b"q\1", b"h\1", b"\x95" + b"\xff" * 8, STORAGE, REBUILD, REBUILD + b"(" + STORAGE,
    b"ctorch._tensor\n_rebuild_from_type_v2\n", b"ctorch._utils\n_rebuild_tensor_v3\n", b"ctorch\nfloat32\n",
    b"ctorch._utils\n_rebuild_parameter\n", b"ccollections\nOrderedDict\n", b"cbuiltins\nset\n",
    b"K\0K\2K\2\x86K\2K\1\x86\x89}tR", b"K\0(K\4tK\1\x85\x89}tR", b"}(X\1\0\0\0a" + REBUILD + b"(" + STORAGE,
]


def programs() -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(INSTRUCTIONS) | st.binary(max_size=3), max_size=25).map(b"".join)


@st.composite
def mutations(draw: st.DrawFn, valid: bytes) -> bytes:
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["flip", "set", "cut", "delete", "insert", "copy", "number", "digits"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set":
                some = draw(st.binary(max_size=16))
                data[at : at + len(some)] = some
            case "cut":
                del data[at:]
            case "delete":
                del data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=16))
            case "copy":
                data[at:at] = data[: draw(st.integers(1, 256))]
            case "number":
                data[at : at + 8] = struct.pack("<Q", draw(st.sampled_from(NUMBERS)))
            case "digits":
                data[at : at + 1] = str(draw(st.sampled_from(NUMBERS))).encode()
    return bytes(data)


def fuzz(target: str, folder: Path) -> None:
    """In the child: valid first, then mutated."""
    import resource

    from modelwright.assembler.stores import is_archive, open_store, unpack, verify
    from modelwright.assembler.stores.dtypes import dtype_of
    from modelwright.errors import DownloadError, WeightsError

    name, valid, build = TARGETS[target]()
    path = folder / name
    (folder / "1.safetensors").write_bytes(safetensors_file("n", "h", "e", "u"))
    (folder / "2.safetensors").write_bytes(safetensors_file("a"))
    for file, content in shards().items():
        (folder / file).write_bytes(content)
    (folder / "m.data-00000-of-00001").write_bytes(bytes(1000))
    widest = 8 if name == "m.ckpt" else 1  # bytes of memory that one of the file can make: it has numbers as varints

    def check(data: bytes) -> None:
        path.write_bytes(build(data))
        try:
            opened = path.with_name("params_shapes.json") if path.suffix == ".npy" else path
            if is_archive(path):
                opened = unpack(path, folder / "cache")
                assert opened.is_relative_to(folder / "cache")
            with open_store(opened) as store:
                size = sum(file.stat().st_size for file in store.paths) * (100 if path.suffix in (".gz", ".h5") else 1)
                for key, info in store.tensors.items():
                    tensor = store.read(key)
                    assert type(tensor) is torch.Tensor and tensor.layout is torch.strided
                    assert tuple(tensor.shape) == info.shape and dtype_of(tensor) == info.dtype
                    assert tensor.numel() * tensor.element_size() <= size * widest
                    tensor.clone()  # touches every byte
                verify(store)
        except (WeightsError, DownloadError) as error:
            assert data != valid and str(error).strip()
        finally:
            shutil.rmtree(folder / "cache", ignore_errors=True)

    check(valid)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    examples = programs() if target.endswith("program") else mutations(valid)
    options = {"max_examples": int(LONGER or 250), "derandomize": LONGER is None, "database": None, "deadline": None}
    settings(**options)(given(examples)(check))()


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("target", TARGETS)
def test_mutated_files(target: str) -> None:
    TARGETS[target]()  # skips where a library is missing
    done = subprocess.run([sys.executable, "-P", __file__, target], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"


if __name__ == "__main__":
    conftest = importlib.util.spec_from_file_location("conftest", Path(__file__).with_name("conftest.py"))
    conftest.loader.exec_module(importlib.util.module_from_spec(conftest))  # finds modelwright
    with tempfile.TemporaryDirectory() as place:
        fuzz(sys.argv[1], Path(place))
