"""Where normalized text is cut into words."""

from __future__ import annotations

from .unicode_tables import PUNCTUATION, WHITE_SPACE


class WhitespacePunctuation:
    """Words end at white space; each punctuation mark is a word of its own."""

    def separates(self, character: str) -> bool:
        """Whether this character lies between words and belongs to none."""
        return character in WHITE_SPACE

    def isolates(self, character: str) -> bool:
        """Whether this character is a word by itself."""
        return character in PUNCTUATION
