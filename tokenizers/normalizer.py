"""Text clean-up before it is cut into words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .cache import Cache
from .unicode_tables import (
    CONTROL,
    IDEOGRAPH,
    KEPT_COMBINING,
    NONSPACING_MARK,
    WHITE_SPACE,
    combining_class,
    decompose,
    lower,
)


class BasicNormalizer:
    """Works character by character, so that it is one table: what each character becomes.

    * `clean_text` drops control characters and makes each white space a blank,
    * `cjk_spaces` puts blanks around ideographs,
    * `strip_accents` decomposes and drops nonspacing marks (None: as `lowercase`),
    * `lowercase` maps each character to its lower case.

    Only where combining marks change places (`context`) does a neighbour matter. Normalizing twice changes nothing
    but the number of blanks. Lone surrogates count as control characters.
    """

    def __init__(
        self, *, clean_text: bool = True, cjk_spaces: bool = True, strip_accents: bool | None = None,
        lowercase: bool = True,
    ) -> None:
        self.clean_text = clean_text
        self.cjk_spaces = cjk_spaces
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.lowercase = lowercase
        self.table = Cache(self._replacement)
        self.context = re.compile(f"[{KEPT_COMBINING.pattern()}]") if self.strip_accents else None

    def replacement(self, character: str) -> str:
        """What this character becomes: nothing, one character or several."""
        if self.clean_text:
            if character in "\t\n\r":
                return " "
            if character in CONTROL:
                return ""
            if character in WHITE_SPACE:
                return " "
        result = character
        if self.strip_accents:
            result = "".join(part for part in decompose(character) if part not in NONSPACING_MARK)
        if self.lowercase:
            result = "".join(map(lower, result))
        return f" {result} " if self.cjk_spaces and character in IDEOGRAPH else result

    def _replacement(self, point: int) -> str:
        return self.replacement(chr(point))

    def normalize(self, text: str) -> str:
        if self.context is not None and self.context.search(text):
            return self.align(text)[0]
        return text.translate(self.table)

    def align(self, text: str) -> tuple[str, Sequence[int]]:
        """The normalized text and, for each of its characters, the index of the one it came from."""
        if self.context is not None and self.context.search(text):
            source = self._in_canonical_order(text)
        else:
            source = zip(text, range(len(text)), strict=True)
        parts: list[str] = []
        origins: list[int] = []
        table = self.table
        for character, origin in source:
            part = table[ord(character)]
            parts.append(part)
            origins.extend([origin] * len(part))
        return "".join(parts), origins

    def _in_canonical_order(self, text: str) -> list[tuple[str, int]]:
        """Decomposed, marks sorted. As in the reference, what moves takes the position of what it replaces: the n-th
        character that is not the tail of a decomposition belongs to the n-th character of the text."""
        origins = [i for i, c in enumerate(text) if not (self.clean_text and c not in "\t\n\r" and c in CONTROL)]
        moved: list[tuple[str, bool]] = []
        run: list[tuple[int, str, bool]] = []
        for origin in origins:
            for number, part in enumerate(decompose(text[origin])):
                order = combining_class(part)
                if order == 0:
                    moved += [(c, head) for _, c, head in sorted(run, key=lambda item: item[0])]
                    run.clear()
                run.append((order, part, number == 0))
        moved += [(c, head) for _, c, head in sorted(run, key=lambda item: item[0])]
        result: list[tuple[str, int]] = []
        position = -1
        for character, head in moved:
            position += head
            result.append((character, origins[position]))
        return result
