"""What the `pretrained:` sections of the specs say: names of checkpoints, and where their releases are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Pretrained(NamedTuple):
    """One place of a published checkpoint."""

    spec: str | None  # None: nobody has said
    format: str | None  # likewise
    target: str  # hub id or address
    files: tuple[str, ...] = ()  # names below the address, or addresses; with `?` behind what may be missing
    hparams: Mapping[str, Any] = {}  # what the release does not store
    tokenizer: Mapping[str, Any] = {}  # options that its files do not say
    sha256: Mapping[str, str] = {}  # name of a file -> 64 hex digits

    @property
    def is_release(self) -> bool:
        """Whether it is at an address rather than on the hub."""
        return "://" in self.target


def places(spec: str, entry: Mapping[str, Any]) -> list[Pretrained]:
    """Where one checkpoint of a spec is, in the order in which its entry says so."""
    found = []
    for format, release in entry.items():
        if format != "about":
            said = {"at": release} if isinstance(release, str) else release
            rest = (dict(said.get(key) or {}) for key in ("hparams", "tokenizer", "sha256"))
            found.append(Pretrained(spec, format, said["at"], tuple(said.get("files") or ()), *rest))
    return found
