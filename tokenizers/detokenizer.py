"""Ids back to text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import TokenizerError
from .decoder import Decoder
from .vocabulary import Vocabulary


class Detokenizer:
    """Added tokens stand apart where `apart` says so: `all` of them, or the `extra` ones, between blanks. They do not
    go through the decoder then."""

    def __init__(self, vocabulary: Vocabulary, decoder: Decoder, apart: str | None = None) -> None:
        self._vocabulary, self._decoder, self._apart = vocabulary, decoder, apart

    def text(self, ids: Iterable[Any], skip_special: bool, spaces: bool) -> str:
        """Ids that stand for nothing are left out, with `skip_special` those of special tokens too; `spaces`: between
        tokens that stand apart."""
        added = self._vocabulary.added.by_id
        skipped = {number for number, token in added.items() if token.special} if skip_special else ()
        tokens = [self._vocabulary.token_of(checked_id(number)) for number in ids if number not in skipped]
        return self._decoded([token for token in tokens if token is not None], spaces)

    def _decoded(self, tokens: list[str], spaces: bool) -> str:
        special = set(self._vocabulary.special_tokens())
        if self._apart is None:
            return self._decoder.decode(tokens, special)
        alone = set(self._vocabulary.added.ids)
        if self._apart == "extra":
            beyond = {token for token in self._vocabulary.extra_special if token not in self._vocabulary.ids}
            alone = (alone - special) | beyond
        parts: list[str] = []
        waiting: list[str] = []
        for token in tokens:
            if token not in alone:
                waiting.append(token)
                continue
            if waiting and (text := self._decoder.decode(waiting, special)):
                parts.append(text)
            waiting = []
            parts.append(token)
        if waiting:
            parts.append(self._decoder.decode(waiting, special))
        return (" " if spaces and self._apart == "extra" else "").join(parts)


def checked_id(number: Any) -> int:
    try:
        return int(number)
    except (TypeError, ValueError):
        raise TokenizerError(f"{number!r} is no id", help="give a list or a tensor of ids") from None
