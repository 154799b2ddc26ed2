"""Public buckets of Google's storage: their addresses, and what is in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from ...errors import DownloadError
from .http_text import hex_digest, shown, whole_number

if TYPE_CHECKING:
    from .download import Client

STORAGE = "https://storage.googleapis.com"
PAGES, ON_A_PAGE, BYTES = 20, 1000, 1 << 22  # of a listing, at most


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing says of one file."""

    size: int | None
    digest: str | None  # md5 or CRC-32C in hex


def web_address(url: str) -> str:
    """A gs:// address as an https one; any other as it is."""
    scheme, _, path = url.partition("://")
    return f"{STORAGE}/{quote(unquote(path))}" if scheme == "gs" else url


def bucket_of(url: str) -> tuple[str, str] | None:
    """The bucket and the path in it (no slash at the end) of an https address; None if it is in no bucket."""
    if not url.startswith(f"{STORAGE}/"):
        return None
    bucket, _, path = url.removeprefix(f"{STORAGE}/").partition("?")[0].partition("/")
    return unquote(bucket), unquote(path).strip("/")


def list_folder(client: Client, bucket: str, path: str) -> dict[str, Listed]:
    """The files in a folder of a bucket, by their names below it. Names are the server's: whoever uses one checks it.

    DownloadError if it may not be listed, is no listing, or is longer than `PAGES` pages. Unreachable.
    """
    prefix = f"{path}/" if path else ""
    fields = "items(name,size,md5Hash,crc32c),nextPageToken"
    found: dict[str, Listed] = {}
    query = {"prefix": prefix, "maxResults": str(ON_A_PAGE), "fields": fields}
    for _ in range(PAGES):
        url = f"{STORAGE}/storage/v1/b/{quote(bucket, safe='')}/o?{urlencode(query)}"
        page = _object(client.read(url, BYTES), url)
        items = page.get("items", [])
        for item in items if isinstance(items, list) else []:
            name = item.get("name") if isinstance(item, dict) else None
            if isinstance(name, str) and name.startswith(prefix) and not name.endswith("/"):
                digest = hex_digest(item.get("md5Hash"), 16) or hex_digest(item.get("crc32c"), 4)
                found[name.removeprefix(prefix)] = Listed(whole_number(str(item.get("size"))), digest)
        token = page.get("nextPageToken")
        if not token:
            return found
        query["pageToken"] = str(token)
    raise DownloadError(
        f"the folder {path!r} of the bucket {bucket!r} has more than {PAGES * ON_A_PAGE:,} files",
        help="give the address of a folder inside it, or the prefix of the checkpoint",
    )


def _object(body: bytes, url: str) -> dict[str, Any]:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict):
        raise DownloadError(f"{shown(url)} answers with something that is no listing")
    return page
