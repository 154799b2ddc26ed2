"""The words of a vocabulary that was pickled as the attributes of the object that held it. Nothing is executed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO

from ...errors import TokenizerError
from .base import Refused
from .pickles import PickleStream, read_pickle

_LISTED = "idx2sym"  # the words in the order of their ids
_NUMBERED = "sym2idx"  # ids by word
_PART = "vocab"  # of an object that holds more than a vocabulary
_PICKLES = 5  # torch's old format has a few small ones before its own
_MOST = 2**27  # bytes of the one in a zip


def read_symbols(path: Path) -> list[str]:
    """The words in the order of their ids, from a file of `pickle.dump` or `torch.save`. TokenizerError if it has
    none."""
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    return _from_zip(archive)
            return _from_pickles(file, path.stat().st_size)
    except (Refused, zipfile.BadZipFile, OSError) as problem:
        raise TokenizerError(f"the vocabulary in `{path}` cannot be read: {problem}"[:300]) from None


def _from_zip(archive: zipfile.ZipFile) -> list[str]:
    from io import BytesIO

    member = next((info for info in archive.infolist() if info.filename.endswith("/data.pkl")), None)
    if member is None or member.file_size > _MOST:
        raise Refused("its archive has no pickle of usable size")
    with archive.open(member) as file:
        data = file.read(_MOST)
    return _from_pickles(BytesIO(data), len(data))


def _from_pickles(file: BinaryIO, size: int) -> list[str]:
    stream = PickleStream(file, 0, size)
    for _ in range(_PICKLES):
        if stream.position >= size:
            break
        value, _ = read_pickle(stream, foreign=True)
        words = _words(value)
        if words is not None:
            return words
    raise Refused(f"it has neither `{_LISTED}` nor `{_NUMBERED}`")


def _words(value: object) -> list[str] | None:
    if not isinstance(value, dict):
        return None
    if _LISTED not in value and _NUMBERED not in value:  # perhaps the vocabulary of a corpus
        value = value.get(_PART) if isinstance(value.get(_PART), dict) else {}
    words = value.get(_LISTED)
    if not isinstance(words, list) and isinstance(value.get(_NUMBERED), dict):
        numbers = value[_NUMBERED]
        if all(isinstance(number, int) for number in numbers.values()):
            words = sorted(numbers, key=numbers.__getitem__)
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return words
    return None
