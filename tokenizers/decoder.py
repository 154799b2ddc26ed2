"""From pieces back to text."""

from __future__ import annotations

from .cache import Cache

_CLEANUP = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"))
_CLEANUP_END = ((" 's", "'s"), (" 've", "'ve"), (" 're", "'re"))


class WordPieceDecoder:
    """Joins pieces with blanks, except where `prefix` says that a word goes on; `cleanup` mends English punctuation
    piece by piece."""

    def __init__(self, *, prefix: str = "##", cleanup: bool = True) -> None:
        self.prefix, self.cleanup = prefix, cleanup
        self._following = Cache(self._follow, longest=64)

    def decode(self, pieces: list[str]) -> str:
        if not pieces:
            return ""
        return self._mended(pieces[0]) + "".join(map(self._following.__getitem__, pieces[1:]))

    def _follow(self, piece: str) -> str:
        return self._mended(piece[len(self.prefix):] if piece.startswith(self.prefix) else " " + piece)

    def _mended(self, piece: str) -> str:
        # Pieces alone also turn " do not" into " don't", which running text does not.
        return clean_up(piece, (*_CLEANUP, (" do not", " don't"), *_CLEANUP_END)) if self.cleanup else piece


def clean_up(text: str, rules: tuple[tuple[str, str], ...] = _CLEANUP + _CLEANUP_END) -> str:
    """`text` without the blanks that tokenizing puts before punctuation and contractions."""
    for old, new in rules:
        text = text.replace(old, new)
    return text
