"""Encoded sequences to rows: truncation, special tokens, padding."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import TokenizerError
from .batch import Part, Row, combinations, truncated, windows
from .call import Limits
from .sequence import EncodedSequence
from .settings import Settings
from .template import Template
from .vocabulary import ROLES, Vocabulary

Layout = list[tuple[int | None, int, list[int]]]


class Rows:
    """The rows of one call. `samples` are one or two sequences each; `stride`: how many tokens windows share;
    `overflow`: whether the windows that truncation leaves out become rows, too; `special`: with special tokens."""

    def __init__(
        self, vocabulary: Vocabulary, template: Template, settings: Settings, limit: Limits, *, stride: int = 0,
        overflow: bool = False, special: bool = True,
    ) -> None:
        self._vocabulary, self._template, self._settings = vocabulary, template, settings
        self._limit, self._stride, self._overflow = limit, stride, overflow
        self._layouts = [self._layout(pair, special) for pair in (False, True)]

    def make(self, samples: Sequence[tuple[EncodedSequence, ...]]) -> tuple[list[Row], list[int]]:
        """The rows, and the number of the sample each belongs to."""
        rows: list[Row] = []
        owners: list[int] = []
        for number, sequences in enumerate(samples):
            layout = self._layouts[len(sequences) - 1]
            if self._limit.truncation is None:
                rows.append(_row(sequences, None, layout))
                owners.append(number)
                continue
            made = self._truncated(sequences, layout)
            rows += made
            owners += [number] * len(made)
        return rows, owners

    def around(self) -> tuple[list[int], list[int]] | None:
        """The ids before and behind each single sequence; None if more is done to it than to put these around it."""
        layout = self._layouts[0]
        places = [place for place, (sequence, _, _) in enumerate(layout) if sequence is not None]
        if self._limit.truncation is not None or self._limit.padding is not None or len(places) != 1:
            return None
        before, after = layout[:places[0]], layout[places[0] + 1:]
        return [number for *_, ids in before for number in ids], [number for *_, ids in after for number in ids]

    def pad(self, rows: list[Row], owners: list[int], multiple: int | None, side: str) -> None:
        """To the length of the longest first row of a sample, or to the one that is asked for."""
        pad_id = self._vocabulary.role_id("pad_token")
        if pad_id is None:
            raise TokenizerError(
                "padding needs a padding token, and this tokenizer has none",
                help="choose one: tokenizer.pad_token = …, or add_special_tokens({'pad_token': '[PAD]'})",
            )
        kept = (rows[index] for index, owner in enumerate(owners) if index == 0 or owners[index - 1] != owner)
        length = self._limit.max_length if self._limit.padding == "max_length" else max(map(len, kept), default=0)
        if multiple:
            length = -(-length // multiple) * multiple
        for row in rows:
            row.pad(length, pad_id, self._settings.pad_token_type_id, side)

    def _layout(self, pair: bool, special: bool) -> Layout:
        """What a row is made of: (sequence, type, ids of special tokens)."""
        return [
            (piece.sequence, piece.type_id, [] if piece.sequence is not None else [self._template_id(piece.token)])
            for piece in self._template.pieces(pair) if special or piece.sequence is not None
        ]

    def _template_id(self, name: str) -> int:
        token = self._vocabulary.roles[name] if name in ROLES else name
        number = None if token is None else self._vocabulary.id_of(token)
        if number is None:
            raise TokenizerError(
                f"the template needs `{name}`, which this tokenizer does not have", help="or add_special_tokens=False"
            )
        return number

    def _truncated(self, sequences: tuple[EncodedSequence, ...], layout: Layout) -> list[Row]:
        sizes = [len(sequence.ids) for sequence in sequences]
        added = len(layout) - len(sizes)
        room = self._limit.max_length - added
        if room < 0:
            raise TokenizerError(
                f"max_length={self._limit.max_length} is too small for the {added} special tokens",
                help="use a larger max_length, or add_special_tokens=False",
            )
        if self._stride and self._stride >= room:
            raise TokenizerError(
                f"stride={self._stride} is too large: max_length={self._limit.max_length} leaves room for {room}"
                " tokens",
                help="the stride must be below max_length less the special tokens",
            )
        keep = truncated(sizes, room, self._limit.truncation, odd=0 if self._settings.python else 1)
        if keep == sizes:
            return [_row(sequences, None, layout)]
        cut = [
            windows(size, length, self._stride, self._settings.truncation_side)
            for size, length in zip(sizes, keep, strict=True)
        ]
        chosen = combinations(*cut) if len(cut) == 2 else [(window,) for window in cut[0]]
        return [_row(sequences, window, layout) for window in (chosen if self._overflow else chosen[:1])]


def _row(
    sequences: tuple[EncodedSequence, ...], window: tuple[tuple[int, int], ...] | None, layout: Layout
) -> Row:
    parts: list[Part] = []
    for sequence, type_id, special in layout:
        if sequence is None:
            parts.append(Part(special, type_id))
        elif window is None:
            parts.append(Part(sequences[sequence].ids, type_id, sequence))
        else:
            start, end = window[sequence]
            parts.append(Part(sequences[sequence].ids[start:end], type_id, sequence, start))
    return Row(sequences, parts)
