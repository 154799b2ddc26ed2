"""Where a file of `torch.save` keeps what: the zip archive of torch >= 1.6, and the row of pickles before it.

Either way the answer is a pickle's content and a table of records, the runs of bytes that its storages lie in.
"""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from .base import Refused, quoted, what_it_is_instead
from .dtypes import ITEMSIZE
from .pickles import PickleStream, read_pickle
from .rebuild import StoredStorage

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_PICKLED_MAGIC = b"\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
AGAIN = "fetch or save the file again"


@dataclass(frozen=True, slots=True)
class Record:
    start: int  # byte in the file
    size: int
    checksum: int | None = None  # CRC-32


def is_plain_pickle(head: bytes) -> bool:
    """Whether a file that begins so is a pickle, and not one of torch's old format."""
    return head.startswith(b"\x80") and _PICKLED_MAGIC not in head


def read_layout(file: BinaryIO) -> tuple[object, dict[str, Record]]:
    """The content described by a file, storages left where they are, and its records; that of storage `k` is `data/k`.

    Every record lies within the file and holds all that its storage claims. Raises `Refused`.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(512)
    if instead := what_it_is_instead(head):
        raise Refused(*instead)
    if head.startswith(b"PK"):
        content, storages, records = _read_zip(file, size)
    elif head[257:262] == b"ustar":
        raise Refused("this is a tar archive, as the first releases of torch wrote", "save it again with a newer torch")
    elif head.startswith(b"\x80"):
        content, storages, records = _read_legacy(file, size)
    else:
        raise Refused("this is not a file of torch.save", AGAIN)
    for key, storage in storages.items():
        record, needed = records.get(f"data/{key}"), storage.numel * ITEMSIZE[storage.dtype]
        if record is None:
            raise Refused(f"storage {quoted(key)} is missing from the file", AGAIN)
        if record.size < needed:
            raise Refused(f"storage {quoted(key)} claims {needed} bytes, its record has {record.size}", AGAIN)
    return content, records


def _read_zip(file: BinaryIO, size: int) -> tuple[object, dict[str, StoredStorage], dict[str, Record]]:
    try:
        entries = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error, OSError) as error:
        reason = ascii(str(error)[:200])
        raise Refused(f"truncated or damaged: this zip archive ends without its directory ({reason})", AGAIN) from None
    roots = {entry.filename.partition("/")[0] for entry in entries}
    inner = [entry.filename.partition("/")[2] for entry in entries]
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        raise Refused("this is a TorchScript program, not weights", "save its `state_dict()` with torch.jit")
    if "data.pkl" not in inner or len(roots) != 1:
        raise Refused("this zip archive was not written by torch.save", "if the weights are in it, unpack it first")
    if len(set(inner)) != len(inner):
        raise Refused("this zip archive has two records of one name", AGAIN)
    records = {name: _zip_record(file, entry, size) for name, entry in zip(inner, entries, strict=True)}
    for first, second in pairwise(sorted((record.start, record.start + record.size) for record in records.values())):
        if first[1] > second[0]:
            raise Refused("records of this zip archive overlap", AGAIN)
    if (order := records.get("byteorder")) is not None:
        file.seek(order.start)
        if file.read(min(order.size, 16)) != b"little":
            raise Refused("it was saved on a big-endian machine", "load and save it again with torch on this machine")
    pickle = records["data.pkl"]
    content, storages = read_pickle(PickleStream(file, pickle.start, pickle.start + pickle.size))
    return content, storages, records


def _zip_record(file: BinaryIO, entry: zipfile.ZipInfo, size: int) -> Record:
    name = quoted(entry.filename)
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
        raise Refused(f"record {name} is compressed or encrypted, which torch.save never does", AGAIN)
    file.seek(max(entry.header_offset, 0))
    header = file.read(30)
    if entry.header_offset < 0 or len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise Refused(f"record {name} is not where the archive's directory says", AGAIN)
    start = entry.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
    if start + entry.file_size > size:
        end = start + entry.file_size
        raise Refused(f"truncated: record {name} should end at byte {end}, the file has {size}", AGAIN)
    return Record(start, entry.file_size, entry.CRC or None)  # torch can leave checksums out: all zero


def _read_legacy(file: BinaryIO, size: int) -> tuple[object, dict[str, StoredStorage], dict[str, Record]]:
    stream = PickleStream(file, 0, size)
    magic, _ = read_pickle(stream)
    if magic != LEGACY_MAGIC:
        raise Refused("this is a plain pickle, not a file of torch.save", "save its weights with torch or safetensors")
    version, _ = read_pickle(stream)
    if version != LEGACY_PROTOCOL:
        raise Refused(f"it is not of version {LEGACY_PROTOCOL} of torch's old format, the only one known", AGAIN)
    read_pickle(stream)  # of the machine that saved; the bytes are little-endian whatever it was
    content, storages = read_pickle(stream)
    keys, _ = read_pickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
        raise Refused("its list of storages does not fit its content", AGAIN)
    records: dict[str, Record] = {}
    position = stream.position
    for key in keys:
        file.seek(position)
        head = file.read(8)
        count = int.from_bytes(head, "little")
        expected = storages[key].numel
        start = position + 8
        position = start + expected * ITEMSIZE[storages[key].dtype]
        if position > size or len(head) < 8:
            raise Refused(f"truncated: storage {quoted(key)} should end at byte {position}, the file has {size}", AGAIN)
        if count != expected:
            raise Refused(f"storage {quoted(key)} has {count} elements, its description says {expected}", AGAIN)
        records[f"data/{key}"] = Record(start, position - start)
    return content, storages, records
