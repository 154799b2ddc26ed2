"""What the reference conversions make of the releases that we write: nothing but the weights that were converted.

    python tests/golden/written_releases.py PYTHON      # PYTHON: one that can import modelwright

Needs tensorflow-cpu 2.21.0, tf-keras 2.21.0 and transformers 4.46.3. modelwright makes tiny checkpoints (as
tests/specs/synthetic.py does) and converts each to the format of a release and to the library's own. The library's
loaders read the one, and all tensors must be those of the other, bit for bit.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1", "HF_HUB_OFFLINE": "1"}

import torch
import transformers
from safetensors.torch import load_file
from torch import nn

transformers.logging.set_verbosity_error()

SPECS = Path(__file__).resolve().parent.parent / "specs"
WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import modelwright as mw
from synthetic import tiny_original
spec, format, place = sys.argv[2], sys.argv[3], Path(sys.argv[4])
tiny_original(spec, format, place / "own")
for target in (format, "huggingface"):
    mw.convert(place / "own", target, place / target)
"""
#: spec, format, the class, and the function that reads the release: (module, name), or None for `from_tf=True`.
CASES = [
    ("bert", "google", "BertForPreTraining", ("bert.modeling_bert", "load_tf_weights_in_bert")),
    ("albert", "google", "AlbertForPreTraining", ("albert.modeling_albert", "load_tf_weights_in_albert")),
    ("electra", "google", "ElectraForPreTraining", ("electra.modeling_electra", "load_tf_weights_in_electra")),
    ("gpt2", "google", "GPT2Model", ("gpt2.modeling_gpt2", "load_tf_weights_in_gpt2")),
    ("xlnet", "google", "XLNetLMHeadModel", ("xlnet.modeling_xlnet", "load_tf_weights_in_xlnet")),
    ("t5", "google", "T5ForConditionalGeneration", ("t5.modeling_t5", "load_tf_weights_in_t5")),
    ("gpt", "openai", "OpenAIGPTModel", ("openai.modeling_openai", "load_tf_weights_in_openai_gpt")),
    ("bert", "keras", "TFBertForPreTraining", None),
    ("gpt2", "keras", "TFGPT2LMHeadModel", None),
    ("distilbert", "keras", "TFDistilBertForMaskedLM", None),
    ("t5", "keras", "TFT5ForConditionalGeneration", None),
    ("xlnet", "keras", "TFXLNetLMHeadModel", None),
    ("electra", "keras", "TFElectraForMaskedLM", None),
    ("albert", "keras", "TFAlbertForMaskedLM", None),
]


def from_release(name: str, reader: tuple[str, str], folder: Path, like: Path) -> nn.Module:
    cls = getattr(transformers, name)
    config = cls.config_class.from_pretrained(like)
    model = cls(config)
    read = getattr(importlib.import_module(f"transformers.models.{reader[0]}"), reader[1])
    bundle = next(folder.glob("*.index"), None)
    if bundle is None:
        name_parameters(folder)
    read(model, config, str(folder) if bundle is None else str(bundle.with_suffix("")))
    model.tie_weights()
    return model


def name_parameters(folder: Path) -> None:
    """The library wants a list of names beside the shapes, which no release has."""
    kinds = ["attn/c_attn", "attn/c_proj", "ln_1", "mlp/c_fc", "mlp/c_proj", "ln_2"]
    layers = (len(json.loads((folder / "params_shapes.json").read_text())) - 2) // (2 * len(kinds))
    names = [
        f"model/h{i}/{kind}/{'gb'[part] if 'ln' in kind else 'wb'[part]}:0"
        for i in range(layers) for kind in kinds for part in range(2)
    ]  # fmt: skip
    (folder / "parameters_names.json").write_text(json.dumps(["model/we:0", *names]))


def compare(spec: str, format: str, name: str, reader: tuple[str, str] | None, place: Path) -> int:
    if reader is not None:
        model = from_release(name, reader, place / format, place / "huggingface")
        stored = load_file(place / "huggingface" / "model.safetensors")
        ours = model.state_dict()
        names = {key: next((n for n in (key, f"{model.base_model_prefix}.{key}") if n in stored), None) for key in ours}
        told = {ours[key].data_ptr() for key, known in names.items() if known}
        wrong = [
            key for key, known in names.items()
            if (not torch.equal(ours[key], stored[known]) if known else ours[key].data_ptr() not in told)  # tied
        ]  # fmt: skip
    else:
        cls = getattr(transformers, name)
        ours, theirs = cls.from_pretrained(place / format), cls.from_pretrained(place / "huggingface", from_pt=True)
        pairs = list(zip(ours.weights, theirs.weights, strict=True))
        assert all(a.name.partition("/")[2] == b.name.partition("/")[2] for a, b in pairs)
        wrong = [a.name for a, b in pairs if (a.numpy() != b.numpy()).any()]
        ours = ours.weights
    assert not wrong, f"{spec} {format}: {wrong}"
    return len(ours)


def main(python: str) -> None:
    for spec, format, name, reader in CASES:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([python, "-P", "-c", WRITE, str(SPECS), spec, format, folder], check=True)
            count = compare(spec, format, name, reader, Path(folder))
            print(f"{spec} {format}: {name}, {count} tensors, equal", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
