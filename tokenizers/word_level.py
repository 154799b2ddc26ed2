"""Words as they are: one id each."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import TokenizerError


class WordLevel:
    """The id of a word in `vocabulary`, or that of `unknown`. TokenizerError if `unknown` is not there."""

    def __init__(self, vocabulary: Mapping[str, int], *, unknown: str | None = None) -> None:
        if unknown is not None and unknown not in vocabulary:
            raise TokenizerError(
                f"the unknown token `{unknown}` is not in the vocabulary of {len(vocabulary)} words",
                help="is this the right vocabulary file? `unk_token=…` names another token",
            )
        self._ids, self._unknown = vocabulary, () if unknown is None else (vocabulary[unknown],)

    def ids(self, word: str) -> tuple[int, ...]:
        number = self._ids.get(word)
        return self._unknown if number is None else (number,)

    def cut(self, word: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        ids = self.ids(word)
        return ids, ((0, len(word)),) * len(ids)
