"""Checkpoints that TensorFlow itself wrote, with what is in them; and TensorFlow's reading of what we write.

    python tests/golden/tensorflow_bundles.py                   # makes the folder tensorflow_bundles anew
    python tests/golden/tensorflow_bundles.py check PYTHON      # PYTHON: one that can import modelwright

`check` lets modelwright read each bundle of the folder and write it again, loads both with tf.train.load_checkpoint and
compares all bytes. Case `snappy` is TensorFlow's own `dtypes` with the blocks of its index compressed by a reference
Snappy (cramjam); TensorFlow was asked to read it before it was kept. `blocks` is compressed as a whole, for its size.
"""

from __future__ import annotations

import json
import lzma
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import cramjam
import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent / "tensorflow_bundles"
TYPES = [
    "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "bool", "complex64", "complex128", "float8_e5m2", "float8_e4m3fn",
]  # fmt: skip
ROUND_TRIP = """
import sys
from pathlib import Path
from modelwright.assembler.stores import open_store, verify, write_bundle
for old, new in zip(*[iter(sys.argv[1:])] * 2):
    with open_store(Path(old)) as store:
        assert verify(store) == []
        write_bundle(Path(new), ((name, store.read(name)) for name in store.tensors), note=True)
"""


def values(dtype: str, shape: tuple[int, ...], start: int = 0) -> tf.Tensor:
    flat = start + np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    flat = flat % 2 if dtype == "bool" else flat + 0.5j if dtype.startswith("complex") else flat
    return tf.cast(tf.constant(flat), getattr(tf.dtypes, dtype, None) or tf.as_dtype(dtype))


def save(prefix: Path, tensors: dict[str, tf.Tensor], slices: dict[str, str] | None = None) -> None:
    """Keys of `slices` are `name#n`, values TensorFlow's own notation of the part that the tensor is."""
    slices = slices or {}
    names = [name.partition("#")[0] for name in tensors]
    parts = [slices.get(name, "") for name in tensors]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=parts, tensors=list(tensors.values()))


def content(prefix: Path) -> dict[str, dict[str, object]]:
    """What TensorFlow reads, strings left out; bytes in hexadecimal."""
    reader = tf.train.load_checkpoint(str(prefix))
    types = reader.get_variable_to_dtype_map()
    found = {}
    for name, shape in sorted(reader.get_variable_to_shape_map().items()):
        if types[name] != tf.string:
            try:
                array = np.asarray(reader.get_tensor(name))
            except tf.errors.UnimplementedError:  # of this reader, for some types of the first format
                array = tf.raw_ops.Restore(file_pattern=str(prefix), tensor_name=name, dt=types[name]).numpy()
            found[name] = {"dtype": types[name].name, "shape": shape, "bytes": array.tobytes().hex()}
    return found


def dtypes(prefix: Path) -> None:
    tensors = {f"by_type/{dtype}": values(dtype, (2, 3), i) for i, dtype in enumerate(TYPES)}
    tensors |= {"scalar": values("int64", ()), "none": values("float32", (0, 4)), "words": tf.constant(["a", "bc"])}
    save(prefix, tensors)


def save_graph(prefix: Path, version: int, dtypes: tuple[str, ...]) -> None:
    """The old way: variables in a session, one of them cut into three by rows."""

    def counted(shape: list[int], dtype: tf.DType, partition_info: object) -> tf.Tensor:
        start = partition_info.var_offset[0] * shape[1]
        return tf.cast(tf.reshape(tf.range(start, start + shape[0] * shape[1]), shape), dtype)

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for i, dtype in enumerate(dtypes):
            v1.get_variable(f"by_type/{dtype}", initializer=values(dtype, (2, 3), i), use_resource=False)
        v1.get_variable("negative", initializer=np.array([-1, 5, -(2**40)]), use_resource=False)
        v1.get_variable("scalar", initializer=np.float32(1.5), use_resource=False)
        v1.get_variable(
            "scope/rows", (7, 3), initializer=counted, partitioner=v1.fixed_size_partitioner(3), use_resource=False
        )
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=version)
        saver.save(session, str(prefix), write_meta_graph=False, write_state=False)


def partitioned(prefix: Path) -> None:
    save_graph(prefix, tf.compat.v1.train.SaverDef.V2, ("bfloat16",))


def grid(prefix: Path) -> None:
    """Cut in both directions, stored out of order."""
    whole = tf.reshape(values("bfloat16", (300 * 4,)), (300, 4))
    tensors, slices = {"whole": values("float32", (5,))}, {}
    for i, (row, column) in enumerate([(100, 0), (0, 2), (0, 0), (100, 2)]):
        height = 200 if row else 100
        tensors[f"grid#{i}"] = whole[row : row + height, column : column + 2]
        slices[f"grid#{i}"] = f"300 4 {row},{height}:{column},2"
    save(prefix, tensors, slices)


def shards(prefix: Path) -> None:
    """As a training run on three machines leaves it; the first data file holds the step alone."""
    pieces = [
        {"global_step": values("int64", (), 7)},
        {"b/kernel": values("float32", (3, 4)), "odd/flags": values("bool", (3,)), "z/bias": values("float32", (4,))},
        {"a/kernel": values("bfloat16", (2, 3)), "y/kernel": values("float16", (5,))},
    ]
    with tempfile.TemporaryDirectory() as place:
        prefixes = [str(Path(place) / f"piece{i}") for i in range(len(pieces))]
        for piece, tensors in zip(prefixes, pieces, strict=True):
            save(Path(piece), tensors)
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(prefix))


def blocks(prefix: Path) -> None:
    """More names than one block of TensorFlow's index holds (256 KiB)."""
    save(prefix, {f"layer_{i:05d}/x": values("float32", (int(i % 1000 == 0),), i) for i in range(17_000)})


def objects(prefix: Path) -> None:
    """TensorFlow 2's own way: variables of objects, and a graph of them as a string."""
    step, kernel = tf.Variable(3, dtype=tf.int64), tf.Variable(values("float32", (2, 2)))
    tf.train.Checkpoint(step=step, kernel=kernel).write(prefix)


def first_format(prefix: Path) -> None:
    """One file in the format before 2016, which TensorFlow still writes."""
    types = ("float32", "float64", "float16", "int32", "int64", "uint8", "int8", "int16", "bool")
    save_graph(prefix, tf.compat.v1.train.SaverDef.V1, types)


def crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    register ^= 0xFFFFFFFF
    return ((register >> 15 | register << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def snappy(prefix: Path) -> None:
    """`dtypes`, every block of its index compressed. Blocks move, so the index block is made anew."""
    old = (HERE / "dtypes" / "model.ckpt.index").read_bytes()
    shutil.copy(HERE / "dtypes" / "model.ckpt.data-00000-of-00001", prefix.with_name("model.ckpt.data-00000-of-00001"))
    at, handles = len(old) - 48, []
    for _ in range(4):
        value, at = varint(old, at)
        handles.append(value)
    (meta, meta_size), (index, index_size) = handles[:2], handles[2:]
    inner = old[index : index + index_size]
    _, unshared, size = inner[:3]
    assert struct.unpack("<II", inner[-8:]) == (0, 1) and len(inner) == 3 + unshared + size + 8, "one data block"
    start, at = varint(inner, 3 + unshared)
    length, _ = varint(inner, at)
    new = bytearray()

    def add(block: bytes) -> bytes:
        data = bytes(cramjam.snappy.compress_raw(block)) + b"\1"
        handle = encode(len(new)) + encode(len(data) - 1)
        new.extend(data + struct.pack("<I", crc32c(data)))
        return handle

    handle = add(old[start : start + length])
    meta_handle = add(old[meta : meta + meta_size])
    head = bytes([0, unshared, len(handle)]) + inner[3 : 3 + unshared] + handle
    footer = meta_handle + add(head + struct.pack("<II", 0, 1))
    prefix.with_name("model.ckpt.index").write_bytes(bytes(new) + footer.ljust(40, b"\0") + old[-8:])


def sample() -> bytes:
    """Long and short runs, literals, and repetitions near and far."""
    return bytes(range(256)) + b"ab" * 500 + b"".join(bytes([i * i % 251]) * (i % 70) for i in range(3000))


def encode(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + encode(value >> 7)


def make() -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    for case in (dtypes, partitioned, grid, shards, objects, snappy, blocks, first_format):
        folder = HERE / case.__name__
        folder.mkdir(parents=True)
        prefix = folder / "model.ckpt"
        case(prefix)
        expected = content(prefix)
        if case is blocks:
            for path in folder.iterdir():
                path.with_name(path.name + ".xz").write_bytes(lzma.compress(path.read_bytes()))
                path.unlink()
            expected = {name: expected[name] for name in list(expected)[:: len(expected) // 9]}
        if case is snappy:
            (folder / "sample.snappy").write_bytes(bytes(cramjam.snappy.compress_raw(sample())))
        (folder / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")


def check(python: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        prefixes = []
        for folder in sorted(HERE.iterdir()):
            old = Path(place) / folder.name / "model.ckpt"
            shutil.copytree(folder, old.parent)
            for path in old.parent.glob("*.xz"):
                path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
            prefixes += [old, old.with_name("written")]
        subprocess.run([python, "-P", "-c", ROUND_TRIP, *map(str, prefixes)], check=True)
        for old, new in zip(prefixes[::2], prefixes[1::2], strict=True):
            assert tf.train.latest_checkpoint(new.parent) == str(new)
            ours = content(new)
            assert ours == content(old) and ours, old
            print(f"{old.parent.name}: {len(ours)} tensors, equal")


if __name__ == "__main__":
    check(sys.argv[2]) if sys.argv[1:2] == ["check"] else make()
