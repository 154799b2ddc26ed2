"""A TensorFlow checkpoint of bert-base's size, read here and with TensorFlow: start-up, reading, a model, peak memory.

    python -P benchmarks/tensorflow_bundle.py [--tensorflow PYTHON] [--rounds N] [--size base|tiny]

PYTHON is one that has tensorflow, and for two of the lines torch and transformers 4; without it only this side is
measured. Each measurement is a process of its own, from its start to its end, and the sides take turns. What the lines
mean: benchmarks/README.md.
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
SIZES = {"base": {}, "tiny": {"vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}}

START = """
import json, resource, sys, time
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""
READY = "empty, begun = peak(), time.process_time()\n"
OURS = START + """
import torch
import modelwright as mw
from modelwright.assembler.stores import open_store
""" + READY
THEIRS = START + """
import tensorflow as tf
""" + READY + """
reader = tf.train.load_checkpoint(sys.argv[1] + "/model.ckpt")
shapes = reader.get_variable_to_shape_map()
"""
CONVERT = START + """
from transformers import BertConfig, BertForPreTraining, load_tf_weights_in_bert
""" + READY + """
config = BertConfig.from_json_file(sys.argv[1] + "/bert_config.json")
model = load_tf_weights_in_bert(BertForPreTraining(config), config, sys.argv[1] + "/model.ckpt")
size = sum(parameter.nbytes for parameter in model.parameters())
"""
END = """
print(json.dumps({"bytes": size, "grown": peak() - empty, "after": time.process_time() - begun}))
"""
PREPARE = OURS + "mw.build('bert', head='pretraining', **json.loads(sys.argv[2])).save(sys.argv[1], 'google'); size = 0"

# What is measured: a title, our code, theirs (None: they have no such thing).
LINES: list[tuple[str, str, str | None]] = [
    (
        "import torch / tensorflow", START + "import torch\nsize = 1\n" + READY,
        START + "import tensorflow\nsize = 1\n" + READY,
    ),
    (
        "open: names, shapes, types",
        START + "from modelwright.assembler.stores import open_store\n" + READY
        + "size = len(open_store(sys.argv[1]).tensors)",
        THEIRS + "size = len(shapes)",
    ),
    (
        "inspect / convert",
        START + "from modelwright.assembler.weights.inspection import inspect\n" + READY
        + "found = inspect(sys.argv[1])\n"
        "assert found.family == ['bert'] and found.config\n"
        "size = len(found.tensors)",
        CONVERT,
    ),
    (
        "open, and sum every tensor",
        OURS + "store = open_store(sys.argv[1])\n"
        "tensors = {name: store.read(name) for name in store.tensors}\n"
        "assert all(tensor.sum().isfinite() for tensor in tensors.values())\n"
        "size = sum(tensor.nbytes for tensor in tensors.values())",
        THEIRS + "tensors = {name: reader.get_tensor(name) for name in shapes}\n"
        "assert all(tensor.sum() < 1e9 for tensor in tensors.values())\n"
        "size = sum(tensor.nbytes for tensor in tensors.values())",
    ),
    (
        "open, and verify checksums",
        OURS + "store = open_store(sys.argv[1])\nassert store.check_sums() == []\n"
        "size = sum(store.read(name).nbytes for name in store.tensors)",
        None,
    ),
    (
        "a model with every weight read",
        OURS + "model = mw.build(weights=sys.argv[1], head='pretraining')\n"
        "assert all(parameter.sum().isfinite() for parameter in model.parameters())\n"
        "size = sum(parameter.nbytes for parameter in model.parameters())",
        CONVERT,
    ),
]


def run(python: str, code: str, folder: Path, *arguments: str) -> dict[str, float]:
    """What one process took: seconds on the clock and of the processor, and what it printed."""
    environment = os.environ | {"PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a program that is in use has been compiled before
    command = [python, "-P", "-c", code + END, str(folder / "release"), *arguments]
    before = os.times()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nfailed with exit code {done.returncode}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return {"clock": after.elapsed - before.elapsed, "cpu": cpu} | json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tensorflow", metavar="PYTHON", help="a Python that has tensorflow; without it, ours alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, default="base")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    sides = f"{'ours':>9}{'theirs':>9}{'ratio':>7}"
    print(f"{'':32}  clock:{sides}   cpu:{sides}   cpu after imports:{sides}   memory grown / tensors")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "modelwright").symlink_to(ROOT)
        run(sys.executable, PREPARE, folder, json.dumps(SIZES[options.size]))
        for title, ours, theirs in LINES:
            sides = [(sys.executable, ours)]
            if options.tensorflow and theirs is not None:
                sides.append((options.tensorflow, theirs))
            taken = [[run(*side, folder) for side in sides] for _ in range(options.rounds)]
            units = ([[side[unit] for side in each] for each in taken] for unit in ("clock", "cpu", "after"))
            clock, cpu, after = map(times, units)
            columns = f"        {clock}       {cpu}                     {after}"
            shares = [median(each[i]["grown"] / each[i]["bytes"] for each in taken) for i in range(len(sides))]
            memory = "" if taken[0][0]["bytes"] < 1000 else "   ".join(f"{share:.2f}" for share in shares)
            print(f"{title:32}{columns}   {memory}", flush=True)


def times(rounds: list[list[float]]) -> str:
    """Medians of the sides, and the median of the ratios of neighbours, theirs to ours."""
    medians = [f"{median(side):7.2f} s" for side in zip(*rounds, strict=True)]
    ratio = f"{median(each[-1] / each[0] for each in rounds):7.1f}" if len(medians) == 2 else ""
    return f"{medians[0]:>9}{medians[1] if len(medians) == 2 else '':>9}{ratio:>7}"


if __name__ == "__main__":
    main()
