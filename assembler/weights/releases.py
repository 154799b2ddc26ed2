"""Releases of the authors at an address: an archive, a file, a folder, or the prefix of a TensorFlow checkpoint ->
their files on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import urlsplit, urlunsplit

from ...errors import Diagnostic, DownloadError, Place
from ..hub import RemoteFolder, fetch_url, web_address
from ..hub.addresses import last_part
from ..hub.http_text import shown
from ..language.spec import Pretrained, config_files, load_spec
from .names import ADDRESSES, CONFIG, FILES, PARTS, parts

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
INDEX, NOTE = ".index", "checkpoint"  # of a TensorFlow checkpoint; the note says which of a folder's is the latest
NOTE_LIMIT = 2**20  # bytes
_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")


def fetch_release(found: Pretrained, cache_dir: Path | None = None) -> Path:
    """The release on this machine: its folder, its one file or archive, or the prefix of its checkpoint. All of it is
    here afterwards. DownloadError if something is missing, WeightsError if an index is damaged."""
    return _Release(found, cache_dir).fetch()


def fetch_repository(found: Pretrained, cache_dir: Path | None = None, revision: str | None = None) -> Path:
    """What `files:` names of a repository on the hub: the file that comes last, whatever else the repository has."""
    from ..hub import fetch

    *others, weights = found.files
    needed = [entry for entry in others if not entry.endswith("?")]
    optional = [entry.removesuffix("?") for entry in others if entry.endswith("?")]
    needed.append(weights.removesuffix("?"))
    return fetch(found.target, needed, revision=revision, cache_dir=cache_dir, optional=optional)[needed[-1]]


def fetch_vocabulary(
    found: Pretrained, sets: Iterable[Iterable[str]], cache_dir: Path | None = None
) -> dict[str, Path]:
    """The files of the first of `sets` that the release has, by their names; empty if it has none.

    Sets are of names, or of patterns with `*`. No weights are fetched but those in one archive with the vocabulary.
    DownloadError, WeightsError as above.
    """
    return _Release(found, cache_dir).vocabulary([list(names) for names in sets])


class _Release:
    """What an address means is told by its form: a slash at the end, or `files:`, is a folder's, a known ending is a
    file's. Of any other it is found out."""

    def __init__(self, found: Pretrained, cache_dir: Path | None) -> None:
        self.found, self.cache_dir = found, cache_dir
        self.url = web_address(found.target).partition("#")[0]
        self.name = last_part(self.url)
        self.prefix = _DATA.sub("", self.name).removesuffix(INDEX)
        slash = urlsplit(self.url).path.endswith("/")
        self.is_bundle = not slash and self.prefix != self.name
        self.is_file = not slash and not self.is_bundle and self.name.endswith(FILES)
        self.is_folder = slash or not (self.is_bundle or self.is_file) and bool(found.files)

    def fetch(self) -> Path:
        if self.is_file:
            return self._one_file()
        path = None if self.is_folder else self._bundle_beside()
        if path is None:
            path = self._folder()
        if path is None and not self.is_folder:
            path = fetch_url(self.url, cache_dir=self.cache_dir, sha256=self.found.sha256.get(self.name))
        if path is None:
            raise DownloadError(
                Diagnostic("no weights are found behind this address", Place(shown(self.url)),
                           help=f"a folder needs a note `{NOTE}`, or a bucket that may be listed: give the address of "
                                "an archive or a file, or the prefix of a TensorFlow checkpoint")
            )  # fmt: skip
        return path

    def _one_file(self) -> Path:
        if not self.found.files:
            return fetch_url(self.url, cache_dir=self.cache_dir, sha256=self.found.sha256.get(self.name))
        with self._beside() as folder:
            for entry in self.found.files:
                self._get(folder, entry)
            return self._needed(folder, self.name)

    def _bundle_beside(self) -> Path | None:
        """The prefix, if the address is one."""
        with self._beside() as folder:
            index = self._get(folder, self.prefix + INDEX + "?" * (not self.is_bundle))
            if index is None:
                return None
            for entry in self.found.files:
                self._get(folder, entry)
            self._companions(folder, None)
            self._shards(folder, self.prefix)
            return folder.path / self.prefix

    def _folder(self) -> Path | None:
        with self._at() as folder:
            here = {entry: self._get(folder, entry) for entry in self.found.files or [NOTE + "?"]}
            if self.found.files and not any(re.search(rf"(^|/){NOTE}\??$|{INDEX}\??$", entry) for entry in here):
                return folder.path
            prefixes = [entry.removesuffix("?").removesuffix(INDEX) for entry, path in here.items()
                        if path is not None and path.name.endswith(INDEX)]  # fmt: skip
            for prefix in prefixes:
                self._shards(folder, prefix)
            if prefixes:
                return folder.path
            for entry, path in here.items():
                if path is not None and path.name == NOTE:
                    self._companions(folder, None)
                    return self._noted(folder, path, entry.removesuffix("?"))
            return self._from_listing(folder)

    def _noted(self, folder: RemoteFolder, note: Path, entry: str) -> Path:
        """The checkpoint that the note names; only the last part of what it says counts."""
        text = note.read_bytes()[:NOTE_LIMIT].decode("utf-8", "replace")
        named = re.search(r'^\s*model_checkpoint_path\s*:\s*"([^"\n]*)"', text, re.MULTILINE)
        name = PureWindowsPath(named[1]).name if named else ""
        if name in ("", ".."):
            note.unlink()
            raise DownloadError(f"{shown(folder.address(entry))} is no note of TensorFlow's: it names no checkpoint")
        prefix = entry.removesuffix(NOTE) + name
        if self._get(folder, f"{prefix}{INDEX}?") is None:
            self._needed(folder, prefix)  # the first format has one file
        else:
            self._shards(folder, prefix)
        return folder.path

    def _shards(self, folder: RemoteFolder, prefix: str) -> None:
        """The data files that the index says there are."""
        from ..stores.base import Refused, problem
        from ..stores.bundle import LIMIT, read_index

        index = self._needed(folder, prefix + INDEX)
        try:
            if index.stat().st_size > LIMIT:
                raise Refused(f"this is larger than any index of a checkpoint (over {LIMIT >> 20} MiB)")
            count, variables, _ = read_index(memoryview(index.read_bytes()))
        except Refused as error:
            index.unlink()  # the next attempt fetches it anew
            raise problem(index, str(error), error.help) from None
        for shard in sorted({part.stored.shard for variable in variables.values() for part in variable.parts}):
            self._needed(folder, f"{prefix}.data-{shard:05d}-of-{count:05d}")

    def _from_listing(self, folder: RemoteFolder) -> Path | None:
        from ..stores import KINDS

        listed = folder.listing()
        if not listed:
            return None
        near = [name for name in listed if _is_near(name)]
        prefixes = [name.removesuffix(INDEX) for name in near if name.endswith(INDEX)]
        single = [name for key, kind in KINDS.items() if key not in ("tensorflow", "numpy")
                  for name in near if PurePosixPath(name).name in (kind.file, *kind.others)]  # fmt: skip
        if len(prefixes) > 1:
            raise DownloadError(
                Diagnostic(f"there are {len(prefixes)} checkpoints in this folder", Place(shown(self.url)),
                           help=f"give the prefix of one: {', '.join(map(folder.address, prefixes[:8]))}")
            )  # fmt: skip
        if not prefixes and not single:
            return None
        self._companions(folder, near)
        if prefixes:
            self._shards(folder, prefixes[0])
            return folder.path
        return self._needed(folder, single[0])

    def _companions(self, folder: RemoteFolder, listed: list[str] | None) -> None:
        """Config and vocabulary, unless `files:` says what there is."""
        if self.found.files:
            return
        wanted = [name for names in (self._configs(), *self._vocabularies()) for name in names]
        for name in _chosen(wanted, listed):
            self._get(folder, name + "?")

    def _configs(self) -> list[str]:
        if self.found.spec is None:
            return [*dict.fromkeys((CONFIG, *(name for name in config_files() if name.endswith((".json", ".gin")))))]
        rules = load_spec(self.found.spec).sections["configs"].get(self.found.format) or {}
        names = rules.get("file") or []
        return [names] if isinstance(names, str) else names

    def _vocabularies(self) -> list[list[str]]:
        from ...tokenizers.files import file_names, file_sets

        section = load_spec(self.found.spec).tokenizer_section() if self.found.spec else None
        return [[*file_names(files).values()] for files in file_sets(section)] if section else []

    def vocabulary(self, sets: list[list[str]]) -> dict[str, Path]:
        if self.is_file and self.name.endswith(ARCHIVES):
            return first_set(sets, self._unpacked())
        if self.is_file and not self.found.files:
            return {}
        if not (self.is_file or self.is_folder):
            with self._beside() as folder:
                if self._get(folder, self.prefix + INDEX + "?" * (not self.is_bundle)):
                    return self._try(folder, sets)
        with self._beside() if self.is_file else self._at() as folder:
            return self._try(folder, sets)

    def _try(self, folder: RemoteFolder, sets: list[list[str]]) -> dict[str, Path]:
        """What is listed, in `files:` or by the server, or else what there is under these names."""
        entries = {_plain(entry): entry for entry in self.found.files}
        for names in sets:
            if entries:
                listed: list[str] | None = list(entries)
            else:
                listed = None if all("*" not in name for name in names) else folder.listing() or []
            chosen = _chosen(names, listed)
            if all(any(_is(name, pattern) for name in chosen) for pattern in names):
                got = {_plain(name): self._get(folder, entries.get(name, name + "?")) for name in chosen}
                if here := first_set([names], {PurePosixPath(name).name: path for name, path in got.items() if path}):
                    return here
        return {}

    def _unpacked(self) -> dict[str, Path]:
        """Every file of an archive, and what belongs to it, by name."""
        from ..stores import unpack

        archive = self.fetch()
        folders = parts(unpack(archive, self.cache_dir))
        if self.found.files:
            folders.append(archive.parent)
        files = [path for folder in reversed(folders) for path in sorted(folder.iterdir()) if path.is_file()]
        return {path.name: path for path in files}

    def _get(self, folder: RemoteFolder, entry: str) -> Path | None:
        """A file by an entry of `files:`."""
        name = _plain(entry)
        at = entry.removesuffix("?") if entry.startswith(ADDRESSES) else None
        return folder.file(name, at=at, required=not entry.endswith("?"), sha256=self.found.sha256.get(name))

    def _needed(self, folder: RemoteFolder, name: str) -> Path:
        path = folder.file(name, sha256=self.found.sha256.get(name))
        assert path is not None
        return path

    def _at(self) -> RemoteFolder:
        return RemoteFolder(self.url, self.cache_dir)

    def _beside(self) -> RemoteFolder:
        """The folder around the address."""
        place = urlsplit(self.url)
        around = urlunsplit(place._replace(path=place.path.rstrip("/").rpartition("/")[0] + "/"))
        return RemoteFolder(around, self.cache_dir, key=self.url)


def _plain(entry: str) -> str:
    """The name in the release's folder of an entry of `files:`."""
    entry = entry.removesuffix("?")
    return last_part(entry) if entry.startswith(ADDRESSES) else entry


def _is_near(name: str) -> bool:
    """Whether a file lies in the folder itself, or in one that releases are divided into."""
    above = name.rpartition("/")[0]
    return above in ("", *PARTS)


def _is(name: str, pattern: str) -> bool:
    return fnmatchcase(PurePosixPath(name).name, pattern)


def _chosen(wanted: Iterable[str], listed: list[str] | None) -> list[str]:
    """The names to ask for: those listed that are wanted, or all that are no patterns."""
    if listed is None:
        return [name for name in wanted if "*" not in name]
    wanted = list(wanted)
    return [name for name in listed if _is_near(name) and any(_is(name, pattern) for pattern in wanted)]


def first_set(sets: list[list[str]], files: dict[str, Path]) -> dict[str, Path]:
    """The files of the first set of which each is there."""
    for names in sets:
        found = {name: path for name, path in files.items() if any(_is(name, pattern) for pattern in names)}
        if all(any(_is(name, pattern) for name in found) for pattern in names):
            return found
    return {}
