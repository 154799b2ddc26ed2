"""A TensorFlow checkpoint of bert-base's size, read here and by TensorFlow: start-up, opening, reading, peak memory.

    python -P benchmarks/tensorflow_bundle.py [--tensorflow PYTHON] [--rounds N] [--layers N]

PYTHON is one that can import tensorflow; without it only this side is measured. Each measurement is a process of its
own, timed from its start to its end, and the sides take turns. What the lines mean: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

# Nothing large may be imported here: on Linux a child starts with its parent's peak of memory as its own.

ROOT = Path(__file__).resolve().parent.parent
FINISH = """
import json, resource
print(json.dumps({"bytes": size, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "empty": empty}))
"""
START = """
import resource, sys
from pathlib import Path
import torch
from modelwright.assembler.stores import open_store, verify, write_bundle
prefix = Path(sys.argv[1])
empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""
WRITE = START + """
width, wide, size = 768, 3072, 0
layer = {f"attention/{part}/dense": (width, width) for part in ("query", "key", "value", "output")}
layer |= {"intermediate/dense": (width, wide), "output/dense": (wide, width)}
shapes = {"bert/embeddings/word_embeddings": (30522, width), "bert/embeddings/position_embeddings": (512, width)}
for i in range(int(sys.argv[2])):
    for name, shape in layer.items():
        shapes[f"bert/encoder/layer_{i}/{name}/kernel"] = shape
        shapes[f"bert/encoder/layer_{i}/{name}/bias"] = shape[1:]
write_bundle(prefix, ((name, torch.randn(shape)) for name, shape in shapes.items()))
"""
OURS = {
    "open": START + "store = open_store(prefix)\nsize = len(store.tensors)",
    "open and read": START + """
store = open_store(prefix)
tensors = {name: store.read(name) for name in store.tensors}
assert all(tensor.sum().isfinite() for tensor in tensors.values())
size = sum(tensor.nbytes for tensor in tensors.values())
""",
    "open and verify checksums": START + """
store = open_store(prefix)
assert store.check_sums() == []
size = sum(torch.Size(info.shape).numel() * info.dtype.itemsize for info in store.tensors.values())
""",
}  # fmt: skip
THEIR_START = """
import resource, sys
import numpy as np
import tensorflow as tf
empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
reader = tf.train.load_checkpoint(sys.argv[1])
"""
THEIRS = {
    "open": THEIR_START + "size = len(reader.get_variable_to_shape_map())",
    "open and read": THEIR_START + """
tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
assert all(np.isfinite(tensor.sum()) for tensor in tensors.values())
size = sum(tensor.nbytes for tensor in tensors.values())
""",
}


def run(python: str, code: str, folder: Path, *arguments: str) -> dict[str, float]:
    """What one process did: seconds on the clock and of the processor, and what it printed."""
    environment = os.environ | {"PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    before = os.times()
    command = [python, "-P", "-c", code + FINISH, str(folder / "bert_model.ckpt"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nfailed with exit code {done.returncode}")
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return {"clock": after.elapsed - before.elapsed, "cpu": spent} | json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tensorflow", metavar="PYTHON", help="a Python that has tensorflow; without it, ours alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12, help="of bert-base's size (default: 12)")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.layers < 1:
        parser.error("--rounds and --layers are at least 1")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "modelwright").symlink_to(ROOT)
        written = run(sys.executable, WRITE, folder, str(options.layers))
        print(f"written in {written['clock']:.1f} s")
        print(f"{'':28}{'ours':>24}{'TensorFlow':>24}{'ratio':>8}{'peak less start-up, ours':>28}")
        for what, code in OURS.items():
            sides = {"ours": (sys.executable, code)}
            if options.tensorflow and what in THEIRS:
                sides["theirs"] = (options.tensorflow, THEIRS[what])
            taken = [{side: run(*how, folder) for side, how in sides.items()} for _ in range(options.rounds)]
            report(what, taken)


def report(what: str, taken: list[dict[str, dict[str, float]]]) -> None:
    cells = []
    for side in ("ours", "theirs"):
        if side in taken[0]:
            clock, cpu = (median(each[side][key] for each in taken) for key in ("clock", "cpu"))
            cells.append(f"{clock:.2f} s, cpu {cpu:.2f} s")
        else:
            cells.append("")
    ratio = median(each["theirs"]["clock"] / each["ours"]["clock"] for each in taken) if "theirs" in taken[0] else None
    memory = ""
    if what != "open":
        share = median((each["ours"]["peak"] - each["ours"]["empty"]) / each["ours"]["bytes"] for each in taken)
        memory = f"{share:.2f} of the tensors"
    print(f"{what:28}{cells[0]:>24}{cells[1]:>24}{f'{ratio:.1f}' if ratio else '':>8}{memory:>28}", flush=True)


if __name__ == "__main__":
    main()
