"""The files of one release, which lie together behind an address, into one folder of the cache.

    releases/<hash of the address>/<name>     files, each whole; `<name>.<hash>.incomplete` while it arrives
    releases/<hash of the address>.json       what the server has said: names it does not have, and its listing
    releases/<hash of the address>.lock

A release is whole if every file of it is here or is known not to exist; whoever needs it walks through them all.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from ...errors import DownloadError
from .addresses import FORBIDDEN, GONE, Remote, ask, bring, checked_sha256, short_hash, unavailable
from .buckets import Listed, bucket_of, list_folder, web_address
from .cache import disk_errors, locked, plain_name, replacing
from .download import Client, Declined, Unreachable
from .http_text import origin, shown
from .settings import assets_folder, offline


class RemoteFolder:
    """What lies behind an address. Files come one by one, each whole or not at all, when they are asked for."""

    def __init__(self, url: str, cache_dir: str | os.PathLike[str] | None = None, *, key: str | None = None) -> None:
        """
        Args:
            url: of the folder: http(s), or gs://bucket/path.
            cache_dir: instead of `$HF_HOME/assets/modelwright`; the files go into its folder `releases`.
            key: the address that the release is known by, if it is another.
        """
        self.url = web_address(url).partition("#")[0]
        origin(self.url)
        self._root = Path(cache_dir) if cache_dir is not None else assets_folder()
        self.path = self._root / "releases" / short_hash(web_address(key or url).rstrip("/"))
        self._said = self.path.with_suffix(".json")
        self._client: Client | None = None

    def __enter__(self) -> RemoteFolder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.__exit__()

    def file(
        self, name: str, *, at: str | None = None, required: bool = True, sha256: str | None = None
    ) -> Path | None:
        """The file of that name below the address, downloaded unless it is here; None if it is not required and the
        server has none.

        Args:
            at: its own address, if it lies elsewhere.
            sha256: 64 hex digits that the contents must have.
        Raises:
            DownloadError: as `fetch_url`; also if nobody can tell whether one that is not required exists.
        """
        path = self.path / plain_name(name, "the file name")
        sha256 = checked_sha256(sha256)
        if path.is_file():
            return path
        if not required and name in self._notes()["absent"]:
            return None
        url = web_address(at) if at else self.address(name)
        advice = f"download it elsewhere and copy it to {path}"
        if problem := offline():
            raise unavailable(f"`{shown(url)}`", problem, self.path, advice)
        with disk_errors(self._root), locked(self.path.with_suffix(".lock")) as sure:
            if not path.is_file():
                try:
                    self._download(name, url, path, sha256, sure)
                except Declined as problem:
                    # a proxy may forbid whatever one asks; a store that has given files and forbids one has it not
                    if problem.status not in GONE | FORBIDDEN or required:
                        raise
                    if problem.status in GONE or self.path.is_dir():
                        self._note(absent=[*self._notes()["absent"], name])
                    return None
                except Unreachable as problem:
                    raise unavailable(f"`{shown(url)}`", problem.reason, self.path, advice) from problem
        return path

    def _download(self, name: str, url: str, path: Path, sha256: str | None, locks: bool) -> None:
        listed = self._notes()["listing"].get(name) if url == self.address(name) else None
        remote = ask(self.client, url)
        if listed is not None:
            size = listed.size if listed.size is not None else remote.size
            remote = Remote(remote.etag, size, listed.digest or remote.digest)
        bring(self.client, url, path, remote, sha256, locks)

    def listing(self) -> list[str] | None:
        """The names of the files there are, those that could lie outside of the folder left out; None if nobody tells.
        DownloadError as `list_folder`."""
        place = bucket_of(self.url)
        known = self._notes()["listing"]
        if known or place is None:
            return list(known) or None
        what = f"the list of files of `{shown(self.url)}`"
        advice = "name the files: the prefix of the checkpoint, or `files:` in a spec"
        if problem := offline():
            raise unavailable(what, problem, self.path, advice)
        try:
            found = list_folder(self.client, *place)
        except Unreachable as problem:
            raise unavailable(what, problem.reason, self.path, advice) from problem
        inside = {name: entry for name, entry in found.items() if _is_plain(name)}
        with disk_errors(self._root), locked(self.path.with_suffix(".lock")):
            self._note(listing={name: asdict(entry) for name, entry in inside.items()})
        return list(inside)

    def address(self, name: str) -> str:
        """Where the file of that name lies."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}"))

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client()
        return self._client

    def _notes(self) -> dict[str, Any]:
        """What the server has said before; nothing if it cannot be read."""
        try:
            notes = json.loads(self._said.read_text(encoding="utf-8"))
            listing = {str(name): Listed(**entry) for name, entry in notes.get("listing", {}).items()}
            return {"absent": [str(name) for name in notes.get("absent", [])], "listing": listing}
        except (OSError, ValueError, TypeError, AttributeError):
            return {"absent": [], "listing": {}}

    def _note(self, **said: Any) -> None:
        notes = self._notes()
        notes["listing"] = {name: asdict(entry) for name, entry in notes["listing"].items()}
        self._said.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._said) as temporary:
            temporary.write_text(json.dumps({"url": shown(self.url), **notes, **said}, indent=1), encoding="utf-8")


def _is_plain(name: str) -> bool:
    try:
        plain_name(name, "the name")
    except DownloadError:
        return False
    return True
