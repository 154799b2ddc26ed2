"""The text clean-up that some SentencePiece models were trained after."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\S+")


class TidyNormalizer:
    """* `squeeze_spaces`: white space at the ends goes, and between words it is one blank,
    * two backticks or apostrophes are a double quote,
    * `keep_accents`: if not, characters are decomposed (NFKD) and combining ones dropped,
    * `lowercase`.
    """

    def __init__(
        self, *, squeeze_spaces: bool = True, keep_accents: bool = False, lowercase: bool = False
    ) -> None:
        self.squeeze_spaces, self.keep_accents, self.lowercase = squeeze_spaces, keep_accents, lowercase

    def normalize(self, text: str) -> str:
        if self.squeeze_spaces:
            text = " ".join(text.split())
        text = text.replace("``", '"').replace("''", '"')
        if not self.keep_accents and not text.isascii():
            text = "".join([c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)])
        return text.lower() if self.lowercase else text

    def align(self, text: str) -> tuple[str, Sequence[int]]:
        normalized = self.normalize(text)
        if normalized == text:
            return text, range(len(text))
        origins: list[int] = [*range(len(text))]
        if self.squeeze_spaces:
            origins = []
            for match in _WORD.finditer(text):
                origins += ([match.start() - 1] if origins else []) + [*range(*match.span())]
            text = " ".join(text.split())
        for quotes in ("``", "''"):
            dropped = {match.start() + 1 for match in re.finditer(quotes, text)}
            if dropped:
                origins = [origin for index, origin in enumerate(origins) if index not in dropped]
                text = text.replace(quotes, '"')
        if not self.keep_accents:
            parts = ["".join(c for c in unicodedata.normalize("NFKD", c) if not unicodedata.combining(c)) for c in text]
            origins = [origin for origin, part in zip(origins, parts, strict=True) for _ in part]
            text = "".join(parts)
        if self.lowercase:
            origins = [origin for origin, c in zip(origins, text, strict=True) for _ in c.lower()]
        return normalized, origins
