"""Bytes written as 256 printable characters, so that a vocabulary over bytes can be a text file."""

from __future__ import annotations

from collections.abc import Sequence


def _alphabet() -> list[str]:
    """Latin-1 characters that print stand for themselves; the others get the code points from 256, in their order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


ALPHABET = _alphabet()
SPACE = ALPHABET[0x20]
_BYTES = {character: byte for byte, character in enumerate(ALPHABET)}
_WRITTEN = dict(enumerate(ALPHABET))
_SWAPPED = {**_WRITTEN, **{ord(character): chr(byte) for byte, character in enumerate(ALPHABET)}}


def to_alphabet(text: str | bytes) -> str:
    """The UTF-8 bytes of a text, one character each. A lone surrogate counts as a question mark."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return data.decode("latin-1").translate(_WRITTEN)


def to_latin(pieces: Sequence[str]) -> list[str]:
    """Pieces with each byte as the character of Latin-1; what is no byte is none of these characters either."""
    written = "\n".join(pieces).translate(_SWAPPED).split(ALPHABET[ord("\n")])
    return written if len(written) == len(pieces) else [piece.translate(_SWAPPED) for piece in pieces]


def from_alphabet(piece: str) -> bytes:
    """Back to bytes; a piece with a character of no byte, which an added token may have, is itself."""
    try:
        return bytes(map(_BYTES.__getitem__, piece))
    except KeyError:
        return piece.encode("utf-8", "replace")
