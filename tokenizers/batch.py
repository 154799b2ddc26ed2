"""Sequences to rows of equal form: truncation with its overflow windows, the template, padding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import TokenizerError
from .sequence import EncodedSequence

STRATEGIES = ("longest_first", "only_first", "only_second")
Window = tuple[int, int]


@dataclass(slots=True)
class Part:
    """A stretch of a row: `ids`, all of one type. `sequence` 0 or 1 tells whose tokens [start, start + len(ids))
    they are; None stands for special tokens and padding."""

    ids: list[int]
    type_id: int
    sequence: int | None = None
    start: int = 0
    attended: int = 1


@dataclass(slots=True)
class Row:
    """One row of a batch, of `parts` taken from `sequences`."""

    sequences: tuple[EncodedSequence, ...]
    parts: list[Part] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(part.ids) for part in self.parts)

    def ids(self) -> list[int]:
        return _joined([part.ids for part in self.parts])

    def type_ids(self) -> list[int]:
        return _joined([part.type_id] * len(part.ids) for part in self.parts)

    def attention_mask(self) -> list[int]:
        return _joined([part.attended] * len(part.ids) for part in self.parts)

    def special_tokens_mask(self) -> list[int]:
        return _joined([int(part.sequence is None)] * len(part.ids) for part in self.parts)

    def sequence_ids(self) -> list[int | None]:
        return _joined([part.sequence] * len(part.ids) for part in self.parts)

    def offsets(self) -> list[tuple[int, int]]:
        return _joined(
            [(0, 0)] * len(part.ids) if part.sequence is None
            else self.sequences[part.sequence].details.offsets[part.start:part.start + len(part.ids)]
            for part in self.parts
        )

    def word_ids(self) -> list[int | None]:
        return _joined(
            [None] * len(part.ids) if part.sequence is None
            else self.sequences[part.sequence].details.words[part.start:part.start + len(part.ids)]
            for part in self.parts
        )

    def pad(self, length: int, pad_id: int, type_id: int, side: str) -> None:
        missing = length - len(self)
        if missing > 0:
            padding = Part([pad_id] * missing, type_id, attended=0)
            self.parts.insert(0 if side == "left" else len(self.parts), padding)


def _joined(stretches: Iterable[list]) -> list:
    result: list = []
    for stretch in stretches:
        result += stretch
    return result


def windows(size: int, length: int, stride: int, side: str) -> list[Window]:
    """`size` tokens in windows of at most `length`, each sharing `stride` tokens with the one before; the first is
    the one to keep, at the start, or with `side` left at the end. TokenizerError if they could not advance."""
    if size <= length:
        return [(0, size)]
    if length == 0:
        return [(0, 0), (0, size)]
    if stride >= length:
        raise TokenizerError(
            f"a stride of {stride} tokens leaves no way forward in windows of {length}",
            help="the stride must be below max_length less the special tokens and the other sequence",
        )
    result: list[Window] = []
    for shift in range(0, size, length - stride):
        if side == "left":
            result.append((max(0, size - shift - length), size - shift))
        else:
            result.append((shift, min(size, shift + length)))
        if shift + length >= size:
            break
    return result


def truncated(sizes: list[int], room: int, strategy: str, odd: int = 1) -> list[int]:
    """How many tokens of each of one or two sequences stay, so that they fit into `room`. If both are cut and do not
    get equally many, sequence `odd` has one more."""
    excess = sum(sizes) - room
    if excess <= 0:
        return sizes
    if room == 0:
        return [0] * len(sizes)
    if strategy == "longest_first":
        if len(sizes) == 1:
            return [room]
        # The shorter one stays whole if it fits into half of the room.
        short = min(sizes)
        if short <= room - short:
            return [short, room - short] if sizes[0] <= sizes[1] else [room - short, short]
        more = odd if odd == 0 or sizes[0] <= sizes[1] else 0
        return [room - room // 2, room // 2] if more == 0 else [room // 2, room - room // 2]
    which = STRATEGIES.index(strategy) - 1
    if which >= len(sizes):
        raise TokenizerError("truncation='only_second' needs a text_pair", help="use truncation='only_first' or True")
    if sizes[which] <= excess:
        raise TokenizerError(
            f"{excess} tokens are too many, but truncation='{strategy}' may only cut a sequence of {sizes[which]}",
            help="use truncation=True (longest_first), or a larger max_length",
        )
    return [size - excess if number == which else size for number, size in enumerate(sizes)]


def combinations(first: list[Window], second: list[Window]) -> list[tuple[Window, Window]]:
    """Pairs of windows: the kept pair in front, then the overflow of the first sequence with each window of the
    second, then the kept first with the overflow of the second."""
    overflow = [(a, b) for a in first[1:] for b in second]
    return [(first[0], second[0]), *overflow, *((first[0], b) for b in second[1:])]
