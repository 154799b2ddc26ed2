"""Stores of the authors' own formats against the libraries that wrote them, both ways."""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import os
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch

from modelwright.assembler.stores import open_store, read_pickled, verify, write_numpy, write_pickle, write_torch
from modelwright.assembler.stores.arrays import StoredArray
from modelwright.errors import ModelwrightError, WeightsError

np = pytest.importorskip("numpy")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def release() -> Path:
    folder = Path(os.environ.get("MODELWRIGHT_TEST_DATA", ROOT.parent / "shared" / "data")).parent
    folder = folder / "fixtures" / "original" / "gpt" / "release"
    if not folder.is_dir():
        pytest.skip("the release is not here")
    return folder


def equal(store, expected: dict[str, torch.Tensor]) -> bool:
    same = {name: torch.equal(store.read(name), tensor) for name, tensor in expected.items()}
    return set(store.tensors) == set(expected) and all(same.values()) and verify(store) == []


# NumPy shards


def test_shards_of_a_release(release: Path, tmp_path: Path) -> None:
    flat = torch.from_numpy(np.concatenate([np.load(release / f"params_{i}.npy") for i in range(10)]))
    shapes = json.loads((release / "params_shapes.json").read_text())
    pieces = flat.split([int(np.prod(shape)) for shape in shapes])
    expected = {f"params/{i}": piece.view(shape) for i, (piece, shape) in enumerate(zip(pieces, shapes, strict=True))}
    with open_store(release) as store:
        assert store.name == "numpy" and list(store.tensors) == list(expected) and len(store.paths) == 11
        assert equal(store, expected)
        assert [list(info.shape) for info in store.tensors.values()] == shapes
        written = write_numpy(tmp_path, {name: store.read(name) for name in reversed(store.tensors)})
    assert {path.name: path.read_bytes() for path in written} == {
        path.name: path.read_bytes() for path in release.glob("params_*")
    }
    with pytest.raises(WeightsError, match="closed"):
        store.read("params/0")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
@pytest.mark.parametrize("pieces", [1, 3, 10])
def test_shards_written_are_read_by_numpy(dtype: torch.dtype, pieces: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    shapes = [(3, 5), (), (0, 4), (7,), (1, 2, 3), (40,)]
    content = {f"params/{i}": (torch.randn(shape) * 9).to(dtype) for i, shape in enumerate(shapes)}
    content["params/4"] = content["params/4"].transpose(1, 2).contiguous().transpose(1, 2)
    write_numpy(tmp_path, content, pieces)
    flat = np.concatenate([np.load(tmp_path / f"params_{i}.npy") for i in range(pieces)])
    assert np.array_equal(flat, torch.cat([tensor.reshape(-1) for tensor in content.values()]).numpy())
    assert equal(open_store(tmp_path / "params_shapes.json"), content)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header(version: tuple[int, int], tmp_path: Path) -> None:
    with (tmp_path / "params_0.npy").open("wb") as file:
        np.lib.format.write_array(file, np.arange(6, dtype="<f8"), version)
    (tmp_path / "params_shapes.json").write_text("[[2], [4]]")
    first, second = torch.arange(6.0).double().split([2, 4])
    assert equal(open_store(tmp_path), {"params/0": first, "params/1": second})


def test_shards_are_mapped_and_private(tmp_path: Path) -> None:
    write_numpy(tmp_path, {"params/0": torch.ones(100), "params/1": torch.ones(60)}, 2)
    before = (tmp_path / "params_0.npy").read_bytes()
    store = open_store(tmp_path)
    store.read("params/1").zero_()  # all in the second file, so mapped; the first lies in both
    store.read("params/0").zero_()
    assert (tmp_path / "params_0.npy").read_bytes() == before
    assert store.read("params/0").sum() == 100


@pytest.mark.parametrize(("content", "message"), [
    ({"params/0": torch.ones(1), "params/2": torch.ones(1)}, "`params/0` to `params/1`; there is `params/2`"),
    ({}, "there is `nothing`"), ({"params/0": torch.ones(1).bfloat16()}, "cannot hold `bfloat16`"),
    ({"params/0": torch.ones(1), "params/1": torch.ones(1).int()}, "cannot hold"),
    ({"params/0": torch.ones(1, device="meta")}, "no values"),
])
def test_what_shards_cannot_hold(content: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        write_numpy(tmp_path, content)
    assert not list(tmp_path.iterdir())


# Training checkpoints of torch


def options() -> argparse.Namespace:
    return argparse.Namespace(arch="large", encoder_layers=2, dropout=0.1, betas=(0.9, 0.98), task=None, langs=["a"])


def training_checkpoint() -> dict[str, object]:
    """As released ones are: options, dictionaries, tensors and arrays beside the weights."""
    return {
        "model": collections.OrderedDict({"module.w": torch.arange(6.0).view(2, 3), "module.b": torch.ones(3)}),
        "args": options(),
        "params": {
            "n_layers": 6, "pred_probs": torch.rand(5), "mask_scores": np.arange(4, dtype="f8"),
            "step": np.float32(2.5), "many": np.int64(7), "pairs": {("en", "fr"): "path"}, "steps": [("en", "fr")],
        },
        "dico_id2word": {0: "<s>", 1: "</s>"}, "dico_counts": collections.Counter(a=3), "epoch": 4,
    }  # fmt: skip


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_lies_beside_a_state_dict(old: bool, protocol: int, tmp_path: Path) -> None:
    content = training_checkpoint()
    content["params"]["mask_scores"] = np.arange(2000, dtype="f8")  # long enough to be left in the file
    torch.save(content, tmp_path / "m.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=not old)
    with open_store(tmp_path) as store:
        assert list(store.tensors) == ["w", "b"]  # without `module.`
        assert equal(store, {"w": torch.arange(6.0).view(2, 3), "b": torch.ones(3)})
        args, params = store.extras["args"], store.extras["params"]
        assert args == vars(options()) and isinstance(args, dict)
        assert (params["step"], params["many"], params["n_layers"]) == (2.5, 7, 6)
        assert params["pairs"] == {("en", "fr"): "path"} and params["steps"] == [("en", "fr")]
        assert store.extras["dico_id2word"] == {0: "<s>", 1: "</s>"} and store.extras["dico_counts"] == {"a": 3}
        assert torch.equal(store.read_value(params["pred_probs"]), content["params"]["pred_probs"])
        assert store.read_value(params["mask_scores"]).tolist() == list(range(2000))
        assert set(store.ignored) == set(content) - {"model"}


def test_only_a_common_prefix_is_dropped(tmp_path: Path) -> None:
    torch.save({"model": {"module.w": torch.ones(1), "w": torch.zeros(1)}, "epoch": 1}, tmp_path / "m.pt")
    assert list(open_store(tmp_path).tensors) == ["module.w", "w"]
    torch.save({"module.w": torch.ones(1)}, tmp_path / "m.pt")  # the model may well have a part of that name
    assert list(open_store(tmp_path).tensors) == ["module.w"]


@pytest.mark.parametrize("old", [True, False])
def test_torch_reads_what_is_written(old: bool, tmp_path: Path) -> None:
    base = torch.arange(12.0).view(3, 4)
    content = {"whole": base, "part": base[1:], "turned": base.t(), "half": base.bfloat16()}
    write_torch(tmp_path / "model.pt", content, {"args": options(), "epoch": 1}, old=old)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
    read = torch.load(tmp_path / "model.pt", weights_only=False)
    assert read["args"] == options() and read["epoch"] == 1
    assert all(torch.equal(read["model"][name], tensor) for name, tensor in content.items())
    with open_store(tmp_path) as store:
        assert equal(store, content) and store.extras["args"] == vars(options())
        write_torch(tmp_path / "plain.bin", {"w": base}, old=old)
        assert torch.equal(torch.load(tmp_path / "plain.bin")["w"], base)
        write_torch(tmp_path / "again.pt", {"w": base}, store.extras, old=old)  # what was read can be written
    assert torch.load(tmp_path / "again.pt")["args"] == vars(options())
    with pytest.raises(WeightsError, match="no values"):
        write_torch(tmp_path / "model.pt", {"w": torch.ones(1, device="meta")})
    torch.save(training_checkpoint(), tmp_path / "model.pt")
    with pytest.raises(WeightsError, match="`params` is not a plain value"):
        write_torch(tmp_path / "m.pt", {}, open_store(tmp_path / "model.pt").extras)


def test_a_module_pickled_whole(tmp_path: Path) -> None:
    for old in (True, False):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt", _use_new_zipfile_serialization=not old)
        with pytest.raises(WeightsError, match="a module pickled whole perhaps, of `torch.nn.modules.linear.Linear`"):
            open_store(tmp_path)


# Pickled arrays


def trained() -> dict[str, object]:
    scale = [(np.ones(4, "f4"), np.zeros(4, "f4"))]
    heads = tuple(np.random.default_rng(i).standard_normal((2, 64, 16)).astype("f4") for i in range(3))
    return {
        "weights": [(), np.arange(6, dtype="f4").reshape(2, 3), (), (np.ones((1, 2, 1, 3)),), [[scale, heads], ()]],
        "slots": [np.float32(0.5), np.asfortranarray(np.arange(6).reshape(2, 3))],
        "step": np.int64(7), "history": {"train": [(0, np.float64(1.5))]}, "empty": [],
    }


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("numpy", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("file", ["model.pkl", "model.pkl.gz"])
def test_pickled_arrays(protocol: int, numpy: str, file: str, tmp_path: Path) -> None:
    content = trained()
    data = pickle.dumps(content, protocol)
    if protocol < 4:  # the module's name as other releases of NumPy have it
        data = data.replace(b"cnumpy._core.", b"cnumpy.core.").replace(b"cnumpy.core.", f"c{numpy}.".encode())
    (tmp_path / file).write_bytes(gzip.compress(data) if file.endswith("gz") else data)
    with open_store(tmp_path) as store:
        assert store.name == "pickle" and store.empty == ["weights/0", "weights/2", "weights/4/1", "empty"]
        assert store.extras == {"step": 7, "history": {"train": [(0, 1.5)]}, "empty": []}
        weights = content["weights"]
        found = {name: np.asarray(value) for name, value in {
            "weights/1": weights[1], "weights/3/0": weights[3][0], "weights/4/0/0/0/0": weights[4][0][0][0][0],
            "weights/4/0/0/0/1": weights[4][0][0][0][1], "weights/4/0/1/0": weights[4][0][1][0],
            "weights/4/0/1/1": weights[4][0][1][1], "weights/4/0/1/2": weights[4][0][1][2],
            "slots/1": content["slots"][1],
        }.items()}  # fmt: skip
        assert equal(store, {name: torch.from_numpy(value) for name, value in found.items()})


@pytest.mark.parametrize("file", ["model.pkl", "model.pkl.gz"])
def test_pickles_written_are_read_by_pickle(file: str, tmp_path: Path) -> None:
    content = {
        "weights/1": torch.randn(200, 30), "weights/3/0": torch.arange(5).t(), "weights/3/2/0": torch.tensor(True),
        "weights/5": torch.ones(2, 3).t().half(), "slots/name/0": torch.empty(0, 2),
    }
    write_pickle(tmp_path / file, content, {"step": 7, "note": ["a", "a"]}, empty=["weights/3/1", "weights/7"])
    data = (tmp_path / file).read_bytes()
    read = pickle.loads(gzip.decompress(data) if file.endswith("gz") else data)
    weights = read["weights"]
    assert [type(part) for part in weights] == [tuple, np.ndarray, tuple, tuple, tuple, np.ndarray, tuple, tuple]
    assert weights[0] == weights[7] == weights[3][1] == () and weights[3][2][0].dtype == bool
    assert np.array_equal(weights[5], np.ones((3, 2), "f2")) and weights[1].flags.writeable
    assert read["step"] == 7 and read["note"] == ["a", "a"] and read["slots"]["name"][0].shape == (0, 2)
    store = open_store(tmp_path)
    assert equal(store, content) and "weights/7" in store.empty
    with store:
        read = {name: store.read(name) for name in store.tensors}
        write_pickle(tmp_path / "again.pkl", read, store.extras, empty=store.empty)
    assert pickle.loads((tmp_path / "again.pkl").read_bytes())["note"] == ["a", "a"]


@pytest.mark.parametrize(("names", "message"), [
    (["a", "a/0"], "`a/0` would lie inside another tensor"), (["a/0", "a"], "a tensor and a list at once"),
])
def test_paths_that_contradict_each_other(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        write_pickle(tmp_path / "m.pkl", {name: torch.ones(1) for name in names})
    with pytest.raises(WeightsError, match="no type for bfloat16"):
        write_pickle(tmp_path / "m.pkl", {"a": torch.ones(1).bfloat16()})


def known_class(module: str, name: str) -> type:
    """A class as the releases' own programs define it."""
    return type(name, (), {"__module__": module})


@pytest.mark.parametrize("form", ["pickle", "zip", "old"])
def test_objects_come_as_their_attributes(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, vocab = known_class("data_utils", "Corpus"), known_class("vocabulary", "Vocab")
    for module, kind in (("data_utils", corpus), ("vocabulary", vocab)):
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**{kind.__name__: kind}))
    value, words = corpus(), vocab()
    words.idx2sym, words.sym2idx, words.counter = ["<eos>", "a"], collections.OrderedDict(a=1), collections.Counter(a=2)
    value.vocab, value.cutoffs, value.train = words, [1, 2], np.arange(3)
    path = tmp_path / "cache.pkl"
    if form == "pickle":
        path.write_bytes(pickle.dumps(value, 2))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=form == "zip")
    content = read_pickled(path)
    assert content["vocab"] == {"idx2sym": ["<eos>", "a"], "sym2idx": {"a": 1}, "counter": {"a": 2}}
    assert content["cutoffs"] == [1, 2] and isinstance(content["train"], StoredArray)


def test_history_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = known_class("trax.history", "History")
    for module in ("trax", "trax.history"):
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(History=history))
    value = history()
    value.values = {"train": [np.float32(1)]}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"weights": [np.ones(2, "f4")], "history": value}, 4))
    store = open_store(tmp_path)
    assert list(store.tensors) == ["weights/0"] and store.extras["history"] == {"values": {"train": [1.0]}}


# Keras


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90))
    with pytest.raises(WeightsError, match=r"modelwright\[keras\]"):
        open_store(tmp_path)


@pytest.fixture
def keras_file(tmp_path: Path) -> Path:
    """As `save_weights` of Keras lays it out."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "tf_model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = b"tensorflow"
        file.attrs["layer_names"] = [b"body", b"head"]
        body, head = file.create_group("body"), file.create_group("head")
        file.create_group("top_level_model_weights")
        body.attrs["weight_names"] = [b"tf_model/body/dense/kernel:0"]
        body["tf_model/body/dense/kernel:0"] = np.arange(6, dtype="f4").reshape(2, 3)
        body.create_dataset("tf_model/body/table:0", data=np.ones((80, 30), "f4"), chunks=(20, 30), compression="gzip")
        head["tf_model/head/bias:0"] = np.arange(3, dtype="f4")
    return path


def test_keras_files(keras_file: Path) -> None:
    with open_store(keras_file.parent) as store:
        assert store.name == "keras" and store.metadata["backend"] == "tensorflow"
        assert equal(store, {
            "body/dense/kernel": torch.arange(6.0).view(2, 3), "body/table": torch.ones(80, 30),
            "head/bias": torch.arange(3.0),
        })  # fmt: skip
        store.read("head/bias").zero_()
    assert open_store(keras_file).read("head/bias")[2] == 2


def test_keras_files_that_lie(keras_file: Path, tmp_path: Path) -> None:
    import h5py

    whole = keras_file.read_bytes()
    for length in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        keras_file.write_bytes(whole[:length])
        with pytest.raises(ModelwrightError):
            open_store(keras_file)
    cases = {
        "lies in another file": lambda f: f.create_dataset(
            "a/b/c", (4,), "f4", external=[(str(tmp_path / "secret"), 0, 16)]),
        "claims": lambda f: f.create_dataset("a/b/c", (2**40,), "f4", chunks=(1024,)),
        "two tensors of the name": lambda f: [
            f.create_dataset(name, data=[1.0] * size) for name, size in (("a/b/c", 1), ("x/y/c", 2))],
    }  # fmt: skip
    for message, make in cases.items():
        with h5py.File(keras_file, "w") as file:
            make(file)
        with pytest.raises(WeightsError, match=message):
            open_store(keras_file)


def test_a_keras_variable_of_several_layers(keras_file: Path) -> None:
    """Keras saves it with each of them; what should be the same has to be."""
    import h5py

    for second, wrong in (([1.0, 2.0], 0), ([1.0, 3.0], 1)):
        with h5py.File(keras_file, "w") as file:
            file.create_dataset("body/model/body/table:0", data=[1.0, 2.0])
            file.create_dataset("head/model/body/table:0", data=second)
        with open_store(keras_file) as store:
            assert list(store.tensors) == ["body/table"] and store.read("body/table").tolist() == [1.0, 2.0]
            assert len(store.check_sums()) == wrong
