"""From pieces back to text."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from .byte_alphabet import from_alphabet
from .cache import LONGEST, Cache

_CLEANUP = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"))
_CLEANUP_END = ((" 's", "'s"), (" 've", "'ve"), (" 're", "'re"))


class Decoder(Protocol):
    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        """The text of pieces, of which some may be `special` tokens."""


class WordPieceDecoder:
    """Joins pieces with blanks, except where `prefix` says that a word goes on; `cleanup` mends English punctuation
    piece by piece."""

    def __init__(self, *, prefix: str = "##", cleanup: bool = True) -> None:
        self.prefix, self.cleanup = prefix, cleanup
        self._following = Cache(self._follow, longest=LONGEST)

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        if not pieces:
            return ""
        return self._mended(pieces[0]) + "".join(map(self._following.__getitem__, pieces[1:]))

    def _follow(self, piece: str) -> str:
        return self._mended(piece[len(self.prefix):] if piece.startswith(self.prefix) else " " + piece)

    def _mended(self, piece: str) -> str:
        # Pieces alone also turn " do not" into " don't", which running text does not.
        return clean_up(piece, (*_CLEANUP, (" do not", " don't"), *_CLEANUP_END)) if self.cleanup else piece


class ByteLevelDecoder:
    """Joins the bytes of all pieces; what is no UTF-8 becomes the replacement character."""

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        return b"".join(map(from_alphabet, pieces)).decode("utf-8", "replace")


class SuffixDecoder:
    """Joins pieces; `suffix` is the end of a word."""

    def __init__(self, *, suffix: str = "</w>") -> None:
        self.suffix = suffix

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        words = [piece.replace(self.suffix, " ") for piece in pieces[:-1]]
        return "".join([*words, *(piece.replace(self.suffix, "") for piece in pieces[-1:])])


class BlankDecoder:
    """Joins pieces, `blank` in them for a blank; the first piece has none if `leading` is false."""

    def __init__(self, *, blank: str = "\u2581", leading: bool = False) -> None:
        self.blank, self.leading = blank, leading

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        if pieces and not self.leading:
            pieces = [pieces[0].replace(self.blank, ""), *pieces[1:]]
        return "".join(pieces).replace(self.blank, " ")


class JoinedDecoder:
    """Joins pieces with `joint`; after that each of `replace` becomes what it says, and the text is stripped."""

    def __init__(self, *, joint: str = " ", replace: dict[str, str] | None = None) -> None:
        self.joint, self.replace = joint, replace or {}

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        text = self.joint.join(pieces)
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return text.strip()


def clean_up(text: str, rules: tuple[tuple[str, str], ...] = _CLEANUP + _CLEANUP_END) -> str:
    """`text` without the blanks that tokenizing puts before punctuation and contractions."""
    for old, new in rules:
        text = text.replace(old, new)
    return text
