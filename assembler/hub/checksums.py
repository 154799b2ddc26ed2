"""Checksums of whole files, told apart by their length in hex: sha256, git blob sha1, md5, CRC-32C."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path


def file_digest(path: Path, like: str) -> str:
    """The file's checksum of the kind that `like` has the length of (64, 40, 32 or 8 digits); in lower-case hex."""
    if len(like) == 8:
        return _crc32c(path)
    with open(path, "rb") as stream:
        if len(like) == 64:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        if len(like) == 32:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        seed = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        return hashlib.file_digest(stream, lambda: seed).hexdigest()


def _crc32c(path: Path) -> str:
    from ..stores.crc32c import crc32c

    if path.stat().st_size == 0:  # nothing to map
        return f"{0:08x}"
    with (
        open(path, "rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as view,
    ):
        return f"{crc32c(view):08x}"
