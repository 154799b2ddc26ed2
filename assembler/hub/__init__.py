"""Names to files: a repository on a Hugging Face style hub, or a plain address -> files in the local cache."""

from __future__ import annotations

import os
import re
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ...errors import Diagnostic, DownloadError, Note
from .addresses import fetch_url, unavailable
from .buckets import web_address
from .cache import COMMIT, RepoCache, disk_errors, locked, plain_etag, plain_name
from .download import ATTEMPTS, Client, Unreachable
from .folders import RemoteFolder
from .http_text import content_length, origin, printable, shown, status_line, whole_number
from .settings import endpoint, hub_folder, offline, token

if TYPE_CHECKING:
    from requests import Response

__all__ = [
    "RemoteFolder", "commit_of", "fetch", "fetch_file", "fetch_url", "is_repo_id", "known_as", "web_address",
]  # fmt: skip

_WORD = r"[0-9A-Za-z_](?:[0-9A-Za-z_.-]*[0-9A-Za-z_])?"
_REPO_ID = re.compile(rf"{_WORD}(?:/{_WORD})?")


def is_repo_id(text: str) -> bool:
    """Whether `text` can be the name of a repository: `name` or `organisation/name`."""
    forbidden = "--" in text or ".." in text or text.endswith(".git")
    return len(text) <= 96 and not forbidden and bool(_REPO_ID.fullmatch(text))


def fetch(
    repo_id: str, filenames: Iterable[str], *, revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None, optional: Iterable[str] = (),
) -> dict[str, Path]:
    """The files of a model repository, downloaded unless cached; all of one commit.

    Args:
        filenames: paths in the repository; each must exist.
        revision: branch, tag or commit (40 hex digits: what is cached is used without asking); default `main`.
        cache_dir: instead of HF_HUB_CACHE.
        optional: paths that are left out of the answer if the repository lacks them (or, without network, the cache).
    Raises:
        DownloadError: not found, not allowed, no network, offline, damaged, or no room.
    """
    optional = tuple(optional)
    with _Repository(repo_id, revision or "main", hub_folder(cache_dir)) as repository:
        found = {name: repository.file(name, required=True) for name in filenames}
        found |= {name: repository.file(name, required=False) for name in optional if name not in found}
        repository.done()
    return {name: path for name, path in found.items() if path is not None}


def fetch_file(
    repo_id: str, filename: str, *, revision: str | None = None, cache_dir: str | os.PathLike[str] | None = None,
    optional: bool = False,
) -> Path | None:
    """One file of a model repository, as `fetch`; None only if it is optional and not there."""
    needed, wanted = ((), (filename,)) if optional else ((filename,), ())
    return fetch(repo_id, needed, revision=revision, cache_dir=cache_dir, optional=wanted).get(filename)


def known_as(
    repo_id: str, name: str, cache_dir: str | os.PathLike[str] | None = None
) -> str:
    """`repo_id`, or `name` if the cache has only that: repositories that have moved lie there under their old names."""
    if not is_repo_id(name):
        return repo_id
    new, old = (RepoCache(hub_folder(cache_dir), each).folder for each in (repo_id, name))
    return name if old.is_dir() and not new.is_dir() else repo_id


def commit_of(path: Path) -> str | None:
    """The commit a fetched file belongs to, to fetch more of the same; None for a file from elsewhere."""
    folders = path.parts
    found = [b for a, b in zip(folders, folders[1:], strict=False) if a == "snapshots" and COMMIT.fullmatch(b)]
    return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the hub says of one file before its bytes are asked for."""

    commit: str
    etag: str
    size: int | None
    validator: str | None  # the ETag, where the hub itself serves the bytes


class _Repository:
    """One fetch from one repository. The first answer fixes the commit, for all files."""

    def __init__(self, repo_id: str, revision: str, root: Path) -> None:
        if not is_repo_id(repo_id):
            raise DownloadError(
                f"{repo_id!r} is not the name of a repository",
                help="write `name` or `organisation/name`, or the path of a folder that exists",
            )
        self.repo_id, self.revision = repo_id, plain_name(revision, "the revision")
        self.root, self.cache = root, RepoCache(root, repo_id)
        self.commit = revision if COMMIT.fullmatch(revision) else None
        self.endpoint = endpoint()
        origin(self.endpoint)
        self.trouble = offline()  # why only the cache is asked
        self._client: Client | None = None

    def __enter__(self) -> _Repository:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.__exit__()

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(self.endpoint, token())
        return self._client

    def done(self) -> None:
        """All files are there: from now on this is what the revision means without a network."""
        if self.commit is not None and self.trouble is None:
            self.cache.note_revision(self.revision, self.commit)

    def file(self, filename: str, required: bool) -> Path | None:
        """The file in the cache, by way of the hub if need be; None if it is not required and not there."""
        plain_name(filename, "the file name")
        with disk_errors(self.root):
            path = self._cached(filename)
            if path is None and not self._known_absent(filename) and self.trouble is None:
                path = self._from_hub(filename)
        if path is not None or not required:
            return path
        if self._known_absent(filename) or self.trouble is None:
            doubt = "" if self.commit else ", or there is no such repository"
            raise self._error(
                f"repository `{self.repo_id}` has no file `{filename}` at revision `{self.revision}`{doubt}",
                help=f"its files are listed at {self.endpoint}/{self.repo_id}/tree/{quote(self.revision)}",
            )
        again = "" if offline() else "try again: what has arrived is kept; or "
        advice = (
            f"{again}where there is a network, run `hf download {self.repo_id} --local-dir FOLDER`,\n"
            "copy FOLDER here and pass its path instead of the name; or set HF_ENDPOINT to a mirror"
        )
        raise unavailable(
            f"`{filename}` of `{self.repo_id}` (revision `{self.revision}`)", self.trouble, self.cache.folder, advice
        )

    def _cached(self, filename: str) -> Path | None:
        return self.cache.find(self.commit, filename) if self._settled() else None

    def _known_absent(self, filename: str) -> bool:
        return self._settled() and self.cache.is_absent(self.commit, filename)

    def _settled(self) -> bool:
        """Whether the commit is known; without a network it is the one that was fetched last."""
        if self.commit is None and self.trouble is not None:
            self.commit = self.cache.commit(self.revision)
        return self.commit is not None

    def _from_hub(self, filename: str) -> Path | None:
        """Ask the hub; None if the repository has no such file or (from then on `trouble`) nobody answers."""
        last = self.commit or self.cache.commit(self.revision)
        spare = last is not None and self.cache.find(last, filename) is not None
        try:
            entry = self._ask(filename, attempts=2 if spare else ATTEMPTS)
            if entry is None:
                return None
            return self.cache.find(entry.commit, filename) or self._download(filename, entry)
        except Unreachable as problem:
            self.trouble = problem.reason
        path = self._cached(filename)
        if path is not None:
            warnings.warn(
                f"`{self.repo_id}` cannot be checked for changes ({self.trouble}); using cached commit {self.commit}",
                stacklevel=5,
            )
        return path

    def _ask(self, filename: str, attempts: int) -> _Entry | None:
        """One HEAD request: what the file is, or None if the repository has none of that name."""
        with self.client.head(self._url(filename), leave=False, attempts=attempts) as response:
            headers, status = response.headers, response.status_code
            commit = headers.get("X-Repo-Commit")
            if commit is not None and (not COMMIT.fullmatch(commit) or self.commit not in (None, commit)):
                asked = self.commit or self.revision
                raise self._error(f"the hub names {commit[:80]!r} as the commit of revision `{asked}`")
            if status >= 400:
                self._check_refusal(response, filename)
            elif commit is None or not (headers.get("X-Linked-Etag") or headers.get("ETag")):
                raise self._error(
                    f"{shown(response.url)} does not answer as a Hugging Face hub does "
                    f"({status_line(response)}, without commit or ETag)",
                    help="check HF_ENDPOINT, and that no proxy or login page stands between",
                )
            self.commit = commit or self.commit
            if status >= 400:
                if commit is not None:
                    self.cache.note_absent(commit, filename)
                return None
            linked, etag = headers.get("X-Linked-Etag"), headers.get("ETag", "")
            size = whole_number(headers.get("X-Linked-Size"))
            if status == 200 and size is None:
                size = content_length(response) or None  # some servers say 0 to any HEAD
            own = status == 200 and etag.startswith('"') and linked in (None, etag)
            return _Entry(commit, plain_etag(linked or etag), size, etag if own else None)

    def _download(self, filename: str, entry: _Entry) -> Path:
        blob = self.cache.blob(entry.etag)
        with locked(self.cache.lock(entry.etag)) as sure:
            if not (blob.is_file() and entry.size in (None, blob.stat().st_size)):
                self.client.download(
                    self._url(filename), blob,
                    blob.with_name(f"{entry.etag}{'' if sure else '.' + uuid.uuid4().hex}.incomplete"),
                    label=filename, size=entry.size, validator=entry.validator,
                    digest=entry.etag if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", entry.etag) else None,
                )
            return self.cache.find(entry.commit, filename) or self.cache.link(entry.etag, entry.commit, filename)

    def _url(self, filename: str) -> str:
        revision = quote(self.commit or self.revision, safe="")
        return f"{self.endpoint}/{self.repo_id}/resolve/{revision}/{quote(filename)}"

    def _check_refusal(self, response: Response, filename: str) -> None:
        """Raise the DownloadError that explains a 4xx answer, unless it says that just this file is missing."""
        code, status = response.headers.get("X-Error-Code"), response.status_code
        page, keys = f"{self.endpoint}/{self.repo_id}", f"{self.endpoint}/settings/tokens"
        if code == "EntryNotFound" or (code is None and status == 404):
            return
        if code == "RevisionNotFound":
            raise self._error(
                f"repository `{self.repo_id}` has no revision `{self.revision}`", help=f"see {page} for its branches"
            )
        if code == "GatedRepo":
            raise self._error(
                f"`{self.repo_id}` is open only to those its owners admit",
                help=f"ask for access at {page}, then set HF_TOKEN to a token from {keys}",
            )
        if code == "RepoNotFound" or status == 401:
            advice = f"set HF_TOKEN to a token from {keys}" if token() is None else f"check your token at {keys}"
            raise self._error(
                f"there is no repository `{self.repo_id}`, or it is private",
                help=f"check the spelling ({page}); if it is private, {advice}",
            )
        reason = printable(response.headers.get("X-Error-Message", ""))
        raise self._error(
            f"the hub refuses `{filename}` of `{self.repo_id}`: {status_line(response)} {reason}".rstrip(),
            help=f"see whether {page} opens in a browser; the token in HF_TOKEN may lack the right to read it",
        )

    def _error(self, message: str, help: str | None = None) -> DownloadError:
        return DownloadError(Diagnostic(message, notes=(Note(f"hub = {shown(self.endpoint)}"),), help=help))
