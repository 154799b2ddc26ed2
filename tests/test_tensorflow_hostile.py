"""TensorFlow checkpoints that are damaged, lie or attack: one clear error each, and no memory eaten."""

from __future__ import annotations

import shutil
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch

from modelwright.assembler.stores import open_store, verify
from modelwright.assembler.stores.crc32c import crc32c, masked
from modelwright.assembler.stores.protobuf import write_message as message
from modelwright.assembler.stores.protobuf import write_varint as varint
from modelwright.assembler.stores.slices import Slice, slice_key
from modelwright.assembler.stores.sstable import MAGIC, table
from modelwright.errors import DownloadError, WeightsError

GOLDEN = Path(__file__).resolve().parent / "golden" / "tensorflow_bundles"
DATA = ".data-00000-of-00001"
HEADER = message([(1, 1), (3, message([(1, 1)]))])


def refused(path: Path, error: type[Exception] = WeightsError) -> str:
    with pytest.raises(error) as caught:
        open_store(path)
    assert len(caught.value.diagnostics) == 1
    assert str(path.parent) in str(caught.value)
    return str(caught.value)


def framed(*blocks: bytes, kinds: bytes = b"", footer: bytes | None = None) -> bytes:
    """A table of blocks, whatever is in them; the last but one is the extra one, the last says where the others are."""
    out, handles = b"", []
    for block, kind in zip(blocks, kinds or bytes(len(blocks)), strict=True):
        handles.append(varint(len(out)) + varint(len(block)))
        data = block + bytes([kind])
        out += data + struct.pack("<I", masked(crc32c(bytearray(data))))
    return out + (footer or handles[-2] + handles[-1]).ljust(40, b"\0") + MAGIC


def block(*entries: bytes) -> bytes:
    return b"".join(entries) + struct.pack("<II", 0, 1)


def item(key: bytes, value: bytes, shared: int = 0) -> bytes:
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def indexed(*blocks: bytes, kind: int = 0) -> bytes:
    """A table of these blocks and a right index of them, under the keys b, c, …"""
    at, items = 0, []
    for i, content in enumerate(blocks):
        items.append(item(bytes([98 + i]), varint(at) + varint(len(content))))
        at += len(content) + 5
    return framed(*blocks, block(), block(*items), kinds=bytes([kind] * len(blocks) + [0, 0]))


def entry(
    *shape: int, dtype: int = 1, shard: int = 0, offset: int = 0, size: int | None = None, dims: bytes | None = None
) -> bytes:
    size = 4 * torch.Size(shape).numel() if size is None else size
    dims = b"".join(message([(2, message([(1, n)]))]) for n in shape) if dims is None else dims
    return message([(1, dtype), (2, dims), (3, shard), (4, offset), (5, size)])


def sliced(*slices: Slice, shape: tuple[int, ...] = (4,)) -> bytes:
    extents = (b"".join(message([(1, message([(1, a), (2, b)]))]) for a, b in each) for each in slices)
    return entry(*shape, size=0) + message((7, each) for each in extents)


def bundle(folder: Path, records: dict[bytes, bytes], header: bytes | None = HEADER) -> Path:
    rows = records if header is None else {b"": header} | records
    (folder / "m.index").write_bytes(table(sorted(rows.items())))
    (folder / f"m{DATA}").write_bytes(bytes(64))
    return folder / "m.index"


# Bytes


@pytest.mark.parametrize(("case", "file"), [("partitioned", "model.ckpt.index"), ("first_format", "model.ckpt")])
def test_every_byte_counts(case: str, file: str, tmp_path: Path) -> None:
    """But for the footer's padding, no byte can change, and no end be missing, without being noticed."""
    shutil.copytree(GOLDEN / case, tmp_path, dirs_exist_ok=True)
    path = tmp_path / file
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        if not len(whole) - 42 <= at < len(whole) - 8:
            assert "damaged" in refused(path) or case == "first_format" and at >= len(whole) - 8, at
        path.write_bytes(whole[:at])
        assert "truncated" in refused(tmp_path / "model.ckpt.index" if case != "first_format" else path) or at == 0


def test_a_changed_tensor_is_found_by_verifying(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "partitioned", tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"model.ckpt{DATA}"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with open_store(tmp_path) as store:
            (found,) = store.check_sums()
            assert "does not match its checksum" in found.message and found in verify(store)
    path.write_bytes(whole[:-1])
    assert f"should end at byte {len(whole)}, the file has {len(whole) - 1}" in refused(tmp_path / "model.ckpt")


def test_missing_data_files(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "shards", tmp_path, dirs_exist_ok=True)
    for shard in (0, 2):
        (tmp_path / f"model.ckpt.data-0000{shard}-of-00003").unlink()
    assert "2 of the 3 data files" in refused(tmp_path / "model.ckpt", DownloadError)


# Tables


def inflating(key: bytes, size: int) -> bytes:
    """A compressed block of one entry with `size` zero bytes (a multiple of 64): a 21st of that."""
    head = varint(0) + varint(len(key)) + varint(size) + key
    copies = b"\xfe\1\0" * (size // 64) + b"\x0a\1\0"  # of the zero before: 64 at a time, then three
    return varint(len(head) + size + 4) + bytes([len(head) - 1 << 2]) + head + b"\0\0" + copies


TABLES = {
    "empty": (b"", "empty"),
    "a page": (b"<!DOCTYPE html>" + bytes(90), "web page"),
    "not a table": (bytes(90), "does not end as"),
    "footer alone": (bytes(40) + MAGIC, "should end at byte 5"),
    "block far away": (framed(block(), block(), footer=(varint(2**63) + varint(2**63)) * 2), "should end at byte"),
    "number without end": (framed(block(), block(), footer=b"\xff" * 40), "longer than 64 bits"),
    "unknown compression": (indexed(block(), kind=7), "unknown way (7)"),
    "too many restarts": (framed(block(), b"\xff\xff\xff\xff"), "shorter than its own table"),
    "no room for restarts": (framed(block(), b""), "shorter than its own table"),
    "entry too long": (framed(block(), block(b"\0\x7f\0a")), "more bytes than there are"),
    "entry of exabytes": (framed(block(), block(b"\0\1" + varint(2**62) + b"a")), "more bytes than there are"),
    "shares what is not there": (framed(block(), block(item(b"a", b"", shared=9))), "more bytes than there are"),
    "endless name": (framed(block(), block(item(b"a" * 5000, b""))), "longer than 4096"),
    "position cut off": (framed(block(), block(item(b"a", b"\x80"))), "cut off"),
    "empty block": (indexed(block()), "is empty"),
    "names out of order": (indexed(block(item(b"b", b""), item(b"a", b""))), "not in order"),
    "a name twice": (indexed(block(item(b"b", b""), item(b"b", b""))), "come twice"),
    "a block twice": (framed(block(item(b"a", b"")), block(), block(*[item(b"a", b"\0\x0c")] * 2)), "come twice"),
    "bomb": (indexed(varint(2**40) + b"\0a", kind=1), "1099511627776 bytes inflated"),
    "claims much, has little": (indexed(varint(2**26) + b"\0a", kind=1), "contradicts itself"),
    "bomb in pieces": (indexed(inflating(b"b", 40 * 2**20), inflating(b"c", 40 * 2**20), kind=1), " are allowed"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_hostile_tables(case: str, tmp_path: Path) -> None:
    data, text = TABLES[case]
    (tmp_path / "m.index").write_bytes(data)
    assert text in refused(tmp_path / "m.index")


def test_many_names_take_bounded_memory(tmp_path: Path) -> None:
    """Each shares four kilobytes with the one before: a megabyte of file, almost a gigabyte of names."""
    names = (item(i.to_bytes(4, "big"), b"", shared=4090 if i else 0) for i in range(1, 200_000))
    data = block(item(b"a" * 4090, b""), *names)
    (tmp_path / "m.index").write_bytes(indexed(data))
    tracemalloc.start()
    assert "more than 64 MiB" in refused(tmp_path / "m.index")
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()


# Entries

PAIR = {slice_key(b"a", ((0, 2),)): entry(2)}
DIM = message([(1, 1)])
RECORDS = {
    "no content": ({b"a": b""}, "type 0, which"),
    "unknown type": ({b"a": entry(1, dtype=99)}, "type 99, which"),
    "a type that torch lacks": ({b"a": entry(1, dtype=29)}, "type 29, which"),
    "beyond the end": ({b"a": entry(4, offset=56)}, "should end at byte 72, the file has 64"),
    "far beyond the end": ({b"a": entry(4, offset=2**62)}, "should end at byte"),
    "negative offset": ({b"a": entry(4, offset=-16)}, "from byte -16"),
    "size lies": ({b"a": entry(4, size=12)}, "claims 12 bytes from byte 0; as float32 [4] it needs 16"),
    "negative size": ({b"a": entry(4, size=-16)}, "claims -16 bytes"),
    "shape lies": ({b"a": entry(2**40, size=16)}, "claims 16 bytes"),
    "shape overflows": ({b"a": entry(2**32, 2**32, size=0)}, "impossible shape"),
    "shape hides behind zero": ({b"a": entry(0, 2**62, size=0)}, "impossible shape"),
    "negative shape": ({b"a": entry(-4, size=16)}, "impossible shape: [-4]"),
    "too many dimensions": ({b"a": entry(dims=message([(2, DIM)] * 65))}, "65 dimensions"),
    "no shape": ({b"a": entry(dims=message([(3, 1)]))}, "claims no shape"),
    "a shard too many": ({b"a": entry(4, shard=1)}, "data file 1; there are 1"),
    "a negative shard": ({b"a": entry(4, shard=-1)}, "data file -1"),
    "overlap": ({b"a": entry(4), b"b": entry(4, offset=12)}, "`a` and `b` overlap"),
    "the same bytes twice": ({b"a": entry(4), b"b": entry(4)}, "`a` and `b` overlap"),
    "a name that is no text": ({b"\xfe": entry(1)}, "is not text"),
    "escape sequences in a name": ({b"\x1b[2J": entry(4, size=1)}, r"`\x1b[2J`"),
    "a group": ({b"a": b"\x0b" * 10_000}, "unknown wire type 3"),
    "a field too long": ({b"a": b"\x12\x7f"}, "claims 127 bytes"),
    "a number that is a record": ({b"a": b"\x0a\0"}, "should be a number"),
    "a record that is a number": ({b"a": b"\x08\1\x10\1"}, "should be a record"),
    "an entry without end": ({b"a": b"\x08\1" * 2**18}, "over 262144 bytes"),
    "nested a thousand deep": ({b"a": entry(dims=b"\x12\x7e" * 1000)}, "damaged"),
    "slices missing": ({b"a": sliced(((0, 2),), ((2, 2),))}, "2 of the 2 slices"),
    "slices leave a part out": (PAIR | {b"a": sliced(((0, 2),))}, "overlap or leave"),
    "slices overlap": (
        PAIR | {slice_key(b"a", ((1, 2),)): entry(2, offset=8), b"a": sliced(((0, 2),), ((1, 2),))}, "overlap or leave"
    ),
    "one slice twice": (PAIR | {b"a": sliced(((0, 2),), ((0, 2),))}, "overlap or leave"),
    "a slice outside": ({slice_key(b"a", ((3, 2),)): entry(2), b"a": sliced(((3, 2),))}, "does not fit it"),
    "a slice of another shape": ({slice_key(b"a", ((0, 4),)): entry(2), b"a": sliced(((0, 4),))}, "does not fit it"),
    "a slice of another type": (
        {slice_key(b"a", ((0, 4),)): entry(4, dtype=3), b"a": sliced(((0, 4),))}, "does not fit it"
    ),
    "a slice of another rank": (
        {slice_key(b"a", ((0, 4), (0, 1))): entry(4, 1), b"a": sliced(((0, 4), (0, 1)))}, "2 dimensions, the variable 1"
    ),
    "countless slices": ({b"a": sliced(*[((0, 1),)] * 1025)}, "1025 slices"),
    "a huge variable in slices": (PAIR | {b"a": sliced(((0, 2),), shape=(2**50,))}, "overlap or leave"),
}  # fmt: skip


@pytest.mark.parametrize("case", RECORDS)
def test_lying_entries(case: str, tmp_path: Path) -> None:
    records, text = RECORDS[case]
    assert text in refused(bundle(tmp_path, records))


def test_the_lying_entries_are_one_step_from_right_ones(tmp_path: Path) -> None:
    records = PAIR | {slice_key(b"a", ((2, 2),)): entry(2, offset=8), b"a": sliced(((0, 2),), ((2, 2),))}
    with open_store(bundle(tmp_path, records | {b"b": entry(4, 3, offset=16)})) as store:
        assert {name: tuple(store.read(name).shape) for name in store.tensors} == {"a": (4,), "b": (4, 3)}


@pytest.mark.parametrize(("header", "text"), [
    (None, "no header"), (b"\xff", "cut off"), (message([(1, 1), (2, 1)]), "big-endian"),
    (message([(1, 1), (3, message([(1, 9), (2, 9)]))]), "version 9"), (b"", "data file 0; there are 0"),
    (message([(1, 2**62)]), "data files of this index are missing"),
])
def test_lying_headers(header: bytes | None, text: str, tmp_path: Path) -> None:
    path = bundle(tmp_path, {b"a": entry(1)}, header)
    assert text in refused(path, DownloadError if "missing" in text else WeightsError)


# The first format


def first(folder: Path, content: bytes, *, dtype: int = 3, shape: tuple[int, ...] = (2,), record: bytes = b"") -> Path:
    dims = b"".join(message([(2, message([(1, n)]))]) for n in shape)
    whole = message([(1, b"")] * len(shape))
    variable = message([(1, b"a"), (2, dims), (3, dtype), (4, whole)])
    saved = record or message([(2, message([(1, b"a"), (2, whole), (3, content)]))])
    rows = {b"": message([(1, message([(1, variable)]))]), slice_key(b"a", ((0, -1),) * len(shape)): saved}
    (folder / "m.ckpt").write_bytes(table(rows.items()))
    return folder / "m.ckpt"


@pytest.mark.parametrize(("options", "content", "text"), [
    ({}, b"\1", "has 1 bytes, which are not its 2 values"), ({}, b"\1" * 21, "has 21 bytes"),
    ({"dtype": 1}, bytes(9), "has 9 bytes"), ({"dtype": 1, "shape": (2**60,)}, bytes(8), "has 8 bytes"),
    ({"shape": (2**60,)}, b"\1\1", "has 2 bytes"), ({"shape": (2**62, 2**62)}, b"", "impossible shape"),
    ({"dtype": 99}, b"", "type 99"), ({"record": b"\x12\0"}, b"", "holds 0 tensors"),
])
def test_first_format_that_lies(options: dict, content: bytes, text: str, tmp_path: Path) -> None:
    field = 5 if options.get("dtype") == 1 else 7
    assert text in refused(first(tmp_path, message([(field, content)]), **options))


@pytest.mark.parametrize(("content", "text"), [
    (b"\1\1\1", "too many"), (b"\x80\1", "fewer numbers"), (b"\1\x80", "too long"), (b"\xff" * 11 + b"\1", "too long"),
])
def test_first_format_with_other_numbers_than_promised(content: bytes, text: str, tmp_path: Path) -> None:
    with open_store(first(tmp_path, message([(7, content)]))) as store, pytest.raises(WeightsError, match=text):
        store.read("a")
    assert open_store(first(tmp_path, message([(7, b"\5\x80\1")]))).read("a").tolist() == [5, 128]
