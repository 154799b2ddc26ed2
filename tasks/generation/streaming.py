"""Text piece by piece, as it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...assembler.model import Model
from .call import tokens
from .text import inputs_of

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


def stream(model: Model, tokenizer: Any, prompt: str | None, **options: Any) -> Iterator[str]:
    """What the model writes after `prompt` (or about it, with an encoder), in pieces as soon as they are certain.

    None of them ends within a character; together they are the decoded text, special tokens left out. `options` are
    those of `generate`. UsageError, with the first piece.
    """
    inputs = {} if prompt is None else inputs_of(model, tokenizer, [prompt])

    def decode(ids: list[int]) -> str:
        return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    return pieces(tokens(model, inputs | {"tokenizer": tokenizer} | options), decode)


def pieces(tokens: Iterable[int], decode: Callable[[list[int]], str]) -> Iterator[str]:
    """Decoded text of `tokens` in pieces, none of which ends within a character.

    A few tokens are decoded again with each new one, since a token's text may depend on the one before.
    """
    ids: list[int] = []
    start = shown = 0  # ids from `start` on are decoded; those before `shown` have been given out
    for token in tokens:
        ids.append(token)
        before, text = decode(ids[start:shown]), decode(ids[start:])
        if len(text) > len(before) and not text.endswith(INCOMPLETE):
            yield text[len(before) :]
            start, shown = shown, len(ids)
    rest = decode(ids[start:])[len(decode(ids[start:shown])) :]
    if rest:
        yield rest
