"""Decoders that `tokenizer.json` files name, as steps from pieces to pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence

from .byte_alphabet import from_alphabet
from .decoder import Decoder
from .split_patterns import SplitPattern

Step = Callable[[list[str]], list[str]]
_BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")


class DecoderChain:
    """One step after the other; then the pieces are joined by `joint`."""

    def __init__(self, steps: Sequence[Step], joint: str = "") -> None:
        self.steps, self.joint = list(steps), joint

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        for step in self.steps:
            pieces = step(pieces)
        return self.joint.join(pieces)


class Whole:
    """A decoder that makes one text of the pieces, as a step."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def __call__(self, pieces: list[str]) -> list[str]:
        return [self._decoder.decode(pieces)]


class Blank:
    """`blank` is a blank; none in the first piece unless `leading`."""

    def __init__(self, blank: str, leading: bool) -> None:
        self._blank, self._leading = blank, leading

    def __call__(self, pieces: list[str]) -> list[str]:
        first = " " if self._leading else ""
        return [piece.replace(self._blank, " " if number else first) for number, piece in enumerate(pieces)]


class Substitute:
    """What `pattern` matches becomes `content`, in each piece."""

    def __init__(self, pattern: SplitPattern, content: str) -> None:
        self._pattern, self._content = pattern, content

    def __call__(self, pieces: list[str]) -> list[str]:
        return [self._pattern.sub(self._content, piece) for piece in pieces]


class StripCharacter:
    """Takes up to `start` times a character off the front of each piece, `stop` times off its end."""

    def __init__(self, character: str, start: int, stop: int) -> None:
        self._character, self._start, self._stop = character, start, stop

    def __call__(self, pieces: list[str]) -> list[str]:
        return list(map(self._stripped, pieces))

    def _stripped(self, piece: str) -> str:
        start = min(len(piece) - len(piece.lstrip(self._character)), self._start)
        end = len(piece) - min(len(piece) - len(piece.rstrip(self._character)), self._stop)
        return piece[start:max(start, end)]


def fuse(pieces: list[str]) -> list[str]:
    return ["".join(pieces)]


def join_bytes(pieces: list[str]) -> list[str]:
    """Runs of byte pieces become text; those that are no UTF-8 a replacement character each."""
    result: list[str] = []
    held: list[int] = []
    for piece in [*pieces, ""]:
        if match := _BYTE.fullmatch(piece):
            held.append(int(match[1], 16))
            continue
        if held:
            try:
                result.append(bytes(held).decode())
            except UnicodeDecodeError:
                result += ["\ufffd"] * len(held)
            held = []
        result.append(piece)
    return result[:-1]


def bytes_to_text(pieces: list[str]) -> list[str]:
    return [b"".join(map(from_alphabet, pieces)).decode("utf-8", "replace")]
