"""Sorted tables of keys and values, as LevelDB lays them out: blocks of entries, a block that says where they are, and
a footer that says where that one is. TensorFlow keeps the index of a checkpoint in one, and its first format all of it.

A block is entries, the positions of those that begin with a whole key, and their count. An entry's key shares its
beginning with the key before. Behind each block: one byte, how it is compressed, and a checksum of both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from .base import Refused
from .crc32c import crc32c, masked
from .protobuf import read_varint, write_varint
from .snappy import inflate

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER = 48  # bytes: two positions and lengths, padding, the magic number
TRAILER = 5  # bytes behind each block
BLOCK = 2**18  # bytes after which the writer begins another block, as TensorFlow does
RESTART = 16  # entries after which it writes a whole key again
KEY = 2**12  # bytes of the longest key that is read
AGAIN = "fetch or save the files again"


def read_table(data: memoryview, *, limit: int, entries: int) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values in order. Every block's checksum is verified, no key comes twice. Values are slices of
    `data`, unless they were compressed.

    At most `limit` bytes of keys and inflated blocks are made, and `entries` entries. Raises `Refused`.
    """
    if len(data) < FOOTER or data[-8:] != MAGIC:
        raise Refused("truncated or damaged: it does not end as a TensorFlow index does", AGAIN)
    body = data[:-FOOTER]
    footer, position, handles = data[-FOOTER:-8], 0, []
    for _ in range(4):
        value, position = read_varint(footer, position)
        handles.append(value)
    left = limit

    def spend(size: int) -> None:
        nonlocal left
        left -= size
        if left < 0:
            raise Refused(f"its index would take more than {limit >> 20} MiB, too much for names and shapes")

    def block(offset: int, size: int) -> memoryview:
        content, compressed = _block(body, offset, size)
        if compressed:
            content = memoryview(inflate(content, left))
            spend(len(content))
        return content

    block(*handles[:2])  # extra tables, which these files do not have; but it is sound
    last = None
    for _, handle in _entries(block(*handles[2:])):
        offset, position = read_varint(handle, 0)
        size, _ = read_varint(handle, position)
        before = last
        for key, value in _entries(block(offset, size)):
            if last is not None and key <= last:
                raise Refused("damaged: the names in its index are not in order, or come twice", AGAIN)
            entries -= 1
            if entries < 0:
                raise Refused("its index has more entries than any list of tensors")
            spend(len(key))
            yield key, value
            last = key
        if last is before:
            raise Refused("damaged: a block of its index is empty", AGAIN)


def _block(body: memoryview, offset: int, size: int) -> tuple[memoryview, bool]:
    """A block without its trailer, and whether it is compressed."""
    end = offset + size
    if end + TRAILER > len(body):
        raise Refused(f"truncated or damaged: a block of its index should end at byte {end + TRAILER}", AGAIN)
    kind, stored = struct.unpack("<BI", body[end : end + TRAILER])
    # The block of an index is short enough not to wait for torch; longer ones hold values.
    if masked(crc32c(body[offset : end + 1], bytewise=BLOCK)) != stored:
        raise Refused(f"damaged: the block at byte {offset} of its index does not match its checksum", AGAIN)
    if kind > 1:
        raise Refused(f"the block at byte {offset} of its index is compressed in an unknown way ({kind})", AGAIN)
    return body[offset:end], kind == 1


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    restarts = int.from_bytes(block[-4:], "little") if len(block) >= 4 else len(block)
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise Refused("damaged: a block of its index is shorter than its own table", AGAIN)
    key, position = b"", 0
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        size, position = read_varint(block, position)
        if shared > len(key) or unshared + size > end - position:
            raise Refused("damaged: an entry of its index claims more bytes than there are", AGAIN)
        if shared + unshared > KEY:
            raise Refused(f"a name in its index is longer than {KEY} bytes")
        key = key[:shared] + bytes(block[position : position + unshared])
        position += unshared
        yield key, block[position : position + size]
        position += size


def table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A table of entries that are in order; nothing is compressed."""
    out, index = bytearray(), []

    def add(block: bytes) -> bytes:
        handle = write_varint(len(out)) + write_varint(len(block))
        block += b"\0"
        out.extend(block + struct.pack("<I", masked(crc32c(bytearray(block)))))
        return handle

    writer = _Block()
    for key, value in entries:
        if writer.size >= BLOCK:
            index.append((_between(writer.key, key), add(writer.finish())))
            writer = _Block()
        writer.add(key, value)
    if writer.count:
        index.append((_between(writer.key, b"\xff"), add(writer.finish())))
    handles = add(_Block().finish())
    writer = _Block(restart=1)
    for key, handle in index:
        writer.add(key, handle)
    handles += add(writer.finish())
    return bytes(out) + handles.ljust(FOOTER - len(MAGIC), b"\0") + MAGIC


def _between(last: bytes, following: bytes) -> bytes:
    """A short key that is not below the last one of a block, and below what follows."""
    for at, (ours, theirs) in enumerate(zip(last, following, strict=False)):
        if ours != theirs:
            return last[:at] + bytes([ours + 1]) if ours + 1 < theirs else last
    return last


class _Block:
    """A block while it is written."""

    def __init__(self, restart: int = RESTART) -> None:
        self.data, self.key, self.count = bytearray(), b"", 0
        self._restart, self._restarts = restart, [0]

    @property
    def size(self) -> int:
        return len(self.data) + 4 * (len(self._restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count % self._restart:
            most = min(len(key), len(self.key))
            shared = next((i for i in range(most) if key[i] != self.key[i]), most)
        elif self.count:
            self._restarts.append(len(self.data))
        self.data += write_varint(shared) + write_varint(len(key) - shared) + write_varint(len(value))
        self.data += key[shared:] + value
        self.key, self.count = key, self.count + 1

    def finish(self) -> bytes:
        return bytes(self.data) + struct.pack(f"<{len(self._restarts) + 1}I", *self._restarts, len(self._restarts))
