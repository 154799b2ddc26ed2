"""Words as the Moses scripts cut them (`normalize-punctuation.perl`, `replace-unicode-punctuation.perl`,
`remove-non-printing-char.perl`, `tokenizer.perl` of github.com/moses-smt/mosesdecoder)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from ..errors import TokenizerError
from .alignment import places_of
from .moses_tables import ALPHABETIC, DIGIT, JOINER, LOWERCASE, NUMBER

_ALPHA = ALPHABETIC.pattern() + JOINER.pattern()
_ALNUM = _ALPHA + DIGIT.pattern()
_N = NUMBER.pattern()
_IS_ALPHA = re.compile(f"[{_ALPHA}]")

# Full-width and typographic punctuation, as plain as it can be. A full stop takes the white space behind it.
_FULL_STOP = re.compile(r"[。．]\s*")
_PLAIN = str.maketrans({
    **dict(zip("，、∶：？）！（；～’━〈〉【】％", ",,::?)!(;~'-<>[]%", strict=True)),
    **dict(zip("０１２３４５６７８９", "0123456789", strict=True)),
    **dict.fromkeys("”“《》」「", '"'), "…": "...",
})

# Words after which a full stop ends no sentence.
_ABBREVIATIONS = Path(__file__).with_name("abbreviations.txt")

Rules = list[tuple[re.Pattern[str], str]]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return [(re.compile(pattern), text) for pattern, text in pairs]


_SPACING = _rules(
    (r"\r", ""), (r"\(", " ("), (r"\)", ") "), (" +", " "), (r"\) ([.!:?;,])", r")\1"), (r"\( ", "("), (r" \)", ")"),
    (r"(\d) %", r"\1%"), (" :", ":"), (" ;", ";"), ("`", "'"), ("''", ' " '),
)
_QUOTES = _rules(
    ("[„“”]", '"'), ("–", "-"), ("—", " - "), (" +", " "), ("´", "'"), ("([a-zA-Z])‘([a-zA-Z])", r"\1'\2"),
    ("([a-zA-Z])’([a-zA-Z])", r"\1'\2"), ("[‘‚’]", "'"), ("''", '"'), ("´´", '"'), ("…", "..."),
    ("\u00a0«\u00a0", '"'), ("«\u00a0", '"'), ("«", '"'), ("\u00a0»\u00a0", '"'), ("\u00a0»", '"'), ("»", '"'),
)
_HARD_SPACES = _rules(
    ("\u00a0%", "%"), ("nº\u00a0", "nº "), ("\u00a0:", ":"), ("\u00a0ºC", " ºC"), ("\u00a0cm", " cm"),
    ("\u00a0\\?", "?"), ("\u00a0!", "!"), ("\u00a0;", ";"), (",\u00a0", ", "), (" +", " "),
)
_QUOTES_AND_STOPS = {
    "en": _rules((r'"([,.]+)', r'\1"')),
    **dict.fromkeys(("de", "es", "fr"), _rules((',"', '",'), (r'(\.+)"(\s*[^<])', r'"\1\2'))),
}
_DECIMAL_COMMA = ("de", "es", "cz", "cs", "fr")

_APOSTROPHES = {
    "en": _rules(
        (f"([^{_ALPHA}])[']([^{_ALPHA}])", r"\1 ' \2"), (f"([^{_ALPHA}{_N}])[']([{_ALPHA}])", r"\1 ' \2"),
        (f"([{_ALPHA}])[']([^{_ALPHA}])", r"\1 ' \2"), (f"([{_ALPHA}])[']([{_ALPHA}])", r"\1 '\2"),
        (f"([{_N}])[']([s])", r"\1 '\2"),
    ),
    **dict.fromkeys(("fr", "it"), _rules(
        (f"([^{_ALPHA}])[']([^{_ALPHA}])", r"\1 ' \2"), (f"([^{_ALPHA}])[']([{_ALPHA}])", r"\1 ' \2"),
        (f"([{_ALPHA}])[']([^{_ALPHA}])", r"\1 ' \2"), (f"([{_ALPHA}])[']([{_ALPHA}])", r"\1' \2"),
    )),
}
_OTHER_APOSTROPHES = _rules(("'", " ' "))
_COMMAS = _rules((f"([^{_N}])[,]", r"\1 , "), (f"[,]([^{_N}])", r" , \1"), (f"([{_N}])[,]$", r"\1 , "))
_SPACES, _JUNK = re.compile(r"\s+"), re.compile("[\0-\x1f]")
_SIGNS = re.compile(rf"([^{_ALNUM}\s.'`,\-])")
_DASHES = re.compile(rf"([{_ALNUM}])-(?=[{_ALNUM}])")
_DOTS, _DOTS_MARKED = re.compile(r"\.{2,}"), re.compile("(?:DOT)+MULTI")
_LAST_DOT = re.compile(r"\.' ?$")
_NUMBER_SIGN = re.compile(r"(?<=\d)[,.](?=\d)")
_MARK = "THISISPROTECTED"
_MARKS = re.compile(f"{_MARK}X*")

# These, if a number follows.
_BEFORE_NUMBERS = frozenset(("No", "Art", "pp"))
_WITHOUT_ROMANIAN_MARKS = str.maketrans("ŞşȘșŢţȚțĂăÂâÎî", "SsSsTtTtAaAaIi")
_WITHOUT_BLANKS = ("zh", "ja", "th")


class MosesWords:
    """Words of a text in `language` (two letters).

    * `plain_punctuation`: full-width and typographic punctuation becomes ASCII, what does not print goes,
    * `split_dashes`: a dash between letters is a word of its own, `@-@`,
    * `split_numbers`: so is a comma or point between digits, `@,@` and `@.@`,
    * `lowercase`: before anything else,
    * `fold`: lower case without accents, when the words are cut,
    * `protected`: patterns of what stays whole, whatever its case,
    * `abbreviations`: what keeps its full stop; None: the list for English.

    TokenizerError for languages written without blanks: their words have to be found by something else.
    """

    def __init__(
        self, *, language: str = "en", plain_punctuation: bool = False, split_dashes: bool = False,
        split_numbers: bool = False, lowercase: bool = False, fold: bool = False,
        protected: Sequence[str] = (), abbreviations: Sequence[str] | None = None,
    ) -> None:
        if language in _WITHOUT_BLANKS:
            raise TokenizerError(
                f"words of the language `{language}` are not found by Moses rules",
                help="cut texts into words yourself, and call the tokenizer with is_split_into_words=True",
            )
        self.language, self.plain_punctuation = language, plain_punctuation
        self.split_dashes, self.split_numbers = split_dashes, split_numbers
        self.lowercase, self.fold = lowercase or fold, fold
        self._protected = [re.compile(pattern, re.IGNORECASE) for pattern in protected]
        self._abbreviations = frozenset(
            _ABBREVIATIONS.read_text(encoding="utf-8").split() if abbreviations is None else abbreviations
        )
        self._punctuation = [
            *_SPACING, *_QUOTES, *_HARD_SPACES, *_QUOTES_AND_STOPS.get(language, []),
            *_rules(("(\\d)\u00a0(\\d)", r"\1,\2" if language in _DECIMAL_COMMA else r"\1.\2")),
        ]

    def split(self, text: str, first: bool) -> list[str]:
        text = text.lower().strip() if self.lowercase and not self.fold else text
        text = _FULL_STOP.sub(". ", text).translate(_PLAIN) if self.plain_punctuation else text.strip()
        for pattern, replacement in self._punctuation:
            text = pattern.sub(replacement, text)
        text = text.strip()
        if self.plain_punctuation:
            text = "".join([c for c in text if unicodedata.category(c)[0] != "C"])
        if self.language == "ro":
            text = text.translate(_WITHOUT_ROMANIAN_MARKS)
        words = self._words(text)
        if self.split_numbers:
            words = [part for word in words for part in _NUMBER_SIGN.sub(r" @\g<0>@ ", word).split()]
        return _folded(words) if self.fold else words

    def spans(self, text: str, first: bool) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
        words = self.split(text, first)
        return words, list(places_of(words, text))

    def _words(self, text: str) -> list[str]:
        text = _JUNK.sub("", _SPACES.sub(" ", text))
        text, mark, kept = self._marked(text)
        text = _SIGNS.sub(r" \1 ", text.strip())
        if self.split_dashes:
            text = _DASHES.sub(r"\1 @-@ ", text)
        size = len(text)
        text = _DOTS.sub(lambda dots: f" {'DOT' * len(dots[0])}MULTI{' ' * (dots.end() < size)}", text)
        for pattern, replacement in (*_COMMAS, *_APOSTROPHES.get(self.language, _OTHER_APOSTROPHES)):
            text = pattern.sub(replacement, text)
        text = _SPACES.sub(" ", self._with_full_stops(text.split())).strip()
        text = _LAST_DOT.sub(" . ' ", text)
        if kept:
            text = re.sub(mark, lambda found: kept[int(found[1])], text)
        text = _DOTS_MARKED.sub(lambda mark: "." * ((len(mark[0]) - 5) // 3), text)
        return text.split()

    def _marked(self, text: str) -> tuple[str, str, list[str]]:
        """What is protected, as words that no rule touches, with what they begin with, and what they stand for."""
        kept = [match.group() for pattern in self._protected for match in pattern.finditer(text)]
        longest = max((len(mark) for mark in _MARKS.findall(text)), default=0)
        mark = _MARK + "X" * (longest - len(_MARK) + 1 if longest else 0)
        width = max(3, len(str(len(kept) - 1)))
        numbers = {part: number for number, part in reversed([*enumerate(kept)])}
        for part in sorted(numbers, key=len, reverse=True):
            text = text.replace(part, f"{mark}{numbers[part]:0{width}}")
        return text, f"{mark}(\\d{{{width}}})", kept

    def _with_full_stops(self, words: list[str]) -> str:
        """A full stop at the end of a word is cut off, unless it seems to belong to it."""
        for index, word in enumerate(words):
            if len(word) < 2 or word[-1] != ".":
                continue
            stem, following = word[:-1], words[index + 1:index + 2]
            belongs = (
                ("." in stem and _IS_ALPHA.search(stem)) or stem in self._abbreviations
                or (following and following[0][0] in LOWERCASE)
                or (stem in _BEFORE_NUMBERS and following and following[0][0] in "0123456789")
            )
            if not belongs:
                words[index] = stem + " ."
        return " ".join(words)


def _folded(words: list[str]) -> list[str]:
    text = unicodedata.normalize("NFD", " ".join(words).lower())
    return list(filter(None, "".join([c for c in text if unicodedata.category(c) != "Mn"]).lower().split(" ")))
