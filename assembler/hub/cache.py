"""The Hugging Face cache on disk: where it lies, how it is laid out, who may write. Opens no connection.

    models--organisation--name/
        blobs/<etag>                    contents; `<etag>.incomplete` while they arrive
        refs/<branch or tag>            text: the commit it stood at when last fetched
        snapshots/<commit>/<file>       -> ../../blobs/<etag>
        .no_exist/<commit>/<file>       empty: the repository has no such file
    .locks/models--organisation--name/<etag>.lock

huggingface_hub reads what is written here, and the other way round.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath

from ...errors import DownloadError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")  # no dot: it cannot end in `.incomplete`


def plain_name(text: str, what: str) -> str:
    """`text` itself, if it is a relative path with forward slashes that cannot leave its folder; else DownloadError."""
    parts = text.split("/")
    if "\\" in text or not text.isprintable() or PureWindowsPath(text).drive or not {"", ".", ".."}.isdisjoint(parts):
        raise DownloadError(
            f"{what} {text!r} is not a plain relative path", help="names may not be absolute nor contain `..` or `\\`"
        )
    return text


def plain_etag(text: str) -> str:
    """The ETag without its quotes, if it can name a file; else DownloadError."""
    etag = text.removeprefix("W/").strip('"')
    if not _ETAG.fullmatch(etag):
        raise DownloadError(f"the server sent an ETag that cannot name a file: {text[:80]!r}")
    return etag


class RepoCache:
    """The cached files of one model repository. Names are expected to be checked already."""

    def __init__(self, root: Path, repo_id: str) -> None:
        self.folder = root / "--".join(["models", *repo_id.split("/")])
        self._locks = root / ".locks" / self.folder.name

    def commit(self, revision: str) -> str | None:
        """The commit that a revision stands for, as far as the cache knows."""
        if COMMIT.fullmatch(revision):
            return revision
        try:
            text = (self.folder / "refs" / revision).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text if COMMIT.fullmatch(text) else None

    def find(self, commit: str, filename: str) -> Path | None:
        """The cached file, or None."""
        path = self.folder / "snapshots" / commit / filename
        return path if path.is_file() else None

    def is_absent(self, commit: str, filename: str) -> bool:
        """Whether the repository is known to have no such file."""
        return (self.folder / ".no_exist" / commit / filename).is_file()

    def blob(self, etag: str) -> Path:
        return self.folder / "blobs" / etag

    def lock(self, etag: str) -> Path:
        return self._locks / f"{etag}.lock"

    def link(self, etag: str, commit: str, filename: str) -> Path:
        """Let the snapshot's file point to its contents; a copy where the file system has no symbolic links."""
        path, blob = self.folder / "snapshots" / commit / filename, self.blob(etag)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            try:
                os.symlink(os.path.relpath(blob, path.parent), temporary)
            except OSError:
                shutil.copyfile(blob, temporary)
        return path

    def note_revision(self, revision: str, commit: str) -> None:
        """Remember what a branch or tag stands for; a cache that cannot be written is left as it is."""
        if revision != commit and self.commit(revision) != commit:
            with suppress(OSError):
                path = self.folder / "refs" / revision
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary:
                    temporary.write_text(commit, encoding="ascii")

    def note_absent(self, commit: str, filename: str) -> None:
        """Remember that the repository has no such file; a cache that cannot be written is left as it is."""
        with suppress(OSError):
            path = self.folder / ".no_exist" / commit / filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place at the end, so that readers never see half a file."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Keep other processes and threads out until the end; yields False where the system has no such locks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while fcntl is not None:
        with open(path, "a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as problem:
                if problem.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):  # some network file systems
                    break
                raise
            if os.fstat(handle.fileno()).st_nlink:  # else its last holder has deleted it: another may hold the new one
                yield True
                return
    yield False


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one DownloadError that says how to go on."""
    try:
        yield
    except OSError as problem:
        elsewhere = "pass another `cache_dir` or set HF_HUB_CACHE (for plain addresses HF_HOME)"
        where = problem.filename or folder
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(
                f"no space is left on the disk of {folder}",
                help=f"free some, or {elsewhere}; what has arrived is kept, and the next attempt goes on from there",
            ) from problem
        raise DownloadError(f"cannot use {where}: {problem.strerror or problem}", help=elsewhere) from problem


def check_space(folder: Path, needed: int, label: str) -> int:
    """The bytes left on the disk of `folder` (which exists); DownloadError if fewer than `needed`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"`{label}` needs {needed / 1e9:,.2f} GB more, and the disk of {folder} has {free / 1e9:,.2f} GB left",
            help="free some, or pass another `cache_dir` or set HF_HUB_CACHE",
        )
    return free
