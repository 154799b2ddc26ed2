"""Bytes written as 256 printable characters, so that a vocabulary over bytes can be a text file."""

from __future__ import annotations

import codecs


def _alphabet() -> list[str]:
    """Latin-1 characters that print stand for themselves; the others get the code points from 256, in their order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


ALPHABET = _alphabet()
_WRITTEN = "".join(ALPHABET)
_LATER = bytes(range(0x80, 0xC0))  # bytes that do not begin a character
_BYTES = codecs.charmap_build(_WRITTEN)


def to_alphabet(text: str | bytes) -> str:
    """The UTF-8 bytes of a text, one character each. A lone surrogate counts as a question mark."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return codecs.charmap_decode(data, "strict", _WRITTEN)[0]


def from_alphabet(piece: str) -> bytes:
    """Back to bytes; a piece with a character of no byte, which an added token may have, is itself."""
    try:
        return codecs.charmap_encode(piece, "strict", _BYTES)[0]
    except UnicodeEncodeError:
        return piece.encode("utf-8", "replace")


def characters_begun(piece: str) -> int:
    """How many characters begin in a piece."""
    return len(from_alphabet(piece).translate(None, _LATER))


def begins_inside(piece: str) -> bool:
    """Whether a piece begins inside of a character."""
    return from_alphabet(piece)[0] in _LATER
