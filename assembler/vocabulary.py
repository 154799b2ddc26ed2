"""Vocabulary files that go where converted weights go, under the names that their format uses."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import ModelwrightError, TokenizerError
from .language.spec import Spec
from .replacing import replacing
from .tokenizer import COMPANIONS, WHOLE, read_symbols
from .weights.checkpoint import Checkpoint
from .weights.names import parts

Files = Mapping[str, Any]  # one set of the section's `files`
#: Roles of files that can be written; a pickle is not.
WRITTEN = {"vocab", "words", "merges", "dictionary", "model"}


def carry_vocabulary(
    spec: Spec, checkpoint: Checkpoint, source: str, target: str, folder: Path
) -> tuple[list[str], list[str]]:
    """Write what lies beside a checkpoint into `folder` as the target format names it. Returns the files' names, and
    what there is to say of those that do not come along. Nothing is carried that would not read back the same.

    `source` and `target` are formats of the spec. Files of the same form are copied byte for byte.
    """
    from ..tokenizers.files import file_names, file_sets

    section = spec.tokenizer_section()
    if section is None or checkpoint.folder is None:
        return [], []
    sets = file_sets(section)
    found = find_vocabulary(sets, preferred(spec, source, sets), checkpoint.folder)
    if found is None:
        names = {name for entry in sets for name in file_names(entry).values()}
        alone = sorted(name for name in names if (checkpoint.folder / name).is_file())
        return [], [f"{name} is not carried along: it is no vocabulary by itself" for name in alone]
    ours, paths = found
    theirs = preferred(spec, target, sets)
    notes = []
    contents = _contents(ours, paths, theirs)
    if contents is None and theirs is not sets[0]:
        contents = _contents(ours, paths, sets[0])
    names = " + ".join(path.name for path in paths.values())
    if contents is None:
        return [], [f"{names} is not carried along: it cannot be written as {' + '.join(file_names(theirs).values())}"]
    there = next(iter(paths.values())).parent
    beside = [path for name in (WHOLE, *COMPANIONS) if (path := there / name).is_file()]
    if theirs is ours:
        contents |= {path.name: path.read_bytes() for path in beside}
    elif beside:
        notes.append(f"{', '.join(path.name for path in beside)}: not carried along, {target} has no such files")
    for name, content in contents.items():
        with replacing(folder / name) as file:
            file.write(content)
    return list(contents), notes


def find_vocabulary(sets: list[dict[str, Any]], first: Files, folder: Path) -> tuple[Files, dict[str, Path]] | None:
    """The first set whose files are all in one part of a release, `first` before others, and its files by role."""
    from ..tokenizers.files import find_files

    for entry, part in product((first, *sets), parts(folder)):
        try:
            _, paths, _ = find_files(part, [entry])
        except TokenizerError:
            continue
        return entry, paths
    return None


def preferred(spec: Spec, format: str, sets: list[dict[str, Any]]) -> Files:
    """The set of files that lies beside weights of a format."""
    name = (spec.sections["weights"].get(format) or {}).get("vocabulary")
    return next((entry for entry in sets if name in entry.values()), sets[0])


def _contents(ours: Files, paths: Mapping[str, Path], theirs: Files) -> dict[str, bytes] | None:
    """The files of another set with the same vocabulary; None if there cannot be such."""
    from ..tokenizers.files import file_names
    from ..tokenizers.vocabulary_files import read_vocabulary, vocabulary_texts

    names = file_names(theirs)
    if any("*" in name for name in names.values()) and theirs is not ours:
        return None
    if _form(ours) == _form(theirs):
        return {paths[role].name if theirs is ours else names[role]: path.read_bytes() for role, path in paths.items()}
    if not set(names) <= WRITTEN:
        return None
    try:
        data = read_vocabulary(ours, paths, read_symbols)
        texts = vocabulary_texts(theirs, data)
    except ModelwrightError:
        return None
    contents = {name: text.encode() if isinstance(text, str) else text for name, text in texts.items()}
    return contents if _reads_back(theirs, contents, data.ids) else None


def _form(files: Files) -> dict[str, Any]:
    """What a set says but the names of its files, whose endings count."""
    from ..tokenizers.files import file_names

    names = file_names(files)
    return {role: Path(value).suffix == ".json" if role in names else value for role, value in files.items()}


def _reads_back(files: Files, contents: Mapping[str, bytes], ids: Mapping[str, int]) -> bool:
    import tempfile

    from ..tokenizers.files import file_names
    from ..tokenizers.vocabulary_files import read_vocabulary

    with tempfile.TemporaryDirectory() as place:
        for name, content in contents.items():
            (Path(place) / name).write_bytes(content)
        try:
            again = read_vocabulary(files, {role: Path(place) / name for role, name in file_names(files).items()})
        except ModelwrightError:
            return False
    return dict(again.ids) == dict(ids)
