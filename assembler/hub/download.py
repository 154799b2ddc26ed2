"""Fetching bytes over HTTP: bounded retries, resumption, checksums. Knows nothing of repositories.

`requests`, `tqdm` and what they stand on are imported when the first connection is wanted, not before.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import DownloadError
from .cache import check_space
from .checksums import file_digest
from .http_text import content_length, joined, origin, printable, retry_after, shown, status_line
from .settings import flag, timeout

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

T = TypeVar("T")

ATTEMPTS = 5  # failures in a row, none of them after real progress
PROGRESS = 1 << 20  # bytes: what counts as real progress, and makes the count start anew
PAUSE, LONGEST_PAUSE = 0.4, 60.0  # seconds; the pause doubles after each failure
SLOWEST = 1024  # bytes a timeout's length must bring: a line that drips slower counts as dropped
CHUNK = 1 << 18
RESERVE = 1 << 26  # bytes of the disk that a body of unknown length leaves alone
HOPS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({408, 429, 500, 502, 503, 504})


class Unreachable(DownloadError):
    """No usable answer came, though it was asked for several times."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, help="check the connection and the proxy settings, then try again: it resumes")
        self.reason = reason


class Declined(DownloadError):
    """The server answered, but not with the file."""

    def __init__(self, url: str, response: Response) -> None:
        super().__init__(f"{shown(url)} answered {status_line(response)}", help="check the address")
        self.status = response.status_code


class _Transient(Exception):
    """Worth another attempt, after `wait` seconds if the server named a time."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class Client:
    """HTTP with bounded retries. The token goes to the origin of `home` and never anywhere else."""

    def __init__(self, home: str = "", token: str | None = None) -> None:
        import requests

        self._session = requests.Session()
        self._session.get_redirect_target = lambda response: None  # ours to follow, their bodies unread
        self._home, self._token = home and origin(home), token
        self._timeout = timeout()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def head(self, url: str, *, leave: bool = True, attempts: int = ATTEMPTS) -> Response:
        """The headers behind `url`, whatever the status. Redirects are followed, but to another origin only if `leave`.

        Raises Unreachable after `attempts` dropped connections or busy servers.
        """
        return _retry(lambda: self._answer("HEAD", url, {}, leave=leave), attempts)

    def read(self, url: str, limit: int) -> bytes:
        """A small body. DownloadError if it is no 200 or longer than `limit`. Unreachable: see `head`."""

        def attempt() -> bytes:
            with self._answer("GET", url, {}) as response:
                if response.status_code != 200:
                    raise Declined(url, response)
                body = bytearray()
                for block in self._blocks(response):
                    body += block
                    if len(body) > limit:
                        raise DownloadError(f"{shown(url)} sends more than {limit:,} bytes")
                if len(body) < (content_length(response) or 0):
                    raise _Transient(f"{origin(url)} closed the connection too early")
                return bytes(body)

        return _retry(attempt, ATTEMPTS)

    def download(
        self, url: str, target: Path, partial: Path, *, label: str, size: int | None = None, digest: str | None = None,
        validator: str | None = None,
    ) -> None:
        """Bring `url` to `target` by way of `partial`, which stays behind if this is interrupted and is then resumed.

        Args:
            label: the name shown to the user.
            size: bytes, if known.
            digest: of the whole, in hex: sha256 (64 digits), git blob sha1 (40), md5 (32) or CRC-32C (8).
            validator: a strong ETag that this very server gives; it, or a digest, is what makes resumption safe.
        Raises:
            DownloadError: refused, too big for the disk, or damaged twice. Unreachable: see `head`.
        """
        from tqdm import tqdm

        partial.parent.mkdir(parents=True, exist_ok=True)
        hidden = flag("HF_HUB_DISABLE_PROGRESS_BARS") or not sys.stderr.isatty()
        resume = bool(digest or validator)
        for last in (False, True):
            with tqdm(total=size, unit="B", unit_scale=True, desc=label, disable=hidden, file=sys.stderr) as bar:
                attempt = functools.partial(self._receive, url, partial, label, size, validator, resume, bar)
                _retry(attempt, ATTEMPTS, lambda: _size(partial))
            found = digest and file_digest(partial, digest)
            if found == digest:
                break
            partial.unlink()
            if last:
                raise DownloadError(
                    f"`{label}` arrived damaged, twice: its checksum is {found}, {digest} was announced",
                    help="something between here and the server alters it: try later or from another network",
                )
        os.replace(partial, target)

    def _receive(
        self, url: str, partial: Path, label: str, size: int | None, validator: str | None, resume: bool, bar: Any
    ) -> None:
        """One attempt at the bytes that are still missing."""
        have = _size(partial) if resume else 0
        if size is not None and have > size:
            have = 0
        if have and have == size:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and validator:
            headers["If-Range"] = validator
        with self._answer("GET", url, headers) as response:
            if response.status_code == 416 or (response.status_code == 206 and not _continues(response, have, size)):
                partial.unlink(missing_ok=True)
                raise _Transient(f"{shown(url)} does not continue where it was asked to")
            if response.status_code not in (200, 206):
                raise Declined(url, response)
            if response.status_code == 200:
                have = 0
            rest = content_length(response)
            whole = size if size is not None or rest is None else have + rest
            free = check_space(partial.parent, (whole or 0) - have, label)
            limit = have + free - RESERVE if whole is None else whole
            bar.n = have
            with open(partial, "ab" if have else "wb") as stream:
                for block in self._blocks(response):
                    have += len(block)
                    if have > limit:
                        break
                    stream.write(block)
                    bar.update(len(block))
                stream.flush()
                os.fsync(stream.fileno())
        if have > limit:
            partial.unlink()
            bound = "fits on the disk" if whole is None else f"the {whole:,} bytes it announced"
            raise DownloadError(f"{shown(url)} sends more than {bound}")
        if whole is not None and have < whole:
            raise _Transient(f"{origin(url)} closed the connection after {have:,} of {whole:,} bytes")

    def _blocks(self, response: Response) -> Iterator[bytes]:
        """The body, as it comes in: what has arrived before a drop is not lost."""
        import urllib3

        read = getattr(response.raw, "read1", response.raw.read)
        since, arrived = time.monotonic(), 0
        try:
            while block := read(CHUNK, decode_content=True):
                yield block
                arrived += len(block)
                if time.monotonic() - since > self._timeout:
                    if arrived < SLOWEST:
                        raise _Transient(f"{origin(response.url)} sent {arrived} bytes in {self._timeout:g} s")
                    since, arrived = time.monotonic(), 0
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise _Transient(f"{origin(response.url)}: {_reason(problem)}") from problem

    def _answer(self, method: str, url: str, headers: dict[str, str], leave: bool = True) -> Response:
        """The first answer that is no redirect (or one to another origin, unless we may leave) nor asks us to wait."""
        for _ in range(HOPS):
            response = self._request(method, url, headers)
            if response.status_code in BUSY:
                response.close()
                raise _Transient(f"{origin(url)} answered {status_line(response)}", retry_after(response))
            if response.status_code not in REDIRECTS or "Location" not in response.headers:
                return response
            target = joined(url, response.headers["Location"])
            if origin(target) != origin(url) and not leave:
                return response
            if origin(url).startswith("https:") and not origin(target).startswith("https:"):
                raise DownloadError(f"{shown(url)} redirects to an unprotected address, {shown(target)}")
            response.close()
            url = target
        raise DownloadError(f"{shown(url)}: more than {HOPS} redirects")

    def _request(self, method: str, url: str, headers: dict[str, str]) -> Response:
        import ssl

        import requests
        import urllib3

        headers = {"User-Agent": "modelwright", "Accept-Encoding": "identity", **headers}
        try:
            return self._session.request(
                method, url, headers=headers, auth=self._authorise, timeout=self._timeout, allow_redirects=False,
                stream=method == "GET",
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as problem:
            if isinstance(problem, ValueError):
                raise DownloadError(
                    f"cannot ask for {shown(url)} ({type(problem).__name__})",
                    help="check the address and the proxy settings",
                ) from problem
            if isinstance(_root(problem), ssl.SSLCertVerificationError):
                raise DownloadError(
                    f"{origin(url)} does not prove who it is: {_reason(problem)}",
                    help="behind a company proxy, set REQUESTS_CA_BUNDLE to its certificate file",
                ) from problem
            raise _Transient(f"{origin(url)}: {_reason(problem)}") from problem

    def _authorise(self, request: PreparedRequest) -> PreparedRequest:
        # Runs for each hop, and also keeps requests from putting ~/.netrc in the token's place.
        if self._token and origin(request.url or "") == self._home:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _retry(action: Callable[[], T], attempts: int, arrived: Callable[[], int] = lambda: 0) -> T:
    failures, most = 0, arrived()
    while True:
        try:
            return action()
        except _Transient as problem:
            now = arrived()
            failures, most = (1 if now >= most + PROGRESS else failures + 1), max(most, now)
            if failures >= attempts:
                raise Unreachable(problem.reason) from problem
            wait = PAUSE * 2 ** (failures - 1) if problem.wait is None else problem.wait
            time.sleep(min(wait, LONGEST_PAUSE))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _continues(response: Response, have: int, size: int | None) -> bool:
    """Whether a partial answer starts where ours ends, and ends where the whole does."""
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", ""))
    return bool(match) and int(match[1]) == have and (size is None or match[2] in ("*", str(size)))


def _root(problem: BaseException) -> BaseException:
    """The innermost network error, which alone says something readable."""
    from http.client import HTTPException

    found, at = problem, problem.__cause__ or problem.__context__
    while at is not None:
        found = at if isinstance(at, (OSError, HTTPException)) else found
        at = at.__cause__ or at.__context__
    return found


def _reason(problem: BaseException) -> str:
    from http.client import IncompleteRead

    root = _root(problem)
    if isinstance(root, IncompleteRead):
        return "the connection was closed too early"
    text = "no answer in time" if isinstance(root, TimeoutError) else getattr(root, "strerror", None) or str(root)
    return printable(text) or type(root).__name__
