"""Words back to text as the Moses script does it (`detokenizer.perl` of github.com/moses-smt/mosesdecoder)."""

from __future__ import annotations

import re
from collections.abc import Container

from .moses_tables import ALPHABETIC, CJK, CURRENCY

_ENTITIES = (
    ("&bar;", "|"), ("&#124;", "|"), ("&lt;", "<"), ("&gt;", ">"), ("&bra;", "["), ("&ket;", "]"), ("&quot;", '"'),
    ("&apos;", "'"), ("&#91;", "["), ("&#93;", "]"), ("&amp;", "&"),
)
_OPENING = re.compile(rf"[{CURRENCY.pattern()}(\[{{¿¡]+")
_CLOSING = re.compile(r"[,.?!:;\\%}\])]+")
_CONTRACTION = re.compile(f"'[{ALPHABETIC.pattern()}]")
_QUOTE = re.compile("['\"„“`]+")
_NUMBER_SIGN = re.compile(" @([,.])@ ")


class MosesDecoder:
    """Joins words by the rules for English: marks go to the word they belong to, quotes open and close by turns, and
    what was split at dashes and within numbers is whole again."""

    def decode(self, pieces: list[str], special: Container[str] = ()) -> str:
        text = f" {' '.join(pieces)} ".replace(" @-@ ", "-")
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
        words = text.split()
        parts: list[str] = []
        blank = " "
        quotes: dict[str, int] = {}
        for index, word in enumerate(words):
            before = words[index - 1] if index else ""
            glued, blank_after = False, " "
            if word[0] in CJK:
                glued = bool(before) and before[-1] in CJK
            elif _OPENING.fullmatch(word):
                blank_after = ""
            elif _CLOSING.fullmatch(word) or (before and _CONTRACTION.match(word)):
                glued = True
            elif _QUOTE.fullmatch(word):
                kind = '"' if not set(word) - set("„“”") else word
                if quotes.get(kind, 0) % 2:
                    glued = True
                    quotes[kind] += 1
                elif word == "'" and before.endswith("s"):  # a possessive
                    glued = True
                else:
                    blank_after = ""
                    quotes[kind] = quotes.get(kind, 0) + 1
            parts += [word] if glued else [blank, word]
            blank = blank_after
        return _NUMBER_SIGN.sub(r"\1", re.sub(" {2,}", " ", "".join(parts)).strip()).strip()
