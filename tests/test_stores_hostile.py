"""Checkpoint files that are damaged, lie or attack: one clear error each, nothing executed, no memory eaten."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from modelwright.assembler.stores import open_store
from modelwright.assembler.stores.base import bytes_of
from modelwright.assembler.stores.torch_layout import LEGACY_MAGIC
from modelwright.errors import WeightsError

Content = tuple[dict[str, torch.Tensor], dict[str, str]]  # tensors and metadata


def save_legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def legacy(*pickles: bytes) -> bytes:
    """A file of the old format whose content is `pickles[0]`, by hand."""
    head = b"".join(pickle.dumps(value, 2) for value in (LEGACY_MAGIC, 1001, {"little_endian": True}))
    return head + b"".join(pickles)


def header(entries: object, data: bytes = b"") -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}


def refused(path: Path, data: bytes | None = None) -> str:
    """The one error that opening `path`, and reading all of it, must end in."""
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        open_store(path)
    assert caught.value.exit_code == 4 and len(caught.value.diagnostics) == 1
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("save", [safetensors.torch.save_file, torch.save, save_legacy])
def test_truncated_anywhere(save: Callable[[dict, Path], None], tmp_path: Path) -> None:
    path = tmp_path / "m"
    save({"a": torch.arange(5.0), "b": torch.ones(2, 2, dtype=torch.int64)}, path)
    whole = path.read_bytes()
    for length in range(1, len(whole)):
        assert length <= 16 or "truncated" in refused(path, whole[:length]), length


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
@pytest.mark.parametrize(("data", "message"), [
    (b"", "empty"), (b"\n<!DOCTYPE html><title>404</title>", "web page"), (b'{"error": "Not found"}', "JSON"),
    (b"version https://git-lfs.github.com/spec/v1\n", "lfs"), (b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5"),
    (b"\x1f\x8b" + bytes(90), "compressed"), (bytes(range(90, 190)), "not a"),
])
def test_files_that_never_were_checkpoints(ending: str, data: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path / f"model.{ending}", data)


LYING_HEADERS = {
    "header too long for the file": (struct.pack("<Q", 5000) + b"{}", "should end at byte 5008"),
    "header over the limit": (struct.pack("<Q", 2**33) + b"{}      ", "claims 8589934592 bytes"),
    "data cut": (header({"a": entry(0, 8)}, bytes(5)), "header describes"),
    "data left over": (header({"a": entry(0, 8)}, bytes(9)), "the file has 1 more"),
    "overlap": (header({"a": entry(0, 4), "b": entry(2, 6)}, bytes(6)), "contradicts itself"),
    "hole": (header({"a": entry(0, 4), "b": entry(5, 6)}, bytes(6)), "contradicts itself"),
    "twice the same bytes": (header({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4)), "contradicts itself"),
    "backwards": (header({"a": entry(4, 0, [4])}), "header"),
    "shape does not fit": (header({"a": entry(0, 4, [5])}, bytes(4)), "contradicts itself"),
    "shape overflows": (header({"a": entry(0, 4, [2**62, 2**62])}, bytes(4)), "contradicts itself"),
    "shape hides behind zero": (header({"a": entry(0, 0, [0, 2**63])}), "impossible shape"),
    "negative shape": (header({"a": entry(0, 4, [-4])}, bytes(4)), "header"),
    "unknown type": (header({"a": entry(0, 4, [4], "Q8")}, bytes(4)), "header"),
    "type that torch lacks": (header({"a": entry(0, 3, [4], "F6_E2M3")}, bytes(3)), "F6_E2M3"),
    "nested": (header(b"[" * 10_000), "not a safetensors"),
    "nested in the right place": (header(b'{"a":' + b"[" * 10_000), "damaged"),
    "no JSON": (header(b"{nothing}"), "damaged"),
    "no entry": (header({"a": 1}), "damaged"),
}


@pytest.mark.parametrize("case", LYING_HEADERS)
def test_lying_safetensors(case: str, tmp_path: Path) -> None:
    data, message = LYING_HEADERS[case]
    assert message in refused(tmp_path / "m.safetensors", data)


def by_the_library(path: Path) -> Content | str:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # they have no common class
        return str(error)


def by_us(path: Path) -> Content | str:
    try:
        with open_store(path) as store:
            return {name: store.read(name) for name in store.tensors}, dict(store.metadata)
    except WeightsError as error:
        return str(error)


def test_headers_are_judged_as_the_library_judges_them(tmp_path: Path) -> None:
    """Damaged at random: read alike or refused by both. We alone refuse a name that comes twice, and read `-0`."""
    content = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.int64), "none": torch.zeros(0, 3)}
    valid = safetensors.torch.save(content, {"format": "pt", "title": "Täßt"})
    (length,) = struct.unpack("<Q", valid[:8])
    dice, alike, path = random.Random(5), 0, tmp_path / "m.safetensors"
    for _ in range(600):
        text = bytearray(valid[8 : 8 + length])
        for _ in range(dice.randint(1, 2)):
            at, what = dice.randrange(1, len(text)), dice.choice(b'{}[]",:0123456789.-eF\\ \x00\xff')
            end, new = dice.choice([(at + 1, [what]), (at + 5, []), (at, [what]), (at, text[at // 2 :][:50])])
            text[at:end] = bytes(new)
        path.write_bytes(struct.pack("<Q", len(text)) + text + valid[8 + length :])
        theirs, ours = by_the_library(path), by_us(path)
        if isinstance(ours, str):
            assert isinstance(theirs, str) or "comes twice" in ours, text
        elif isinstance(theirs, str):
            assert b"-0" in text, text
        else:
            alike += 1
            assert ours[1] == theirs[1] and ours[0].keys() == theirs[0].keys(), text
            for name, one in theirs[0].items():
                assert one.dtype == ours[0][name].dtype and one.shape == ours[0][name].shape, text
                assert bytes_of(one) == bytes_of(ours[0][name]), text
    assert alike > 12


class Payload:
    """Runs a command when it is unpickled by a reader that runs what it is told."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_payloads_do_not_run(form: str, protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = {"w": 1 if form == "pickle" else torch.ones(2), "x": Payload(f"touch {marker}")}
    with (tmp_path / "m.bin").open("wb") as file:
        if form == "pickle":
            pickle.dump(content, file, protocol)
        else:
            torch.save(content, file, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
    message = refused(tmp_path / "m.bin")
    assert "wants to run code" in message and f"`{os.system.__module__}.system`" in message
    assert not marker.exists()


# Programs that try to get something out of the reader's own table, or to make it eat memory.
GLOBAL = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\4NtQ"  # four floats in storage `k`
HOSTILE_PICKLES = {
    "getattr": (b"\x80\2cbuiltins\ngetattr\n.", "builtins.getattr"),
    "eval": (b"\x80\2c__builtin__\neval\nX\1\0\0\x001\x85R.", "__builtin__.eval"),
    "stack global": (b"\x80\4\x8c\x05posix\x8c\x06system\x93.", "posix.system"),
    "escape sequences in a name": (b"\x80\2c\x1b[2J\nx\n.", r"\x1b[2J.x"),
    "attributes of a function": (b"\x80\2" + GLOBAL + b"}X\1\0\0\0xK\1sb.", "damaged"),
    "calling a type": (b"\x80\2ctorch\nTensor\nK\5\x85R.", "damaged"),
    "calling a number": (b"\x80\2K\1)R.", "damaged"),
    "instance": (b"\x80\2(i__main__\nX\n.", "instruction INST"),
    "new object": (b"\x80\2" + GLOBAL + b")\x81.", "damaged"),
    "new object of any class": (b"\x80\2cfractions\nFraction\n)\x81.", "fractions.Fraction"),
    "new object with arguments": (b"\x80\2cargparse\nNamespace\nK\1\x85\x81.", "damaged"),
    "new object by a call": (b"\x80\2cargparse\nNamespace\n)R.", "damaged"),
    "attributes that are none": (b"\x80\2cargparse\nNamespace\n)\x81K\1b.", "damaged"),
    "call of a known class": (b"\x80\2cnumpy\nndarray\nK\1\x85R.", "damaged"),
    "array of another class": (b"\x80\2cnumpy.core.multiarray\n_reconstruct\nNNN\x87R.", "damaged"),
    "extension registry": (b"\x80\2\x82\1.", "instruction EXT1"),
    "four gigabytes of text": (b"\x80\2X\xff\xff\xff\xffabc.", "truncated"),
    "endless number": (b"\x80\2\x8b\xff\xff\xff\x7f.", "truncated"),
    "memo far away": (b"\x80\2}r\xff\xff\xff\x7f.", "list of storages"),
    "unset memo": (b"\x80\2h\x07.", "damaged"),
    "empty stack": (b"\x80\2.", "damaged"),
    "mark missing": (b"\x80\2t.", "damaged"),
    "odd items": (b"\x80\2}(K\1u.", "damaged"),
    "slow key": (b"\x80\2}))\x86q\0h\0\x86K\1s.", "damaged"),
    "no end": (b"\x80\2}", "truncated"),
    "many objects": (b"\x80\2" + b"}" * 5_000_000 + b".", "instructions"),
    "view beyond its storage": (b"\x80\2" + GLOBAL + b"(" + STORAGE + b"K\1K\4\x85K\1\x85\x89}tR.", "beyond"),
    "stride beyond its storage": (b"\x80\2" + GLOBAL + b"(" + STORAGE + b"K\0K\2\x85K\4\x85\x89}tR.", "beyond"),
    "negative stride": (b"\x80\2" + GLOBAL + b"(" + STORAGE + b"K\0K\2\x85J\xff\xff\xff\xff\x85\x89}tR.", "damaged"),
    "expanded view": (b"\x80\2" + GLOBAL + b"(" + STORAGE + b"K\0J\xff\xff\xff\x7f\x85K\0\x85\x89}tR.", "expanded"),
    "no storage": (b"\x80\2" + GLOBAL + b"(NK\0K\2\x85K\1\x85\x89}tR.", "damaged"),
    "too many axes": (b"\x80\2" + GLOBAL + b"(" + STORAGE + b"K\0(" + b"K\1" * 65 + b"tq\0h\0\x89}tR.", "shape"),
    "storage twice": (b"\x80\2" + STORAGE + STORAGE.replace(b"K\4", b"K\5") + b".", "damaged"),
    "storage absent": (b"\x80\2" + STORAGE + b".", "truncated"),
}


@pytest.mark.parametrize("case", HOSTILE_PICKLES)
def test_hostile_pickles(case: str, tmp_path: Path) -> None:
    program, message = HOSTILE_PICKLES[case]
    assert message in refused(tmp_path / "m.bin", legacy(program, pickle.dumps(["k"], 2)))


def test_storages_must_be_as_long_as_described(tmp_path: Path) -> None:
    file = legacy(b"\x80\2" + STORAGE + b".", pickle.dumps(["k"], 2))
    for count in (0, 3, 5, 2**63):
        assert f"has {count} elements" in refused(tmp_path / "m.bin", file + struct.pack("<Q", count) + bytes(20))


def test_values_that_take_forever_to_print_are_not_printed(tmp_path: Path) -> None:
    doubled = b"\x80\2)" + b"q\0h\0\x86" * 200 + b"."  # a tuple of 2 to the 200
    for position in range(5):
        pickles = [pickle.dumps(value, 2) for value in (LEGACY_MAGIC, 1001, {}, {}, [])]
        pickles[position] = doubled
        if position != 2:  # about the machine: not looked at
            refused(tmp_path / "m.bin", b"".join(pickles))


def test_one_value_cannot_be_multiplied(tmp_path: Path) -> None:
    """Thousands of sets, texts and dicts made of one large value: no copies, so no memory."""
    large = b"](" + b"N" * 100_000 + b"eq\0"
    calls = [b"c" + name + b"\nh\0\x85R" for name in (b"builtins\nset", b"torch\nSize", b"_codecs\nencode")]
    program = b"\x80\2" + large + b"](" + b"".join(calls) * 10_000 + b"e\x86."
    tracemalloc.start()
    assert "a tuple, not tensors by name" in refused(tmp_path / "m.bin", legacy(program, pickle.dumps([], 2)))
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def rezip(path: Path, change: Callable | None = None, **options: int) -> None:
    """Write a zip archive again with changed records (name, bytes) or settings."""
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in change(records) if change else records:
            archive.writestr(name, data)


DEFLATED = {"compression": zipfile.ZIP_DEFLATED}
ZIP_LIES: dict[str, tuple[Callable | None, dict[str, int], str]] = {
    "compressed": (None, DEFLATED, "compressed"),
    "bomb": (lambda records: [*records, ("m/data/1", bytes(10**8))], DEFLATED, "compressed"),
    "record twice": (lambda records: records + records[-1:], {}, "two records of one name"),
    "record missing": (lambda records: [r for r in records if r[0] != "m/data/0"], {}, "missing"),
    "record short": (lambda records: [(n, d[:-4] if n == "m/data/0" else d) for n, d in records], {}, "claims"),
    "big-endian": (lambda records: [(n, b"big" if "order" in n else d) for n, d in records], {}, "big-endian"),
    "no pickle": (lambda records: [r for r in records if "pkl" not in r[0]], {}, "not written by torch.save"),
    "a program": (lambda records: [*records, ("m/code/x.py", b"pass")], {}, "TorchScript"),
    "two roots": (lambda records: [*records, ("n/data/0", b"")], {}, "not written by torch.save"),
}


@pytest.mark.parametrize("case", ZIP_LIES)
def test_lying_archives(case: str, tmp_path: Path) -> None:
    change, options, message = ZIP_LIES[case]
    torch.save({"a": torch.ones(50)}, tmp_path / "m.bin")
    rezip(tmp_path / "m.bin", change, **options)
    assert message in refused(tmp_path / "m.bin")


def test_overlapping_records(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(50), "b": torch.zeros(50)}, tmp_path / "m.bin")
    data = (tmp_path / "m.bin").read_bytes()
    with zipfile.ZipFile(tmp_path / "m.bin") as archive:
        first, second = (archive.getinfo(f"m/data/{i}").header_offset for i in (0, 1))
    directory = data.rindex(b"PK\x01\x02", 0, data.rindex(b"m/data/1"))
    entry = data[directory:].replace(struct.pack("<I", second), struct.pack("<I", first), 1)
    assert "overlap" in refused(tmp_path / "m.bin", data[:directory] + entry)


def test_other_things_that_torch_saves(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    cases = [
        ([torch.ones(2)], "a list, not tensors by name"), (torch.ones(2), "a tensor, not tensors by name"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"), ({"a": torch.eye(3).to_sparse()}, "a sparse tensor"),
        ({"a": torch.ones(2), "b": {"c": 1}}, "`b (dict)`"), ({3: torch.ones(2)}, "`3 (tensor)`"),
        ({"a": torch.ones(1, dtype=torch.cfloat).conj()}, "conjugated"), ({"a": torch.empty(2, device="meta")}, "meta"),
        ({"a": torch.ones(1).expand(9)}, "expanded view"),
    ]
    for content, message in cases:
        torch.save(content, path)
        assert message in refused(path)
    with warnings.catch_warnings(action="ignore"):
        torch.save({"a": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, path)
        assert "quantized" in refused(path)
        torch.jit.script(torch.nn.Linear(2, 2)).save(path)
        assert "TorchScript" in refused(path)
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    assert "tar archive" in refused(path)
