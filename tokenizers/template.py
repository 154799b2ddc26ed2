"""How special tokens are put around one sequence or a pair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import TokenizerError

_SEQUENCE = re.compile(r"\$([AB])(?::(\d+))?")
_TOKEN = re.compile(r"(.+?)(?::(\d+))?")


@dataclass(frozen=True, slots=True)
class TemplatePiece:
    """A place in a template: sequence 0 or 1, or else a token (by its role, such as `sep_token`, if it has one)."""

    type_id: int
    sequence: int | None = None
    token: str = ""


class Template:
    """`"[CLS] $A [SEP] $B:1 [SEP]:1"`: pieces between blanks, `:n` their type id (0 if absent).

    `roles` maps the tokens a template may name to their roles, so that a tokenizer with another separator uses its
    own. `bos` and `eos`: whether the tokens of these roles are put there. TokenizerError for a template without its
    sequences.
    """

    def __init__(
        self, *, single: str = "$A", pair: str = "$A $B:1", roles: Mapping[str, str] | None = None, bos: bool = True,
        eos: bool = True,
    ) -> None:
        left_out = {role for role, wanted in (("bos_token", bos), ("eos_token", eos)) if not wanted}
        self.single, self.pair = (
            tuple(piece for piece in _parse(name, text, sequences, roles or {}) if piece.token not in left_out)
            for name, text, sequences in (("single", single, (0,)), ("pair", pair, (0, 1)))
        )

    @classmethod
    def of(cls, single: Iterable[TemplatePiece], pair: Iterable[TemplatePiece]) -> Template:
        """From pieces, which may be tokens with blanks in them."""
        made = cls()
        made.single, made.pair = tuple(single), tuple(pair)
        return made

    def pieces(self, pair: bool) -> tuple[TemplatePiece, ...]:
        return self.pair if pair else self.single

    def tokens(self) -> set[str]:
        """Roles and tokens that are named."""
        return {piece.token for piece in self.single + self.pair if piece.sequence is None}

    def added(self, pair: bool) -> int:
        """How many tokens it adds."""
        return sum(piece.sequence is None for piece in self.pieces(pair))


def _parse(name: str, text: str, sequences: tuple[int, ...], roles: Mapping[str, str]) -> tuple[TemplatePiece, ...]:
    pieces = []
    for word in text.split():
        if match := _SEQUENCE.fullmatch(word):
            pieces.append(TemplatePiece(int(match[2] or 0), sequence="AB".index(match[1])))
        elif word.startswith("$"):
            raise TokenizerError(f"`{word}` in the template `{name}: {text}` is no sequence", help="$A, $B or $B:1")
        else:
            match = _TOKEN.fullmatch(word)
            pieces.append(TemplatePiece(int(match[2] or 0), token=roles.get(match[1], match[1])))
    if tuple(sorted(piece.sequence for piece in pieces if piece.sequence is not None)) != sequences:
        wanted = " and ".join(f"${'AB'[number]}" for number in sequences)
        raise TokenizerError(f"the template `{name}: {text}` must hold {wanted}, once each")
    return tuple(pieces)
