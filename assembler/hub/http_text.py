"""What addresses and headers say, read with suspicion."""

from __future__ import annotations

import base64
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from ...errors import DownloadError

if TYPE_CHECKING:
    from requests import Response

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def origin(url: str) -> str:
    """Scheme, host and port; DownloadError unless it is an http(s) address."""
    try:
        parts = urlsplit(url)
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = parts.port or usual
    except (ValueError, KeyError):
        raise DownloadError(f"`{shown(url)}` is not an http or https address") from None
    if not parts.hostname:
        raise DownloadError(f"`{shown(url)}` names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port == usual else f":{port}")


def joined(url: str, location: str) -> str:
    """The address a redirect leads to."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise DownloadError(f"{shown(url)} redirects to a malformed address") from None


def shown(url: str) -> str:
    """The address without what may be secret in it (user, password, signature) or garble a terminal."""
    address = re.sub(r"^([a-z]+://)[^/]*@", r"\1", re.split(r"[?#]", url, maxsplit=1)[0])
    return printable(address)


def printable(text: str) -> str:
    """What a server says, fit for a terminal."""
    return "".join(c for c in text[:300] if c.isprintable())


def status_line(response: Response) -> str:
    """Such as `404 Not Found`."""
    return f"{response.status_code} {_PHRASES.get(response.status_code, '')}".strip()


def content_length(response: Response) -> int | None:
    """Bytes of the body, if the server says and does not compress them."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    return whole_number(response.headers.get("Content-Length"))


def announced_digest(response: Response) -> str | None:
    """The checksum of the whole that a store announces beside it, in hex: md5, or else CRC-32C; None if it does not."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    sums = dict(part.strip().partition("=")[::2] for part in response.headers.get("X-Goog-Hash", "").split(","))
    sums.setdefault("md5", response.headers.get("Content-MD5", ""))
    return hex_digest(sums["md5"], 16) or hex_digest(sums.get("crc32c", ""), 4)


def hex_digest(text: object, size: int) -> str | None:
    """A checksum of `size` bytes in base64 as hex; None if it is none."""
    try:
        value = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return None
    return value.hex() if len(value) == size else None


def whole_number(text: str | None) -> int | None:
    """A header's number of bytes; None if it is none."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def retry_after(response: Response) -> float | None:
    """The seconds that the server asks us to wait, if it does."""
    text = response.headers.get("Retry-After", "")
    if (seconds := whole_number(text)) is not None:
        return float(seconds)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
