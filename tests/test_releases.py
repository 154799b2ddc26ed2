"""Releases by name and by address, from servers that misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
import torch

import modelwright as mw
from modelwright.assembler.hub import RemoteFolder, buckets, download, is_repo_id
from modelwright.assembler.hub.cache import plain_name
from modelwright.assembler.language import layers
from modelwright.assembler.language.spec import find_pretrained, find_release, load_spec, pretrained_names
from modelwright.assembler.stores.crc32c import crc32c
from modelwright.assembler.weights.checkpoint import open_checkpoint
from modelwright.assembler.weights.names import find_named
from modelwright.assembler.weights.releases import fetch_release
from modelwright.errors import DownloadError, SpecError, TokenizerError, UsageError, WeightsError

from .fault_server import Answer, Server, serving

SMALL = {
    "vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "max_position_embeddings": 8,
}  # fmt: skip
VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nHello\nworld\n!\na\nb\nc\n"
SPECS = layers.SPECS
DATA, INDEX = "model.ckpt.data-00000-of-00001", "model.ckpt.index"


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """A checkpoint of TensorFlow, its config and vocabulary."""
    folder = tmp_path_factory.mktemp("release")
    mw.build("bert", **SMALL).save(folder, format="google")
    (folder / "vocab.txt").write_text(VOCAB)
    return folder


@pytest.fixture
def server(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ASSETS_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.005)
    with serving() as server:
        monkeypatch.setattr(buckets, "STORAGE", f"{server.url}/store")
        yield server


def publish(server: Server, folder: Path, at: str = "/release", without: tuple[str, ...] = ()) -> str:
    """Serve a folder's files; gives the address of the folder."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in without:
            body = path.read_bytes()
            server.routes[f"{at}/{quote(name)}"] = Answer(200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, body)
    return server.url + at


def lists(server: Server, *pages: list[dict], bucket: str = "bucket", path: str = "release") -> None:
    """Let the server list a bucket's folder."""
    fields = "items(name,size,md5Hash,crc32c),nextPageToken"
    for number, items in enumerate(pages):
        query = {"prefix": f"{path}/", "maxResults": "1000", "fields": fields}
        query |= {"pageToken": str(number)} if number else {}
        page = {"items": items} | ({"nextPageToken": str(number + 1)} if number + 1 < len(pages) else {})
        address = f"/store/storage/v1/b/{bucket}/o?{urlencode(query)}"
        server.routes[address] = Answer(200, {}, json.dumps(page).encode())


def entry(path: Path, **change: str) -> dict:
    body = path.read_bytes()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return {"name": f"release/{path.name}", "size": str(len(body)), "md5Hash": md5} | change


def knows(monkeypatch, folder: Path, pretrained: dict, spec: str = "bert") -> None:
    """Let the spec of that name say where checkpoints are."""
    folder.mkdir()
    for path in SPECS.glob("*.yaml"):
        text = path.read_text(encoding="utf-8").partition("\npretrained:")[0]
        more = f"\npretrained: {json.dumps(pretrained)}\n" if path.stem == spec else "\n"
        (folder / path.name).write_text(text + more, encoding="utf-8")
    monkeypatch.setattr(layers, "SPECS", folder)


def asked(server: Server) -> list[str]:
    """What was downloaded so far."""
    return [path.rpartition("/")[2] for method, path, _ in server.log if method == "GET"]


def offline(monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def same(model: mw.Model, folder: Path) -> bool:
    wanted = mw.build("bert", weights=folder).state_dict()
    found = model.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def message(action, kind=DownloadError) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert len(caught.value.diagnostics) == 1
    return str(caught.value)


def cut(size: int):
    def fault(answer: Answer) -> None:
        answer.cut = size

    return fault


# -- folders


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_tells_what_is_in_it(server, release, monkeypatch, tmp_path, slash):
    url = publish(server, release) + slash
    assert same(mw.build(weights=url), release)
    got = asked(server)
    assert set(got) == {"checkpoint", "bert_config.json", INDEX, DATA}, "the config of any spec, no vocabulary"
    assert got.index("bert_config.json") < got.index(DATA)
    server.log.clear()
    offline(monkeypatch)
    assert same(mw.build(weights=url), release)
    assert server.log == []
    (folder,) = (path for path in (tmp_path / "home/assets/modelwright/releases").iterdir() if path.is_dir())
    assert {path.name for path in folder.iterdir()} == set(got), "all in one folder, nothing half"


@pytest.mark.parametrize("name", ["model.ckpt", INDEX, DATA])
def test_a_prefix(server, release, name):
    url = publish(server, release, without=("checkpoint",))
    assert same(mw.build(weights=f"{url}/{name}"), release)
    assert "vocab.txt" not in asked(server)


def test_a_prefix_that_is_none(server, release):
    url = publish(server, release)
    assert "answered 404" in message(lambda: mw.build(weights=f"{url}/other.ckpt.index"))
    assert "answered 404" in message(lambda: mw.build(weights=f"{url}/other.ckpt"))
    assert "no weights are found" in message(lambda: mw.build(weights=f"{server.url}/nothing/"))


def test_a_download_goes_on_where_it_stopped(server, release, monkeypatch):
    url = publish(server, release)
    server.spoil("GET", *[lambda answer: None] * 3, cut(100))  # of the data, which comes last
    assert same(mw.build(weights=url), release)
    ranges = [headers.get("Range") for method, path, headers in server.log if method == "GET" and path.endswith(DATA)]
    assert ranges == [None, "bytes=100-"]


def test_an_unfinished_release_is_none(server, release, monkeypatch):
    url = publish(server, release)
    server.spoil("GET", *[lambda answer: None] * 3, *[cut(100)] * 5)
    assert f"{DATA}` is not on this machine and cannot be downloaded" in message(lambda: mw.build(weights=url))
    with monkeypatch.context() as patch:
        offline(patch)
        text = message(lambda: mw.build(weights=url))
        assert DATA in text and "HF_HUB_OFFLINE=1" in text
    server.log.clear()
    assert same(mw.build(weights=url), release)
    assert [headers.get("Range") for headers in server.seen("GET")] == ["bytes=500-"], "what was there is kept"


def test_an_optional_file_that_nobody_has_asked_for(server, release, monkeypatch):
    """Its absence would be taken for granted."""
    url = publish(server, release)
    with RemoteFolder(url) as folder:
        for name in ("checkpoint", INDEX, DATA):
            folder.file(name)
    offline(monkeypatch)
    assert "config.json" in message(lambda: mw.build(weights=url + "/"))


def test_what_the_note_says_leads_nowhere_else(server, release, tmp_path):
    folder = shutil.copytree(release, tmp_path / "copy")
    (folder / "checkpoint").write_text('model_checkpoint_path: "/home/me/../../etc/model.ckpt"\n')
    assert same(mw.build(weights=publish(server, folder)), release)
    for note in ('model_checkpoint_path: ""', 'model_checkpoint_path: "a/.."', "<html>"):
        (folder / "checkpoint").write_text(note)
        text = message(lambda: mw.build(weights=publish(server, folder, "/other")))
        assert "/other/checkpoint is no note of TensorFlow's" in text


def test_a_damaged_index_is_not_kept(server, release, tmp_path):
    folder = shutil.copytree(release, tmp_path / "copy")
    body = bytearray((release / INDEX).read_bytes())
    body[20] ^= 255
    (folder / INDEX).write_bytes(body)
    url = publish(server, folder)
    message(lambda: mw.build(weights=url), WeightsError)
    publish(server, release)
    assert same(mw.build(weights=url), release)


# -- files: of a spec


def test_a_name_with_a_format(server, release, monkeypatch, tmp_path):
    url = publish(server, release)
    files = ["bert_config.json", "vocab.txt?", "gone.txt?", INDEX]
    google = {"at": url, "files": files, "hparams": {"hidden_act": "relu"}}
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"huggingface": "org/tiny", "google": google}})
    checkpoint = open_checkpoint("tiny@google")
    checkpoint.store.close()
    assert (checkpoint.spec, checkpoint.format, checkpoint.hparams) == ("bert", "google", {"hidden_act": "relu"})
    assert checkpoint.config["hidden_size"] == SMALL["hidden_size"]
    assert same(mw.build(weights="tiny@google"), release)
    assert [path for _, path, _ in server.log].count("/release/gone.txt") == 1, "its absence is remembered"
    assert find_named("tiny").target == find_named("tiny@huggingface").target == "org/tiny"
    server.log.clear()
    offline(monkeypatch)
    assert same(mw.build(weights="tiny@google"), release)


def test_the_address_brings_what_its_name_would(server, release, monkeypatch, tmp_path):
    url = publish(server, release)
    google = {"at": url + "/", "files": ["bert_config.json", INDEX], "hparams": {"hidden_act": "relu"}}
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"google": google}})
    for name in ("tiny", "tiny@google", url, url + "/"):
        assert find_named(name) == find_release(url) == find_pretrained("tiny")[0]
        checkpoint = open_checkpoint(name)
        checkpoint.store.close()
        assert (checkpoint.spec, checkpoint.format, checkpoint.hparams) == ("bert", "google", {"hidden_act": "relu"})
    assert "vocab.txt" not in asked(server)


def test_names_that_mean_nothing(monkeypatch, tmp_path):
    knows(monkeypatch, tmp_path / "specs", {"tiny-bert": {"huggingface": "org/tiny", "google": "https://x.org/a.zip"}})
    text = message(lambda: mw.build(weights="tiny-bert@gogle"), UsageError)
    assert "did you mean `google`" in text and "`tiny-bert@huggingface` and `tiny-bert@google`" in text
    assert "did you mean `tiny-bert@google`" in message(lambda: mw.build(weights="tiny-brt@google"))
    assert "no name of a model" in message(lambda: mw.build(weights="org/other@google"))


def test_a_missing_file(server, release, monkeypatch, tmp_path):
    url = publish(server, release, without=("vocab.txt",))
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"google": {"at": url, "files": ["vocab.txt", INDEX]}}})
    assert "/release/vocab.txt answered 404 Not Found" in message(lambda: mw.build(weights="tiny"))


def test_a_store_that_forbids_what_it_has_not(server, release, monkeypatch, tmp_path):
    server.routes["/release/gone.txt"] = Answer(403)
    url = publish(server, release)
    with RemoteFolder(url) as folder:
        assert folder.file("gone.txt", required=False) is None  # so far it may forbid everything
        assert folder.file("vocab.txt") and folder.file("gone.txt", required=False) is None
        server.log.clear()
        assert folder.file("gone.txt", required=False) is None and server.log == []
        assert "403 Forbidden" in message(lambda: folder.file("gone.txt"))


def test_files_beside_a_file(server, release, monkeypatch, tmp_path):
    """And one that lies elsewhere."""
    url = publish(server, release, without=("vocab.txt",))
    elsewhere = publish(server, release, "/vocabularies")
    weights = tmp_path / "model.pth"
    model = mw.build("bert", **SMALL)
    torch.save(model.state_dict(), weights)
    server.routes["/release/model.pth"] = Answer(200, {}, weights.read_bytes())
    place = {"at": f"{url}/model.pth", "files": ["bert_config.json", f"{elsewhere}/vocab.txt"]}
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"huggingface": place}})
    path = fetch_release(find_named("tiny"))
    assert path.read_bytes() == weights.read_bytes()
    assert {file.name for file in path.parent.iterdir()} == {"model.pth", "bert_config.json", "vocab.txt"}


def test_files_of_a_repository(server, release, monkeypatch, tmp_path):
    """Weights under another name than the hub's usual one."""
    model = mw.build("bert", **SMALL)
    model.save(tmp_path / "saved")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.publish("org/tiny", "config.json", (tmp_path / "saved" / "config.json").read_bytes())
    server.publish("org/tiny", "vocab.txt", VOCAB.encode())
    server.publish("org/tiny", "other.safetensors", (tmp_path / "saved" / "model.safetensors").read_bytes())
    place = {"at": "org/tiny", "files": ["config.json", "gone.txt?", "other.safetensors"]}
    lost = {"at": "org/tiny", "files": ["config.json", "lost.safetensors"]}
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"huggingface": place}, "lost": {"huggingface": lost}})
    found = mw.build(weights="tiny").state_dict()
    assert all(torch.equal(value, found[name]) for name, value in model.state_dict().items())
    assert "has no file `lost.safetensors`" in message(lambda: mw.build(weights="lost"))
    assert pieces(mw.load_tokenizer("tiny")) == ["hello", "world", "!"]


@pytest.mark.parametrize("name", ["../vocab.txt", "/etc/passwd", "a/../../b"])
def test_names_stay_inside(server, release, monkeypatch, tmp_path, name):
    url = publish(server, release)
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"google": {"at": url, "files": [name, INDEX]}}})
    assert "is not a plain relative path" in message(lambda: mw.build(weights="tiny"))


# -- checksums


def test_a_sum_of_the_spec(server, release, monkeypatch, tmp_path):
    url = publish(server, release)
    right = hashlib.sha256((release / "vocab.txt").read_bytes()).hexdigest().upper()
    place = {"at": url, "files": ["vocab.txt", INDEX], "sha256": {"vocab.txt": right}}
    wrong = {"at": f"{url}/again", "files": [INDEX], "sha256": {DATA: "0" * 64}}
    knows(monkeypatch, tmp_path / "specs", {"right": {"google": place}, "wrong": {"google": wrong}})
    assert same(mw.build(weights="right", config=release / "bert_config.json"), release)
    publish(server, release, "/release/again")
    assert f"`{DATA}` arrived damaged, twice" in message(lambda: mw.build(weights="wrong"))


@pytest.mark.parametrize("kind", ["md5", "crc32c", "azure"])
def test_a_sum_that_the_server_announces(server, release, kind):
    url = publish(server, release)
    body = (release / DATA).read_bytes()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    crc = base64.b64encode(crc32c(memoryview(body)).to_bytes(4, "big")).decode()
    header = {"md5": ("X-Goog-Hash", f"crc32c=AAAAAA==, md5={md5}"), "crc32c": ("X-Goog-Hash", f"crc32c={crc}"),
              "azure": ("Content-MD5", md5)}[kind]  # fmt: skip
    route = server.routes[f"/release/{DATA}"]
    route.headers[header[0]] = header[1]
    spoilt = bytearray(body)
    spoilt[7] ^= 1
    route.body = bytes(spoilt)
    assert f"`{DATA}` arrived damaged, twice" in message(lambda: mw.build(weights=url))
    route.body = body
    assert same(mw.build(weights=url), release)


# -- buckets


def bucket(server: Server, release: Path) -> None:
    publish(server, release, "/store/bucket/release", without=("checkpoint",))


@pytest.mark.parametrize("scheme", ["gs", "https"])
def test_a_listing_tells_what_there_is(server, release, monkeypatch, scheme):
    bucket(server, release)
    names = ["bert_config.json", INDEX, DATA, "vocab.txt"]
    entries = [entry(release / name) for name in names]
    odd = [{"name": name} for name in ("release/", "release/../../x.index", "release//y.index", "elsewhere/z.index",
                                       "release/a\\b.index", "release/eval/old.ckpt.index")]  # fmt: skip
    lists(server, [*odd, entries[0]], [], [*entries[1:], {"size": 3}, "nonsense"])
    url = "gs://bucket/release" if scheme == "gs" else f"{server.url}/store/bucket/release/"
    assert same(mw.build(weights=url), release)
    assert "vocab.txt" not in asked(server)
    server.log.clear()
    assert same(mw.build(weights=url), release)
    assert server.log == []
    offline(monkeypatch)
    assert same(mw.build(weights=url), release)


def test_a_listing_is_believed_no_further_than_its_sums(server, release):
    bucket(server, release)
    lists(server, [entry(release / INDEX, md5Hash=base64.b64encode(bytes(16)).decode()), entry(release / DATA)])
    assert "arrived damaged, twice" in message(lambda: mw.build(weights="gs://bucket/release/"))


def test_a_listing_with_several_checkpoints(server, release):
    lists(server, [{"name": "release/model.ckpt-1.index"}, {"name": "release/model.ckpt-2.index"}])
    text = message(lambda: mw.build(weights="gs://bucket/release/"))
    assert "2 checkpoints" in text and f"{server.url}/store/bucket/release/model.ckpt-2" in text


@pytest.mark.parametrize("body, said", [
    (b"<html>", "no listing"), (b"[1]", "no listing"), (b"[" * 100_000, "no listing"),
    (b"{" + b" " * (1 << 22), "sends more than"), (b"{}", "no weights are found"), (b'{"items": 3}', "no weights"),
])
def test_what_is_no_listing(server, body, said):
    lists(server, [])
    (address,) = server.routes
    server.routes[address] = Answer(200, {}, body)
    assert said in message(lambda: mw.build(weights="gs://bucket/release/"))


def test_a_listing_without_an_end(server, monkeypatch):
    monkeypatch.setattr(buckets, "PAGES", 3)
    lists(server, *[[{"name": f"release/{number}"}] for number in range(5)])
    assert "has more than 3,000 files" in message(lambda: mw.build(weights="gs://bucket/release/"))


def test_a_bucket_that_may_not_be_listed(server):
    lists(server, [])
    (address,) = server.routes
    server.routes[address] = Answer(403)
    assert "403 Forbidden" in message(lambda: mw.build(weights="gs://bucket/release/"))


# -- tokenizers


def pieces(tokenizer) -> list[str]:
    return tokenizer.tokenize("Hello world!")


def test_the_tokenizer_of_a_release_needs_no_weights(server, release, monkeypatch, tmp_path):
    url = publish(server, release)
    files = ["bert_config.json", "vocab.txt", INDEX]
    cased = {"at": f"{url}/", "files": files, "tokenizer": {"do_lower_case": False}}
    knows(monkeypatch, tmp_path / "specs", {"cased": {"google": cased}, "open": {"google": f"{url}/model.ckpt"}})
    assert pieces(mw.load_tokenizer("cased@google")) == ["Hello", "world", "!"]
    assert asked(server) == ["vocab.txt"]
    assert pieces(mw.load_tokenizer(url, do_lower_case=True)) == ["hello", "world", "!"]
    assert pieces(mw.load_tokenizer("open")) == ["hello", "world", "!"]
    assert DATA not in asked(server)
    assert same(mw.build(weights="cased"), release)
    offline(monkeypatch)
    assert pieces(mw.load_tokenizer("cased")) == ["Hello", "world", "!"]


def test_the_tokenizer_behind_any_address(server, release):
    url = publish(server, release)
    assert pieces(mw.load_tokenizer(url, spec="bert")) == ["hello", "world", "!"]
    assert asked(server) == ["vocab.txt"]
    assert "cannot tell which spec" in message(lambda: mw.load_tokenizer(f"{url}/vocab.txt"), TokenizerError)
    assert "has no vocabulary `vocab.txt`" in message(
        lambda: mw.load_tokenizer(f"{server.url}/nothing/", spec="bert"), TokenizerError
    )


def test_the_tokenizer_of_a_bucket(server, release, monkeypatch, tmp_path):
    bucket(server, release)
    lists(server, [entry(release / name) for name in (INDEX, DATA, "vocab.txt")])
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"google": "gs://bucket/release"}})
    assert pieces(mw.load_tokenizer("tiny")) == ["hello", "world", "!"]
    assert DATA not in asked(server)


@pytest.mark.parametrize("ending", ["zip", "gztar"])
def test_the_tokenizer_of_an_archive(server, release, monkeypatch, tmp_path, ending):
    archive = Path(shutil.make_archive(str(tmp_path / "release"), ending, release))
    server.routes[f"/{archive.name}"] = Answer(200, {}, archive.read_bytes())
    publish(server, release)
    assert pieces(mw.load_tokenizer(archive)) == ["hello", "world", "!"]
    place = {"at": f"{server.url}/{archive.name}", "files": [f"{server.url}/release/checkpoint"]}
    alone = {"at": f"{server.url}/{archive.name}?"}
    knows(monkeypatch, tmp_path / "specs", {"tiny": {"google": place}, "alone": {"google": alone}})
    assert pieces(mw.load_tokenizer("tiny@google")) == ["hello", "world", "!"]
    assert pieces(mw.load_tokenizer(f"{server.url}/{archive.name}#x", spec="bert")) == ["hello", "world", "!"]
    assert same(mw.build(weights="tiny"), release)


@pytest.mark.parametrize("part", ["", "data", "assets"])
def test_the_tokenizer_of_a_folder(release, tmp_path, part):
    folder = shutil.copytree(release, tmp_path / "copy")
    if part:
        (folder / part).mkdir()
        (folder / "vocab.txt").rename(folder / part / "vocab.txt")
    for path in (folder, folder / "model.ckpt"):
        assert pieces(mw.load_tokenizer(path)) == ["hello", "world", "!"]


def test_a_release_in_parts(release, tmp_path):
    """Weights in `model`, all else in `data`; the whole is named, or the part with the weights."""
    for part in ("model", "data"):
        (tmp_path / part).mkdir()
    for path in release.iterdir():
        shutil.copy(path, tmp_path / ("data" if path.suffix in (".json", ".txt") else "model"))
    for path in (tmp_path, tmp_path / "model", tmp_path / "model" / "model.ckpt"):
        assert same(mw.build(weights=path), release)
    assert pieces(mw.load_tokenizer(tmp_path)) == ["hello", "world", "!"]


# -- what the specs say


RELEASES = [
    (name, place) for name in pretrained_names() for place in find_pretrained(name) if place.is_release
]  # fmt: skip


@pytest.mark.parametrize("name, place", RELEASES, ids=[f"{name}@{place.format}" for name, place in RELEASES])
def test_what_a_spec_says_of_a_release_is_sound(name, place):
    assert find_named(f"{name}@{place.format}") == place == find_release(place.target)
    assert not is_repo_id(place.target)
    plain = [entry.removesuffix("?").rpartition("/")[2] if "://" in entry else entry for entry in place.files]
    assert all(plain_name(entry.removesuffix("?"), "it") for entry in plain)
    assert set(place.sha256) <= {entry.removesuffix("?") for entry in plain}
    hparams = load_spec(place.spec).with_overrides(dict(place.hparams)).hparams()
    assert all(hparams[key] == value for key, value in place.hparams.items())


@pytest.mark.parametrize("place, said", [
    ({"files": []}, "lacks `at`"), ({"at": "x", "file": []}, "did you mean `files`"), ([1], "must be"),
    ({"at": "https://x", "hparams": {"hiden_size": 1}}, "did you mean `hidden_size`"),
    ({"at": "https://x", "sha256": {"a": "0"}}, "sha256"), ({"at": "org/x"}, "unknown format `gogle`"),
])
def test_mistakes_in_a_spec(tmp_path, place, said):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: bert\npretrained: {{mine: {{gogle: {json.dumps(place)}}}}}\n")
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert said in str(caught.value)


# -- what releases do not say


GOLDEN = Path(__file__).parent / "golden" / "releases"


def golden(server: Server, name: str, monkeypatch, tmp_path: Path, **place) -> dict:
    """Serve a golden release as `tiny` of its spec; gives its case."""
    case = json.loads((GOLDEN / name / "case.json").read_text())
    at = publish(server, GOLDEN / name / "release")
    knows(monkeypatch, tmp_path / "specs", {"tiny": {case["format"]: {"at": at, **place}}}, spec=case["spec"])
    return case


def test_what_a_release_does_not_store_comes_with_its_name(server, monkeypatch, tmp_path):
    files = ["params_shapes.json", *(f"params_{number}.npy" for number in range(10))]
    case = golden(server, "gpt", monkeypatch, tmp_path, files=files, hparams={"num_attention_heads": 3})
    assert case["set"] == {"num_attention_heads": 3}
    model = mw.build(weights="tiny")
    assert (model.load_report.format, model.config.num_attention_heads) == ("openai", 3)
    assert mw.build(weights="tiny@openai", num_attention_heads=6).config.num_attention_heads == 6
    again = mw.build(weights=GOLDEN / "gpt" / "release", num_attention_heads=3).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_a_release_in_parts_behind_an_address(server, monkeypatch, tmp_path):
    release = GOLDEN / "transfo_xl_lm1b" / "release"
    names = [path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()]
    (index,) = (name for name in names if name.endswith(".index"))
    files = ["data/corpus-info.json", "model/checkpoint", index]
    case = json.loads((GOLDEN / "transfo_xl_lm1b" / "case.json").read_text())
    golden(server, "transfo_xl_lm1b", monkeypatch, tmp_path, files=files, hparams=case["set"])
    model, again = mw.build(weights="tiny"), mw.build(weights=release, **case["set"])
    assert model.config == again.config
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    assert {name.rpartition("/")[2] for name in names} >= set(asked(server)), "and no `.meta`"
    assert not [name for name in asked(server) if name.endswith(".meta")]
