"""Archives of releases (`.zip`, `.tar`, `.tar.gz`), unpacked once into a folder of the cache; and single `.gz` files.

An archive comes from somebody else: nothing in it may lie outside its folder, be a link or a device, come twice, or be
so much larger than the archive that it can only be meant to fill the disk.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .base import Refused, open_file, problem, quoted

ENTRIES = 10_000
TOTAL = 2**38  # bytes of all files
RATIO = 100  # times the archive's own size; weights shrink by a tenth, those that were never trained by more
FREE = 2**26  # bytes that no ratio is asked of
REQUEST = 2**22  # bytes read at once
AGAIN = "fetch it again"
_BOMB = ("it unpacks to far more than weights ever do (a bomb)", "do not use it")
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, NotImplementedError, RuntimeError,
    ValueError, OverflowError, RecursionError, struct.error, MemoryError, IndexError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Whether a file is an archive of files, by its content: not one that torch.save wrote, nor a compressed pickle."""
    with open_file(path) as file:
        head = file.read(512)
        if head.startswith(b"PK\x03\x04"):
            return path.name.endswith(".zip") or not path.name.endswith((".bin", ".pt", ".pth"))
        if head.startswith(b"\x1f\x8b"):
            return path.name.endswith(ENDINGS)
        return head[257:262] == b"ustar" and not path.name.endswith((".bin", ".pt", ".pth"))


def unpack(path: Path, cache_dir: Path | None = None) -> Path:
    """The folder with the files of an archive: unpacked at the first call, found again while the archive is the same
    (path, size and time of change). Where all its files are in one folder, that folder.

    Args:
        cache_dir: instead of `$HF_HOME/assets/modelwright`; the files go into its folder `unpacked`.
    Raises:
        WeightsError: it is damaged or hostile; nothing of it is left. DownloadError: no room, not readable.
    """
    from ..hub.cache import check_space, disk_errors, locked
    from ..hub.settings import assets_folder

    path = path.resolve()
    root = Path(cache_dir) if cache_dir is not None else assets_folder()
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        key = hashlib.sha256(f"{path} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:32]
        folder = root / "unpacked" / key
        if not folder.is_dir():
            with disk_errors(root), locked(folder.with_suffix(".lock")):
                if not folder.is_dir():
                    temporary = folder.with_name(f"{key}.{uuid.uuid4().hex[:8]}.tmp")
                    temporary.mkdir(parents=True)
                    try:
                        check_space(temporary, status.st_size, path.name)
                        _extract(file, status.st_size, temporary)
                        os.replace(temporary, folder)
                    except Refused as error:
                        raise problem(path, str(error), error.help) from None
                    finally:
                        shutil.rmtree(temporary, ignore_errors=True)
    return _innermost(folder)


def _innermost(folder: Path) -> Path:
    """Down to where there is a choice."""
    while True:
        inner = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        if len(inner) != 1 or not inner[0].is_dir():
            return folder
        folder = inner[0]


def _extract(file: BinaryIO, size: int, folder: Path) -> None:
    head = file.read(2)
    file.seek(0)
    budget = _Budget(size)
    try:
        for name, content in _zip_files(file) if head == b"PK" else _tar_files(file, head, budget):
            target = folder.joinpath(*budget.place(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as copy:
                while chunk := content.read(2**20):
                    budget.spend(len(chunk))
                    copy.write(chunk)
    except _DAMAGED as error:
        reason = ascii(str(error)[:200])
        raise Refused(f"this archive is truncated or damaged ({type(error).__name__}: {reason})", AGAIN) from None
    if not budget.names:
        raise Refused("this archive is empty", AGAIN)


class _Budget:
    """What an archive may still unpack, and the names it has used."""

    def __init__(self, size: int) -> None:
        self.limit = min(TOTAL, max(FREE, size * RATIO))
        self.names: set[tuple[str, ...]] = set()
        self.folders: set[tuple[str, ...]] = set()

    def spend(self, count: int) -> None:
        self.limit -= count
        if self.limit < 0:
            raise Refused(*_BOMB)

    def place(self, name: str) -> tuple[str, ...]:
        """The parts of a file's path, which stay inside the folder and are nobody else's."""
        text = name.removeprefix("./")
        parts = tuple(text.split("/"))
        outside = text.startswith("/") or not {"", ".", ".."}.isdisjoint(parts) or "\\" in text
        odd = not text.isprintable() or re.match(r"[A-Za-z]:", text) or len(parts) > 16
        if outside or odd or any(len(os.fsencode(part)) > 255 for part in parts):
            raise Refused(f"this archive names a file that is not plainly inside it: {quoted(name)}", "do not use it")
        folded = tuple(part.casefold() for part in parts)
        above = {folded[:depth] for depth in range(1, len(folded))}
        if folded in self.names or folded in self.folders or not above.isdisjoint(self.names):
            raise Refused(f"this archive has two files of one name: {quoted(name)}", AGAIN)
        if len(self.names) >= ENTRIES:
            raise Refused(f"this archive has over {ENTRIES} files, which no release has", "do not use it")
        self.names.add(folded)
        self.folders |= above
        return parts


def _zip_files(file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(_Bounded(file)) as archive:  # type: ignore[arg-type]
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise Refused(f"this archive holds a link or device: {quoted(entry.filename)}", "do not use it")
            if entry.flag_bits & 1:
                raise Refused("this archive is encrypted", "unpack it first")
            with archive.open(entry) as content:
                yield entry.filename, content


def _tar_files(file: BinaryIO, head: bytes, budget: _Budget) -> Iterator[tuple[str, BinaryIO]]:
    plain = gzip.GzipFile(fileobj=file) if head == b"\x1f\x8b" else file
    with tarfile.TarFile(fileobj=_Bounded(plain, budget.limit + FREE)) as archive:  # type: ignore[arg-type]
        for count, entry in enumerate(archive):
            if count > ENTRIES:
                raise Refused(f"this archive has over {ENTRIES} entries, which no release has", "do not use it")
            if entry.isdir():
                continue
            if not entry.isreg() or entry.issparse():
                raise Refused(f"this archive holds a link or device: {quoted(entry.name)}", "do not use it")
            yield entry.name, archive.extractfile(entry)
        plain.seek(archive.offset)  # tarfile takes any trouble behind the first file for the end, which is zeros
        if plain.read(512) != bytes(512):
            raise Refused("this archive is truncated or damaged: it has no end", AGAIN)
        while chunk := plain.read(2**20):  # the checksum of what is compressed comes last
            budget.spend(len(chunk))


class _Bounded:
    """A file as tarfile and zipfile read it, whose headers may claim lengths that they would read at once, or skip."""

    def __init__(self, file: BinaryIO, limit: int = TOTAL) -> None:
        self._file, self._limit = file, limit
        self.tell, self.seekable = file.tell, file.seekable

    def read(self, size: int = REQUEST) -> bytes:
        if size > REQUEST:
            raise Refused("a header of this archive claims an absurd length", AGAIN)
        return self._file.read(size if size >= 0 else REQUEST)

    def seek(self, position: int, whence: int = 0) -> int:
        if position > self._limit:
            raise Refused(*_BOMB)
        return self._file.seek(position, whence)


def gunzip(file: BinaryIO) -> BinaryIO:
    """The content of a `.gz` file as a file without a name, which the system removes when it is closed. It is as large
    as the content: `TMPDIR` says where. Raises `Refused`."""
    size = os.fstat(file.fileno()).st_size
    budget = _Budget(size)
    result = tempfile.TemporaryFile()  # noqa: SIM115 - returned
    try:
        with gzip.GzipFile(fileobj=file) as content:
            while chunk := content.read(2**20):
                budget.spend(len(chunk))
                result.write(chunk)
    except BaseException as error:
        result.close()
        if isinstance(error, _DAMAGED):
            raise Refused(f"truncated or damaged: it cannot be decompressed ({error})", AGAIN) from None
        raise
    result.seek(0)
    return result
