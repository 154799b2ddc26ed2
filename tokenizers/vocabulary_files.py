"""Vocabulary files, in the forms the ecosystem has for them: read and written.

A set of files is a mapping from what each file is to its name (`*` stands for anything):

* `vocab`: one piece a line, or a JSON object from pieces to ids (`.json`),
* `words`: the first word of each line,
* `merges`: a pair of pieces a line; a number behind them and a first line that begins with `#version` do not count,
* `dictionary`: lines that begin with ids of `vocab`, whose order makes the new ids,
* `model`: a SentencePiece model,
* `symbols`: a pickle that somebody else can read,
* `json`: a tokenizer as a whole, `tokenizer_json.py`.

`before` and `after` are pieces around those of `words` and `dictionary`; `word_end` is put behind those of `words` that
do not end with `@@`, and the `@@` taken off; `limit` is how many pieces there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import Diagnostic, Place, TokenizerError
from .sentence_piece import SentencePieceFile
from .unicode_tables import SPACES

FILE_ROLES = ("vocab", "words", "merges", "dictionary", "model", "symbols", "json")
PARAMETERS = ("before", "after", "word_end", "limit", "header")
_VERSION = "#version"

SymbolReader = Callable[[Path], Sequence[str]]


@dataclass(slots=True)
class VocabularyData:
    """What vocabulary files hold. `lines`: the pieces by id; one that occurs twice has its last id."""

    ids: dict[str, int]
    lines: list[str] | None = None
    merges: list[tuple[str, str]] = field(default_factory=list)
    model: SentencePieceFile | None = None
    json: dict[str, Any] | None = None


def read_vocabulary(
    files: Mapping[str, Any], paths: Mapping[str, Path], read_symbols: SymbolReader | None = None
) -> VocabularyData:
    """The data of a set of files, `paths` by role. TokenizerError for files that cannot be used."""
    if "model" in paths:
        model = SentencePieceFile(read_bytes(paths["model"]), f"`{paths['model']}`")
        return VocabularyData(model.ids, model=model)
    lines: list[str] | None = None
    if "symbols" in paths:
        if read_symbols is None:
            raise TokenizerError(f"`{paths['symbols']}` is a pickle, which is not read here", help="use load_tokenizer")
        lines = [*dict.fromkeys(read_symbols(paths["symbols"]))]
    elif "words" in paths:
        lines = _words(paths["words"], files)
    elif paths["vocab"].suffix == ".json":
        ids = _json_ids(paths["vocab"])
        if "dictionary" in paths:
            lines = _dictionary(paths["dictionary"], ids, files)
    else:
        lines = _lines(paths["vocab"])
    if lines is not None:
        ids = {piece: number for number, piece in enumerate(lines)}
    return VocabularyData(ids, lines, _merges(paths["merges"]) if "merges" in paths else [])


def vocabulary_texts(files: Mapping[str, Any], data: VocabularyData) -> dict[str, str | bytes]:
    """The contents of a set of files by name. Of a `dictionary` the ids are new: the pieces' order."""
    texts: dict[str, str | bytes] = {}
    if "dictionary" in files:
        own = [*files.get("before", []), *files.get("after", [])]
        pieces = (piece for piece in _in_order(data.ids) if piece not in own)
        inner = {piece: number for number, piece in enumerate(pieces)}
        texts[files["dictionary"]] = "".join(f"{number} 0\n" for number in inner.values())
        data = replace(data, ids=inner, lines=None)
    for role, name in files.items():
        if role == "json":
            texts[name] = json.dumps(data.json, ensure_ascii=False, indent=2) + "\n"
        elif role == "model":
            texts[name] = data.model.data
        elif role == "merges":
            header = f"{_VERSION}: 0.2\n" if files.get("header", True) else ""
            texts[name] = header + "".join(f"{left} {right}\n" for left, right in data.merges)
        elif role in ("vocab", "words") and name.endswith(".json"):
            texts[name] = json.dumps(data.ids, ensure_ascii=False) + "\n"
        elif role in ("vocab", "words"):
            pieces = _inner(data.lines or _in_order(data.ids), files)
            texts[name] = "".join(f"{_word(piece, files)}\n" for piece in pieces)
    return texts


def _inner(pieces: list[str], files: Mapping[str, Any]) -> list[str]:
    """The pieces without those that a set of `words` has around them."""
    before, after = files.get("before", []), files.get("after", [])
    end = len(pieces) - len(after) if after and pieces[-len(after) :] == after else len(pieces)
    return pieces[len(before) if pieces[: len(before)] == before else 0 : end]


def _word(piece: str, files: Mapping[str, Any]) -> str:
    """As `words` have it: with `@@` where a word goes on, if ends are marked otherwise here."""
    end = files.get("word_end")
    return piece if not end else piece.removesuffix(end) if piece.endswith(end) else f"{piece}@@"


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise TokenizerError(f"cannot read `{path}`: {problem.strerror or problem}") from None


def read_json(path: Path | None) -> dict[str, Any]:
    """A JSON object; an absent file is an empty one."""
    if path is None:
        return {}
    try:
        value = json.loads(read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        line, column = getattr(problem, "lineno", None), getattr(problem, "colno", None)
        raise TokenizerError(Diagnostic(f"not valid JSON: {problem}"[:200], Place(str(path), line, column))) from None
    if not isinstance(value, dict):
        raise TokenizerError(Diagnostic(f"a JSON object is expected, not a {type(value).__name__}", Place(str(path))))
    return value


def _text_lines(path: Path) -> list[str]:
    data = read_bytes(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        place = Place(str(path), before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise TokenizerError(
            Diagnostic("the vocabulary is not UTF-8", place, help="is this a text file, one token a line?")
        ) from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def _not_empty(pieces: list[str], path: Path) -> list[str]:
    if not any(pieces):
        raise TokenizerError(Diagnostic("the vocabulary file is empty", Place(str(path))))
    return pieces


def _lines(path: Path) -> list[str]:
    """White space at the end of a line does not count."""
    return _not_empty([line.rstrip(SPACES) for line in _text_lines(path)], path)


def _words(path: Path, files: Mapping[str, Any]) -> list[str]:
    words = [line.strip(" \r\t").partition(" ")[0].partition("\t")[0] for line in _text_lines(path)]
    words = _not_empty([word for word in words if word], path)
    if end := files.get("word_end"):
        words = [word.replace("@@", "") if "@@" in word else word + end for word in words]
    return _framed(words, files)


def _dictionary(path: Path, ids: Mapping[str, int], files: Mapping[str, Any]) -> list[str]:
    pieces = {str(number): piece for piece, number in ids.items()}
    numbers = [line.partition(" ")[0] for line in _text_lines(path)]
    for line, number in enumerate(numbers, 1):
        if number.isdecimal() and number not in pieces:
            raise TokenizerError(
                Diagnostic(f"the vocabulary has no piece with the id {number}", Place(str(path), line, 1))
            )
    return _framed(_not_empty([pieces.get(number, number) for number in numbers], path), files)


def _framed(pieces: list[str], files: Mapping[str, Any]) -> list[str]:
    after = files.get("after", [])
    pieces = [*dict.fromkeys([*files.get("before", []), *pieces])]
    if files.get("limit") is not None:
        pieces = pieces[:files["limit"] - len(after)]
    return [*pieces, *after]


def _json_ids(path: Path) -> dict[str, int]:
    ids = read_json(path)
    _not_empty([*ids], path)
    if set(map(type, ids.values())) != {int} or min(ids.values()) < 0:
        piece, number = next(item for item in ids.items() if type(item[1]) is not int or item[1] < 0)
        raise TokenizerError(Diagnostic(f"`{piece}` has no usable id: {number!r}"[:200], Place(str(path))))
    return ids


def _merges(path: Path) -> list[tuple[str, str]]:
    lines = _text_lines(path)
    if lines and lines[0].startswith(_VERSION):
        lines[0] = ""
    for number, line in enumerate(lines):
        # A piece of another line that is no pair holds white space, so that no word has it.
        if " " not in line and line.split() == [line]:
            raise TokenizerError(Diagnostic(
                f"`{line}` is no pair of pieces"[:200], Place(str(path), number + 1, 1),
                help="is this a file of merges?",
            ))
    return [
        (row[0], row[1]) for row in map(str.split, lines)
        if len(row) == 2 or (len(row) == 3 and row[2].isdecimal())
    ]


def _in_order(ids: Mapping[str, int]) -> list[str]:
    """Pieces by id, with empty lines for ids that stand for nothing."""
    pieces = dict((number, piece) for piece, number in ids.items())
    return [pieces.get(number, "") for number in range(max(pieces) + 1)]
