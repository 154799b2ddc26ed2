"""One file behind a plain http(s) address, into the cache."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ...errors import Diagnostic, DownloadError, Note, UsageError
from .buckets import web_address
from .cache import disk_errors, locked, plain_name
from .download import Client, Declined, Unreachable
from .http_text import announced_digest, content_length, origin, shown
from .settings import assets_folder, offline

#: What a server answers that has no such file. Stores that may not be listed forbid what they do not have.
GONE, FORBIDDEN = frozenset({404, 410}), frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Remote:
    """What a server says of a file before its bytes are asked for."""

    etag: str = ""
    size: int | None = None  # bytes
    digest: str | None = None  # see `Client.download`


def fetch_url(url: str, *, cache_dir: str | os.PathLike[str] | None = None, sha256: str | None = None) -> Path:
    """The file at a plain http(s) address (or gs://bucket/path), downloaded once and kept under its own name.

    Args:
        cache_dir: instead of `$HF_HOME/assets/modelwright`; the file goes into its folder `urls`.
        sha256: 64 hex digits that the contents must have.
    Raises:
        DownloadError: as `fetch`. No token is sent.
    """
    sha256 = checked_sha256(sha256)
    url = web_address(url).partition("#")[0]
    origin(url)
    name = plain_name(last_part(url) or "download", "the file name in the address")
    root = Path(cache_dir) if cache_dir is not None else assets_folder()
    folder = root / "urls" / short_hash(f"{url} {sha256 or ''}")
    path = folder / name
    if path.is_file():
        return path
    advice = f"download it elsewhere and copy it to {path}"
    if problem := offline():
        raise unavailable(f"`{shown(url)}`", problem, path, advice)
    with disk_errors(root), locked(folder.with_suffix(".lock")) as sure, Client() as client:
        if not path.is_file():
            try:
                bring(client, url, path, ask(client, url), sha256, sure)
            except Unreachable as problem:
                raise unavailable(f"`{shown(url)}`", problem.reason, path, advice) from problem
    return path


def ask(client: Client, url: str) -> Remote:
    """One HEAD request. Declined if there is no such file; of servers that know no HEAD, the GET will tell."""
    with client.head(url) as response:
        if response.status_code in GONE | {401}:
            raise Declined(url, response)
        if response.status_code != 200:
            return Remote()
        size = content_length(response) or None  # some servers say 0 to any HEAD
        return Remote(response.headers.get("ETag", ""), size, announced_digest(response))


def bring(client: Client, url: str, path: Path, remote: Remote, digest: str | None, locks: bool) -> None:
    """Download it beside `path` and then to `path`, verified by `digest`, or by what the server has announced."""
    digest = digest or remote.digest
    validator = remote.etag if remote.etag.startswith('"') else None
    partial = f"{path.name}.{short_hash(digest or remote.etag)}{'' if locks else uuid.uuid4().hex}.incomplete"
    client.download(
        url, path, path.with_name(partial), label=path.name, size=remote.size, digest=digest, validator=validator
    )
    left = re.compile(re.escape(path.name) + r"\.[0-9a-f]{32,64}\.incomplete")
    for file in path.parent.iterdir():  # of what the address held before
        if left.fullmatch(file.name):
            file.unlink(missing_ok=True)


def last_part(url: str) -> str:
    """The last name in the path of an address."""
    return unquote(PurePosixPath(urlsplit(url).path).name)


def checked_sha256(text: str | None) -> str | None:
    """In lower case; UsageError if it is none."""
    if text is not None and not re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        raise UsageError(f"a sha256 has 64 hexadecimal digits, not {text!r}")
    return text and text.lower()


def unavailable(what: str, why: str, looked_in: Path, help: str) -> DownloadError:
    """The error about a file that is neither here nor to be had."""
    notes = (Note(f"reason = {why}"), Note(f"looked in {looked_in}"))
    return DownloadError(Diagnostic(f"{what} is not on this machine and cannot be downloaded", notes=notes, help=help))


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
