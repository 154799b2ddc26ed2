"""Which lengths are worth trying where the longest piece is looked for."""

from __future__ import annotations

from collections.abc import Iterable

HEAD = 3
SHORT = (2, 1)


def lengths_by_head(pieces: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The lengths of pieces by their first `HEAD` characters, the longest first; where there is no entry, `SHORT`."""
    found: dict[str, set[int]] = {}
    for piece in pieces:
        if len(piece) >= HEAD:
            found.setdefault(piece[:HEAD], {*SHORT}).add(len(piece))
    return {head: tuple(sorted(lengths, reverse=True)) for head, lengths in found.items()}
