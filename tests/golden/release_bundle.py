"""TensorFlow checkpoints for the `release_*.py` scripts, written by TensorFlow itself, and tiny vocabularies."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import tensorflow as tf  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: What joins, as the words "the cat sat on the mat and then he ran" suggest; a space before a word, or its end, marked.
SPACED = "t h|a t|th e|a n|o n|i n|e r|an d|c at|r an|m at|he r|Ġ the|Ġ a|Ġ c|Ġc at"
ENDED = "t h|a t</w>|th e</w>|o n</w>|i n|a n|an d</w>|c at</w>|s at</w>|m at</w>|a n</w>|r an</w>|th e|the n</w>"


def write_bundle(prefix: Path, tensors: Mapping[str, np.ndarray], shards: Sequence[Sequence[str]] = ()) -> None:
    """`prefix.index` and its data files: one, or a file for each of `shards` (names) and one more for the others.

    The graph beside it, which nobody reads, is left empty.
    """
    listed = {name for names in shards for name in names}
    pieces = [*shards, [name for name in tensors if name not in listed]]
    with tempfile.TemporaryDirectory() as place:
        prefixes = [str(Path(place) / f"piece{i}") if shards else str(prefix) for i in range(len(pieces))]
        for path, names in zip(prefixes, pieces, strict=True):
            values = [tf.constant(tensors[name]) for name in names]
            tf.raw_ops.SaveV2(prefix=path, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
        if shards:
            tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(prefix))
    prefix.with_name(prefix.name + ".meta").write_bytes(b"")


def write_note(folder: Path, name: str) -> None:
    """The text file that says which checkpoint is the latest."""
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


def byte_pairs(merges: str) -> tuple[list[str], str]:
    """The symbols that a table of merges needs, letters and what they join to, and the table as a file has it."""
    base = [*LETTERS, *"0123456789.,!?", *({"Ġ"} if "Ġ" in merges else {})]
    ends = [letter + "</w>" for letter in base] if "</w>" in merges else []
    pairs = merges.split("|")
    symbols = [*base, *ends, *(pair.replace(" ", "") for pair in pairs)]
    return symbols, "#version: 0.2\n" + "".join(f"{pair}\n" for pair in pairs)
