"""Large batches in several processes: the same as in one, whatever the caller has running."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tokenizer_texts import TEXTS

import modelwright as mw
from modelwright.errors import TokenizerError
from modelwright.tokenizers import Tokenizer, build_tokenizer, parallel

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,'!", "the", "##s", "##e"]
BATCH = [text for text in TEXTS if text] * 20


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    for limit in ("PAYS", "PAYS_STARTING", "_TASK"):
        monkeypatch.setattr(parallel, limit, 1000)
    made = build_tokenizer(mw.load_spec("bert").tokenizer_section(), tmp_path)
    yield made
    made._workers.stop()


def workers(tokenizer: Tokenizer) -> list[int]:
    return [worker.pid for worker in tokenizer._workers._running]


@pytest.mark.parametrize("options", [
    {}, {"return_offsets_mapping": True}, {"padding": True, "truncation": True, "max_length": 9, "stride": 2,
                                           "return_overflowing_tokens": True, "return_offsets_mapping": True},
], ids=["ids", "offsets", "windows"])  # fmt: skip
def test_the_same_as_in_one(tokenizer: Tokenizer, options: dict[str, Any]) -> None:
    pairs = [text[::-1] for text in BATCH]
    words = [text.split() or ["a"] for text in BATCH]
    for inputs, more in (((BATCH,), {}), ((BATCH, pairs), {}), ((words,), {"is_split_into_words": True})):
        alone = tokenizer(*inputs, **options, **more)
        shared = tokenizer(*inputs, **options, **more, processes=2)
        assert shared == alone and len(workers(tokenizer)) == 2
        assert [shared.word_ids(row) for row in range(40)] == [alone.word_ids(row) for row in range(40)]


def test_workers_stay_and_learn(tokenizer: Tokenizer) -> None:
    tokenizer(BATCH, processes=2)
    first = workers(tokenizer)
    tokenizer(BATCH, processes=2)
    assert workers(tokenizer) == first
    tokenizer.add_tokens(["house", "THE"])
    assert tokenizer(BATCH, processes=2) == tokenizer(BATCH) and workers(tokenizer) != first
    twin = pickle.loads(pickle.dumps(tokenizer))
    assert twin(BATCH, processes=2) == tokenizer(BATCH)
    twin._workers.stop()


def test_small_batches_start_nothing(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokenizer(["the"] * 9, processes=4).input_ids == [[2, 35, 3]] * 9 and workers(tokenizer) == []
    monkeypatch.setattr(parallel, "PAYS_STARTING", 1 << 30)
    tokenizer(BATCH, processes=2)
    assert workers(tokenizer) == []
    with pytest.raises(TokenizerError, match="processes=0 is no number"):
        tokenizer(BATCH, processes=0)


def test_what_fails_there_is_done_here(tokenizer: Tokenizer) -> None:
    wanted = tokenizer(BATCH)
    tokenizer(BATCH, processes=2)
    for worker in tokenizer._workers._running:
        worker.kill()
    assert tokenizer(BATCH, processes=2) == wanted and workers(tokenizer) == []
    assert tokenizer(BATCH, processes=2) == wanted and len(workers(tokenizer)) == 2  # new ones


def test_a_fork_leaves_the_workers_of_its_parent_alone(tokenizer: Tokenizer) -> None:
    wanted = tokenizer(BATCH)
    tokenizer(BATCH, processes=2)
    child = os.fork()
    if child == 0:
        same = tokenizer(BATCH, processes=2) == wanted
        tokenizer._workers.stop()
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    before = workers(tokenizer)
    assert tokenizer(BATCH, processes=2) == wanted and workers(tokenizer) == before


def test_threads_share_or_work_alone(tokenizer: Tokenizer) -> None:
    wanted = tokenizer(BATCH)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(tokenizer(BATCH, processes=2))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 4


def test_a_script_without_a_guard_beside_torch(tmp_path: Path) -> None:
    """Nothing of the caller is imported again, and the workers end with it."""
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    root = str(Path(mw.__file__).parent)
    (tmp_path / "script.py").write_text(f"""
import importlib.util, multiprocessing, sys
import torch
torch.randn(64, 64) @ torch.randn(64, 64)
multiprocessing.set_start_method("spawn")
spec = importlib.util.spec_from_file_location(
    "modelwright", {root + "/__init__.py"!r}, submodule_search_locations=[{root!r}]
)
sys.modules["modelwright"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["modelwright"])
import modelwright as mw
from modelwright.tokenizers import build_tokenizer, parallel
parallel.PAYS = parallel.PAYS_STARTING = 100
tokenizer = build_tokenizer(mw.load_spec("bert").tokenizer_section(), {str(tmp_path)!r})
batch = ["the houses"] * 999
print(tokenizer(batch, processes=2, return_tensors="pt").input_ids.shape, *(
    worker.pid for worker in tokenizer._workers._running
))
""")
    done = subprocess.run([sys.executable, "-P", str(tmp_path / "script.py")], capture_output=True, text=True)
    shape, *numbers = done.stdout.rpartition(")")[0], *done.stdout.rpartition(")")[2].split()
    assert done.returncode == 0 and done.stderr == "" and "999" in shape and len(numbers) == 2
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)
