"""The character maps of SentencePiece models, as `tokenizer.json` files hold them ("Precompiled")."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import regex

from .cache import LONGEST, Cache

_GRAPHEME = regex.compile(r"\X")
#: What may make a grapheme together with its neighbours; all other characters are graphemes by themselves.
_JOINING = regex.compile(r"[^\p{GCB=Other}\p{GCB=Control}\p{GCB=LF}\p{GCB=LV}\p{GCB=LVT}]")


class Precompiled:
    """A trie in a double array, and the texts its leaves point to. As in the reference, a short grapheme of which a
    beginning is in the map becomes what the shortest such stands for.

    A stretch between blanks mostly becomes the same wherever it stands; natural text repeats them.
    """

    def __init__(self, data: bytes) -> None:
        size = int.from_bytes(data[:4], "little")
        if size % 4 or size + 4 > len(data):
            raise ValueError("the character map is damaged")
        self._data = data
        self._units = memoryview(data[4:4 + size]).cast("I").tolist()
        self._texts = data[4 + size:]
        self._known = Cache(lambda key: self._search(key.encode("utf-8", "replace")), longest=LONGEST)
        self._becomes = Cache(self._grapheme, longest=LONGEST)
        self._within = Cache(self._places_within, longest=LONGEST)
        self._chunks = Cache(self._chunk, longest=LONGEST)
        self._places = Cache(self.moved, longest=LONGEST)
        self._blank = self._becomes[" "]
        self._same_ascii = {c for c in map(chr, range(128)) if self._becomes[c] == c and c != "\r"}

    def __reduce__(self) -> tuple[Any, ...]:
        return Precompiled, (self._data,)

    def normalize(self, text: str) -> str:
        chunks = list(map(self._chunks.__getitem__, text.split(" ")))
        return self._mapped(text) if None in chunks else self._blank.join(chunks)

    def align(self, text: str) -> tuple[str, Sequence[int]]:
        chunks = text.split(" ")
        parts = list(map(self._chunks.__getitem__, chunks))
        if None in parts:
            places = self.moved(text)
            return self._mapped(text), range(len(text)) if places is None else places
        moved = list(map(self._places.__getitem__, chunks))
        if len(self._blank) == 1 and moved.count(None) == len(moved):
            return self._blank.join(parts), range(len(text))
        origins: list[int] = []
        start = 0
        for chunk, places in zip(chunks, moved, strict=True):
            end = start + len(chunk)
            origins += range(start, end) if places is None else [start + place for place in places]
            origins += [end] * len(self._blank)
            start = end + 1
        return self._blank.join(parts), origins[:len(origins) - len(self._blank)]

    def between_blanks(self, chunk: str) -> str | None:
        """What a stretch without blanks becomes wherever it stands between blanks that stay; None if one of them
        makes a grapheme with it."""
        return self._chunk(chunk) if self._blank == " " else None

    def moved(self, text: str) -> Sequence[int] | None:
        """Where each character of what `text` becomes comes from; None if each stays where it was."""
        if self._same_ascii.issuperset(text):
            return None
        graphemes = _graphemes(text)
        parts = list(map(self._becomes.__getitem__, graphemes))
        if len(graphemes) == len(text) == sum(map(len, parts)) and "" not in parts:
            return None
        return [
            start + place
            for grapheme, start in zip(graphemes, accumulate(map(len, graphemes), initial=0), strict=False)
            for place in self._within[grapheme]
        ]

    def _chunk(self, chunk: str) -> str | None:
        if chunk.isascii():
            return chunk if self._same_ascii.issuperset(chunk) else self._mapped(chunk)
        if _JOINING.search(chunk):
            graphemes = _GRAPHEME.findall(f" {chunk} ")
            if graphemes[0] != " " or graphemes[-1] != " ":
                return None
        return self._mapped(chunk)

    def _mapped(self, text: str) -> str:
        return "".join(map(self._becomes.__getitem__, _graphemes(text)))

    def _grapheme(self, grapheme: str) -> str:
        whole = self._whole(grapheme)
        if whole is not None:
            return whole
        return "".join([c if (found := self._known[c]) is None else found for c in grapheme])

    def _places_within(self, grapheme: str) -> Sequence[int]:
        """Where each character of what a grapheme becomes comes from."""
        whole = self._whole(grapheme)
        if whole is not None:
            return tuple(min(place, len(grapheme) - 1) for place in range(len(whole)))
        return tuple(place for place, c in enumerate(grapheme) for _ in self._becomes[c])

    def _whole(self, grapheme: str) -> str | None:
        """What the map has for a grapheme that is short enough to be looked up, in at most five bytes."""
        short = len(grapheme) < 6 and len(grapheme.encode("utf-8", "replace")) < 6
        return self._known[grapheme] if short else None

    def _search(self, key: bytes) -> str | None:
        units = self._units
        node = _offset(units[0]) if units else 0
        for byte in key:
            node ^= byte
            if byte == 0 or node >= len(units) or units[node] & 0x800000FF != byte:
                return None
            leaf = units[node] >> 8 & 1
            node ^= _offset(units[node])
            if leaf:
                start = units[node] & 0x7FFFFFFF
                return self._texts[start:self._texts.index(0, start)].decode()
        return None


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 1 << 9) >> 6)


def _graphemes(text: str) -> Sequence[str]:
    """A text of characters that stand alone is itself the sequence of its graphemes."""
    if text.isascii():
        return _GRAPHEME.findall(text) if "\r\n" in text else text
    return _GRAPHEME.findall(text) if _JOINING.search(text) else text
