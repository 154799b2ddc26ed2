"""Names to files, against a local hub that misbehaves, and against huggingface_hub's reading of the same cache."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.assembler import hub
from modelwright.assembler.hub import cache, download
from modelwright.errors import DownloadError, UsageError

from .fault_server import COMMIT, Answer, git_sha1, serving

REPO = "org/tiny"
CONFIG = b'{"hidden_size": 4}\n'
WEIGHTS = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
SETTINGS = (
    "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ASSETS_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "XDG_CACHE_HOME",
)


@pytest.fixture
def server(monkeypatch, tmp_path):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.005)
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
        server.publish(REPO, "config.json", CONFIG)
        yield server


@pytest.fixture
def cdn(server):
    with serving() as cdn:
        server.publish(REPO, "model.safetensors", WEIGHTS, cdn=cdn)
        yield cdn


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "hub" / "models--org--tiny"


def weights() -> bytes:
    return hub.fetch_file(REPO, "model.safetensors").read_bytes()


def message(action, kind=DownloadError) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert len(caught.value.diagnostics) == 1
    return str(caught.value)


# -- the straight way


def test_files_land_in_the_layout(server, cdn, folder):
    found = hub.fetch(REPO, ["config.json", "model.safetensors"], optional=["tokenizer.json", "config.json"])
    assert {name: path.read_bytes() for name, path in found.items()} == {
        "config.json": CONFIG, "model.safetensors": WEIGHTS
    }
    path = found["model.safetensors"]
    assert path == folder / "snapshots" / COMMIT / "model.safetensors"
    assert os.readlink(path) == f"../../blobs/{SHA256}"
    assert sorted(os.listdir(folder / "blobs")) == sorted([SHA256, git_sha1(CONFIG)])
    assert (folder / "refs" / "main").read_text() == COMMIT == hub.commit_of(path)
    assert (folder / ".no_exist" / COMMIT / "tokenizer.json").is_file()
    assert hub.commit_of(Path("/somewhere/config.json")) is None


def test_what_is_cached_for_a_commit_is_not_asked_for(server, folder):
    names = {"optional": ["vocab.txt"], "filenames": ["config.json"]}
    first = hub.fetch(REPO, **names)
    server.log.clear()
    assert hub.fetch(REPO, **names, revision=COMMIT) == first
    assert server.log == []
    assert "has no file `vocab.txt`" in message(lambda: hub.fetch_file(REPO, "vocab.txt", revision=COMMIT))
    assert server.log == []


def test_a_branch_that_moves(server, folder):
    hub.fetch(REPO, ["config.json"])
    server.publish(REPO, "config.json", b"{}", commit="ab" * 20)
    server.publish(REPO, "deep/er/vocab.txt", b"a\n", commit="ab" * 20)
    found = hub.fetch(REPO, ["config.json", "deep/er/vocab.txt"])
    assert found["config.json"].read_bytes() == b"{}"
    assert os.readlink(found["deep/er/vocab.txt"]).startswith("../../../../blobs/")
    assert (folder / "refs/main").read_text() == "ab" * 20
    assert hub.fetch_file(REPO, "config.json", revision=COMMIT).read_bytes() == CONFIG


def test_names_without_organisation_and_renamed_repositories(server):
    server.publish("tiny", "config.json", CONFIG)
    server.routes["/old/resolve/main/config.json"] = Answer(307, {"Location": "/tiny/resolve/main/config.json"})
    server.routes[f"/old/resolve/{COMMIT}/config.json"] = server.routes["/old/resolve/main/config.json"]
    assert "models--tiny" in str(hub.fetch_file("tiny", "config.json"))
    assert hub.fetch_file("old", "config.json").read_bytes() == CONFIG


@pytest.mark.parametrize("setting, place", [
    ({"HF_HUB_CACHE": "{0}/a"}, "a"),
    ({"HUGGINGFACE_HUB_CACHE": "{0}/b"}, "b"),
    ({"HF_HOME": "{0}/c"}, "c/hub"),
    ({"HF_HOME": "", "XDG_CACHE_HOME": "{0}/d"}, "d/huggingface/hub"),
    ({"HF_HOME": "", "HOME": "{0}/e"}, "e/.cache/huggingface/hub"),
    ({"HF_HOME": "$PLACE/f", "PLACE": "{0}"}, "f/hub"),
])
def test_where_the_cache_lies(server, monkeypatch, tmp_path, setting, place):
    for name, value in setting.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert hub.fetch_file(REPO, "config.json").is_relative_to(tmp_path / place / "models--org--tiny")


# -- bad lines and bad servers


def cut(count):
    return lambda answer: setattr(answer, "cut", count)


def status(code, **headers):
    return lambda answer: Answer(code, {name.replace("_", "-"): value for name, value in headers.items()})


def damage(answer):
    answer.body = b"?" + answer.body[1:]


@pytest.mark.parametrize("faults", [
    [cut(100_000)],
    [cut(0), cut(1), cut(200_000), cut(1)],
    [status(500), status(503), status(502)],
    [status(429, Retry_After="0")],
    [status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")],
    [cut(100_000), status(416)],
    [cut(100_000), lambda answer: Answer(206, {"Content-Range": "bytes 0-299999/300000"}, WEIGHTS)],
    [damage],
    [lambda answer: Answer(200, {}, WEIGHTS[:1000])],
    [lambda answer: Answer(200, {}, WEIGHTS[:1000] + b"?" * (len(WEIGHTS) - 1000))],
])
def test_recovers(server, cdn, folder, faults):
    cdn.spoil("GET", *faults)
    assert weights() == WEIGHTS
    assert os.listdir(folder / "blobs") == [SHA256]


def test_goes_on_where_it_was_interrupted(server, cdn, folder):
    cdn.spoil("GET", cut(100_000))
    weights()
    assert [h.get("Range") for h in cdn.seen("GET")] == [None, "bytes=100000-"]


@pytest.mark.parametrize("start", [b"", WEIGHTS[:1234], WEIGHTS, WEIGHTS + b"more", b"wrong" * 100])
@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_from_what_an_earlier_run_left(server, cdn, folder, start, ranges):
    cdn.ranges = ranges
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / f"{SHA256}.incomplete").write_bytes(start)
    assert weights() == WEIGHTS
    assert os.listdir(folder / "blobs") == [SHA256]


def test_interrupted_by_the_user(server, cdn, folder, monkeypatch):
    genuine = download.Client._blocks

    def interrupted(self, response):
        yield next(genuine(self, response))
        raise KeyboardInterrupt

    monkeypatch.setattr(download.Client, "_blocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        weights()
    (left,) = (folder / "blobs").iterdir()
    assert left.name == f"{SHA256}.incomplete"
    assert WEIGHTS.startswith(left.read_bytes()) and left.stat().st_size
    assert not (folder / "refs").exists() and not (folder / "snapshots").exists()
    monkeypatch.setattr(download.Client, "_blocks", genuine)
    size = left.stat().st_size
    assert weights() == WEIGHTS
    assert cdn.seen("GET")[-1].get("Range") == (f"bytes={size}-" if size < len(WEIGHTS) else None)


@pytest.mark.parametrize("faults, said", [
    ([damage] * 2, f"twice: its checksum is {hashlib.sha256(b'?' + WEIGHTS[1:]).hexdigest()}, {SHA256} was announced"),
    ([lambda answer: Answer(200, {}, WEIGHTS + b"more")], "sends more than the 300,000 bytes"),
    ([lambda answer: Answer(200, {}, WEIGHTS[:10])] * 9, "after 10 of 300,000 bytes"),
    ([status(503)] * 9, "answered 503 Service Unavailable"),
    ([status(403)], "answered 403 Forbidden"),
    ([cut(0)] * 9, "the connection was closed too early"),
    ([status(302, Location="/store/model.safetensors?signature=secret")] * 99, "more than 10 redirects"),
    ([status(302, Location="ftp://127.0.0.1/x")], "is not an http or https address"),
    ([status(302, Location="http://127.0.0.1:x/")], "is not an http or https address"),
    ([status(302, Location="http://[::1/x")], "redirects to a malformed address"),
])
def test_gives_up_with_one_error(server, cdn, folder, faults, said):
    cdn.spoil("GET", *faults)
    text = message(weights)
    assert said in text and "secret" not in text
    assert not (folder / "snapshots").exists()
    assert all(name.endswith(".incomplete") for name in os.listdir(folder / "blobs"))
    assert len(cdn.seen("GET")) <= 12


def test_no_way_from_https_to_http(server, monkeypatch):
    moved = SimpleNamespace(status_code=302, headers={"Location": "http://127.0.0.1/x.zip"})
    monkeypatch.setattr(download.Client, "_request", lambda *args: moved)
    assert "redirects to an unprotected address" in message(lambda: hub.fetch_url("HTTPS://127.0.0.1/x.zip"))


def test_stops_reading_what_is_too_long(server, cdn, monkeypatch):
    blocks = iter([b"x" * 1000] * 1000)
    monkeypatch.setattr(download.Client, "_blocks", lambda *args: blocks)
    assert "sends more than the 300,000 bytes" in message(weights)
    assert len(list(blocks)) == 1000 - 301


def test_real_progress_renews_the_attempts(server, cdn, monkeypatch):
    monkeypatch.setattr(download, "PROGRESS", 10_000)
    cdn.spoil("GET", *[cut(20_000)] * 14)
    assert weights() == WEIGHTS


@pytest.mark.parametrize("pause, said", [(3.0, "no answer in time"), (0.2, "bytes in 0.3 s")])
def test_a_line_that_drips_is_given_up(server, monkeypatch, pause, said):
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "0.3")
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    server.spoil("GET", *[lambda answer: setattr(answer, "pause", pause)] * 9)
    assert said in message(lambda: hub.fetch_file(REPO, "config.json"))


def test_a_long_wait_is_bounded(server, cdn, monkeypatch):
    slept = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    server.spoil("HEAD", status(429, Retry_After="86400"))
    weights()
    assert slept == [download.LONGEST_PAUSE]


def test_resumption_needs_the_same_etag_or_a_checksum(server, folder):
    """Small files served by the hub itself under an ETag that is no checksum."""
    for etag, sent in (('"plain"', '"plain"'), ('W/"weak"', None)):
        body = WEIGHTS[:5000] + etag.encode()
        server.publish(REPO, "vocab.txt", body)
        server.routes[f"/{REPO}/resolve/main/vocab.txt"].headers["ETag"] = etag
        server.log.clear()
        server.spoil("GET", cut(2000))
        shutil.rmtree(folder, ignore_errors=True)
        assert hub.fetch_file(REPO, "vocab.txt").read_bytes() == body
        assert [h.get("If-Range") for h in server.seen("GET")] == [None, sent]


def test_two_at_once_download_once(server, cdn, folder):
    found = []
    threads = [threading.Thread(target=lambda: found.append(weights())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [WEIGHTS] * 4
    assert len(cdn.seen("GET")) == 1


# -- hostile answers


@pytest.mark.parametrize("header, value", [
    ("X-Repo-Commit", "../../../../etc"), ("X-Repo-Commit", "main"), ("X-Repo-Commit", "A" * 40),
    ("X-Linked-Etag", '"../../../evil"'), ("X-Linked-Etag", '"/etc/passwd"'), ("X-Linked-Etag", '""'),
    ("X-Linked-Etag", '"a.incomplete"'), ("X-Linked-Etag", '"' + "a" * 300 + '"'), ("ETag", '"..\\\\evil"'),
    ("Location", "http://[::1/x"),
])
def test_hostile_headers(server, folder, tmp_path, header, value):
    def spoil(answer):
        answer.headers[header] = value
        answer.status = 302 if header == "Location" else 200

    server.spoil("HEAD", spoil)
    message(lambda: hub.fetch_file(REPO, "config.json"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("fault, said", [
    (lambda answer: answer.headers.pop("X-Repo-Commit") and None, "does not answer as a Hugging Face hub does"),
    (lambda answer: answer.headers.pop("ETag") and None, "does not answer as a Hugging Face hub does"),
    (status(200, Content_Type="text/html"), "login page"),
    (status(302, Location="http://127.0.0.1:1/login"), "check HF_ENDPOINT"),
])
def test_what_is_no_hub(server, fault, said):
    server.spoil("HEAD", fault)
    assert said in message(lambda: hub.fetch_file(REPO, "config.json"))


def test_another_commit_than_asked_for(server):
    server.routes[f"/{REPO}/resolve/{'ab' * 20}/config.json"] = server.routes[f"/{REPO}/resolve/main/config.json"]
    assert "as the commit of revision" in message(lambda: hub.fetch_file(REPO, "config.json", revision="ab" * 20))


@pytest.mark.parametrize("name", [
    "../config.json", "/etc/passwd", "a/../../b", "a\\..\\b", "C:/x", "a\0b", "", "a//b", "./a", "a\n", "\ud800"
])
def test_hostile_names(server, name):
    assert "is not a plain relative path" in message(lambda: hub.fetch_file(REPO, name))
    assert "is not a plain relative path" in message(lambda: hub.fetch_file(REPO, "config.json", revision=name or "/"))
    assert server.log == []


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="ab./\\:\0C ", max_size=8))
def test_a_plain_name_stays_inside(name):
    try:
        cache.plain_name(name, "it")
    except DownloadError:
        return
    assert Path(os.path.normpath(f"/srv/folder/{name}")).is_relative_to("/srv/folder/")
    assert os.path.normpath(f"/srv/folder/{name}") != "/srv/folder"


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(alphabet="aB1-_./~ é", max_size=6), st.text(alphabet="a/", min_size=94, max_size=98)))
def test_names_of_repositories(text):
    validators = pytest.importorskip("huggingface_hub.utils")
    try:
        validators.validate_repo_id(text)
        expected = True
    except validators.HFValidationError:
        expected = False
    assert hub.is_repo_id(text) == expected


# -- refusals, and where the token goes


@pytest.mark.parametrize("answer, said", [
    (status(404, X_Error_Code="RepoNotFound"), "there is no repository `org/tiny`, or it is private"),
    (status(401, X_Error_Code="RepoNotFound"), "set HF_TOKEN to a token from"),
    (status(401), "there is no repository `org/tiny`, or it is private"),
    (status(404, X_Error_Code="RevisionNotFound"), "has no revision `main`"),
    (status(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT), "has no file `config.json` at revision `main`"),
    (status(404), "or there is no such repository"),
    (status(403, X_Error_Code="GatedRepo"), "ask for access at"),
    (status(403, X_Error_Message="not \x07 you"), "403 Forbidden not  you"),
    (status(451), "451 Unavailable For Legal Reasons"),
])
def test_refusals(server, answer, said):
    server.spoil("HEAD", answer)
    assert said in message(lambda: hub.fetch_file(REPO, "config.json"))
    assert len(server.log) == 1


def test_optional_forgives_only_a_missing_file(server):
    assert hub.fetch_file(REPO, "vocab.txt", optional=True) is None
    server.spoil("HEAD", status(401))
    message(lambda: hub.fetch_file(REPO, "merges.txt", optional=True))


@pytest.mark.parametrize("source", ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME"])
def test_the_token_goes_to_the_hub_alone(server, cdn, monkeypatch, tmp_path, source):
    file = tmp_path / ("home/token" if source == "HF_HOME" else "key")
    file.parent.mkdir(exist_ok=True)
    file.write_text("hf_secret\n")
    if source != "HF_HOME":
        monkeypatch.setenv(source, "hf_secret" if source == "HF_TOKEN" else str(file))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pass\n")
    monkeypatch.setenv("NETRC", str(netrc))
    weights()
    assert {h.get("Authorization") for h in server.seen("HEAD") + server.seen("GET")} == {"Bearer hf_secret"}
    assert [h.get("Authorization") for h in cdn.seen("GET")] == [None]
    hub.fetch_url(f"{cdn.url}/store/model.safetensors?signature=secret")
    assert not any(h.get("Authorization") for h in cdn.seen("GET"))


def test_a_token_that_cannot_be_sent(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf\nsecret")
    text = message(lambda: hub.fetch_file(REPO, "config.json"), UsageError)
    assert "HF_TOKEN" in text and "secret" not in text


# -- without a network


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    names = ("socket", "create_connection", "getaddrinfo")
    return lambda: [monkeypatch.setattr(socket, name, refuse) for name in names]


@pytest.mark.parametrize("setting", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline(server, cdn, folder, monkeypatch, no_sockets, setting):
    cached = hub.fetch_file(REPO, "config.json")
    address = f"{cdn.url}/store/model.safetensors?signature=secret"
    monkeypatch.setenv(setting, "1")
    no_sockets()
    assert hub.fetch(REPO, ["config.json"], optional=["vocab.txt"]) == {"config.json": cached}
    text = message(lambda: hub.fetch_file(REPO, "model.safetensors"))
    for said in ("model.safetensors", REPO, str(folder), f"{setting}=1", "HF_ENDPOINT", "hf download org/tiny"):
        assert said in text
    assert "copy it to" in message(lambda: hub.fetch_url(address))


def test_no_network_but_a_copy(server, monkeypatch):
    cached = hub.fetch(REPO, ["config.json"])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.warns(UserWarning, match="Connection refused.*using cached commit c0ffee") as caught:
        assert hub.fetch(REPO, ["config.json"], optional=["vocab.txt"]) == cached
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hub.fetch(REPO, ["config.json"], revision=COMMIT) == cached
    text = message(lambda: hub.fetch_file(REPO, "model.safetensors"))
    assert "Connection refused" in text and "HF_ENDPOINT" in text


def test_the_old_copy_stands_until_the_new_one_is_whole(server, monkeypatch):
    cached = hub.fetch(REPO, ["config.json"])
    server.publish(REPO, "config.json", b"{}", commit="ab" * 20)
    with pytest.raises(DownloadError):
        hub.fetch(REPO, ["config.json", "missing.bin"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.fetch(REPO, ["config.json"]) == cached


@pytest.mark.parametrize("text", ["", "a/b/c", "../x", "a--b", "datasets/x/y", "x.git", "-x"])
def test_what_names_no_repository(server, text):
    assert "is not the name of a repository" in message(lambda: hub.fetch_file(text, "config.json"))


@pytest.mark.parametrize("name, value, kind", [
    ("HF_HUB_DOWNLOAD_TIMEOUT", "soon", UsageError), ("HF_HUB_DOWNLOAD_TIMEOUT", "0", UsageError),
    ("HF_ENDPOINT", "huggingface.co", DownloadError), ("HF_ENDPOINT", "https://", DownloadError),
])
def test_bad_settings(server, monkeypatch, name, value, kind):
    monkeypatch.setenv(name, value)
    message(lambda: hub.fetch_file(REPO, "config.json"), kind)


# -- the disk


def test_too_big_for_the_disk(server, cdn, folder, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    assert "`model.safetensors` needs" in message(weights)
    assert os.listdir(folder / "blobs") == []


def test_a_body_without_length_is_bounded_by_the_disk(server, monkeypatch):
    server.routes["/endless"] = Answer(200, {"Transfer-Encoding": "chunked"}, b"4\r\nmore\r\n" * 1000 + b"0\r\n\r\n")
    assert hub.fetch_url(f"{server.url}/endless").read_bytes() == b"more" * 1000
    monkeypatch.setattr(download, "check_space", lambda *args: download.RESERVE + 3999)
    assert "more than fits on the disk" in message(lambda: hub.fetch_url(f"{server.url}/endless", sha256=SHA256))


def test_full_disk_keeps_what_arrived(server, cdn, folder, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download.os, "fsync", full)
        assert "no space is left" in message(weights)
    assert os.listdir(folder / "blobs") == [f"{SHA256}.incomplete"]
    assert weights() == WEIGHTS


def test_a_cache_that_cannot_be_used(server, tmp_path):
    (tmp_path / "file").write_text("")
    text = message(lambda: hub.fetch_file(REPO, "config.json", cache_dir=tmp_path / "file"))
    assert str(tmp_path / "file") in text and "HF_HUB_CACHE" in text
    assert str(tmp_path / "file") in message(lambda: hub.fetch_url(f"{server.url}/a.zip", cache_dir=tmp_path / "file"))


def test_without_symbolic_links_and_locks(server, cdn, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(cache.os, "symlink", refuse)
    monkeypatch.setattr(cache, "fcntl", None)
    cdn.spoil("GET", cut(1000))
    path = hub.fetch_file(REPO, "model.safetensors")
    assert not path.is_symlink() and path.read_bytes() == WEIGHTS
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_progress_only_on_a_terminal(server, cdn, monkeypatch, capsys, tmp_path):
    weights()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    hub.fetch_file(REPO, "model.safetensors", cache_dir=tmp_path / "shown")
    out, err = capsys.readouterr()
    assert out == "" and "model.safetensors: 100%" in err
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    hub.fetch_file(REPO, "model.safetensors", cache_dir=tmp_path / "hidden")
    assert capsys.readouterr() == ("", "")


# -- plain addresses


@pytest.fixture
def archive(server):
    server.routes["/releases/uncased.zip?v=1"] = Answer(200, {"ETag": '"one"'}, WEIGHTS)
    return f"{server.url}/releases/uncased.zip?v=1"


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256.upper()])
def test_an_address_is_fetched_once(server, archive, tmp_path, sha256):
    server.spoil("GET", cut(1000))
    path = hub.fetch_url(archive, sha256=sha256)
    assert path.name == "uncased.zip" and path.read_bytes() == WEIGHTS
    assert path.is_relative_to(tmp_path / "home/assets/modelwright/urls")
    assert server.seen("GET")[1]["Range"] == "bytes=1000-"
    assert server.seen("GET")[1].get("If-Range") == '"one"'
    server.log.clear()
    assert hub.fetch_url(archive + "#part", sha256=sha256) == path
    assert server.log == []
    assert os.listdir(path.parent) == ["uncased.zip"]


def test_an_address_whose_contents_change_meanwhile(server, archive):
    server.spoil("GET", *[cut(1000)] * 5)
    message(lambda: hub.fetch_url(archive))
    server.routes["/releases/uncased.zip?v=1"] = Answer(200, {"ETag": '"two"'}, CONFIG * 1000)
    path = hub.fetch_url(archive)
    assert path.read_bytes() == CONFIG * 1000
    assert os.listdir(path.parent) == ["uncased.zip"]


def test_an_address_without_head_and_length(server, archive):
    server.spoil("HEAD", status(405))
    assert hub.fetch_url(archive).read_bytes() == WEIGHTS


@pytest.mark.parametrize("address, said", [
    ("file:///etc/passwd", "not an http or https address"), ("ftp://bucket/x", "not an http"),
    ("http://", "names no host"),
    ("{0}/missing.zip", "404 Not Found"), ("{0}/a%2F..%2F..%2Fb/%2E%2E", "plain relative path"),
    ("http://me:secret@127.0.0.1:1/x.zip?secret=1", "Connection refused"),
])
def test_bad_addresses(server, address, said):
    text = message(lambda: hub.fetch_url(address.format(server.url)))
    assert said in text and "secret" not in text


def test_an_address_with_another_checksum(server, archive, tmp_path):
    assert "arrived damaged, twice" in message(lambda: hub.fetch_url(archive, sha256="0" * 64))
    assert not list((tmp_path / "home").rglob("uncased*"))
    message(lambda: hub.fetch_url(archive, sha256="abc"), UsageError)


# -- huggingface_hub reads what we write, and the other way round


def test_huggingface_hub_finds_ours(server, cdn, tmp_path):
    theirs = pytest.importorskip("huggingface_hub")
    root = tmp_path / "home" / "hub"
    found = hub.fetch(REPO, ["config.json", "model.safetensors"], optional=["vocab.txt"])
    for name, path in found.items():
        assert theirs.try_to_load_from_cache(REPO, name, cache_dir=root) == str(path)
        assert theirs.hf_hub_download(REPO, name, cache_dir=root, local_files_only=True) == str(path)
    assert theirs.try_to_load_from_cache(REPO, "vocab.txt", cache_dir=root) is theirs._CACHED_NO_EXIST
    report = theirs.scan_cache_dir(root)
    assert not report.warnings
    (repo,) = report.repos
    assert (repo.repo_id, repo.size_on_disk) == (REPO, len(CONFIG) + len(WEIGHTS))
    (revision,) = repo.revisions
    assert revision.commit_hash == COMMIT and revision.refs == {"main"} and len(revision.files) == 2


def test_ours_finds_huggingface_hubs(server, tmp_path, monkeypatch, no_sockets):
    theirs = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(theirs.constants, "HF_HUB_OFFLINE", False)
    path = theirs.hf_hub_download(REPO, "config.json", cache_dir=tmp_path, endpoint=server.url)
    with pytest.raises(theirs.errors.EntryNotFoundError):
        theirs.hf_hub_download(REPO, "vocab.txt", cache_dir=tmp_path, endpoint=server.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    no_sockets()
    for revision in (None, COMMIT):
        assert str(hub.fetch_file(REPO, "config.json", cache_dir=tmp_path, revision=revision)) == path
    assert "has no file `vocab.txt`" in message(lambda: hub.fetch_file(REPO, "vocab.txt", cache_dir=tmp_path))


def test_importing_costs_no_http_library():
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]); import conftest;"
        "importlib.import_module('modelwright.assembler.hub');"
        "sys.exit(bool({'requests', 'tqdm', 'torch', 'huggingface_hub'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-P", "-c", code, str(Path(__file__).parent)], check=True, timeout=60)
