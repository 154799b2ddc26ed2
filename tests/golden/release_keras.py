"""`tf_model.h5` as repositories of Hugging Face carry it (see README.md). Run: `python tests/golden/release_keras.py`.

transformers 4.46.3 writes each file from its TensorFlow model and reads it back; the outputs are TensorFlow's. `gap` is
the greatest difference to its PyTorch model of the same weights, both in float32.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
import h5py  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from record import draw_weights, tokens  # noqa: E402
from release import HERE, padding  # noqa: E402

REFERENCE = f"transformers {transformers.__version__}, tensorflow {tf.__version__}, torch {torch.__version__}"
WORDS = 50
BERT = {
    "vocab_size": WORDS, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
    "max_position_embeddings": 20, "attn_implementation": "eager",
}  # fmt: skip
DISTILBERT = {
    "vocab_size": WORDS, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 40, "max_position_embeddings": 20,
    "attn_implementation": "eager",
}  # fmt: skip
GPT2 = {"vocab_size": WORDS, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 20, "attn_implementation": "eager"}
T5 = {
    "vocab_size": WORDS, "d_model": 16, "d_kv": 5, "d_ff": 21, "num_layers": 2, "num_heads": 4, "pad_token_id": 0,
    "decoder_start_token_id": 0,
}  # fmt: skip
XLNET = {"vocab_size": WORDS, "d_model": 24, "n_layer": 2, "n_head": 3, "d_inner": 40, "mem_len": 16}
ELECTRA = BERT | {"embedding_size": 16}
#: Case: spec, class without TF before it, config, head.
CASES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "bert": ("bert", "BertForMaskedLM", BERT, "masked_lm"),
    "bert_classifier": ("bert", "BertForSequenceClassification", BERT | {"num_labels": 3}, "sequence_classification"),
    "gpt2": ("gpt2", "GPT2LMHeadModel", GPT2, "causal_lm"),
    "distilbert": ("distilbert", "DistilBertForMaskedLM", DISTILBERT, "masked_lm"),
    "t5": ("t5", "T5ForConditionalGeneration", T5, "seq2seq_lm"),
    "roberta": ("roberta", "RobertaForMaskedLM", BERT | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}, "masked_lm"),
    "xlnet": ("xlnet", "XLNetLMHeadModel", XLNET, "causal_lm"),
    "electra": ("electra", "ElectraForPreTraining", ELECTRA, "replaced_token_detection"),
}


def calls(spec: str) -> dict[str, dict[str, torch.Tensor]]:
    """No id of padding, which RoBERTa would count apart; it pads by the mask here."""
    plain = {"input_ids": tokens(40, 2, WORDS, 2, 150 if spec == "t5" else 18)}
    masked = {"input_ids": tokens(41, 2, WORDS, 2, 11), "attention_mask": padding(11, 11, 7)}
    if spec in ("bert", "electra", "xlnet"):
        plain["token_type_ids"], masked["token_type_ids"] = tokens(42, 0, 2, 2, 18), tokens(43, 0, 2, 2, 11)
    if spec == "xlnet":
        masked["attention_mask"] = masked["attention_mask"].flip(1)
    if spec == "t5":
        plain["decoder_input_ids"] = tokens(44, 2, WORDS, 2, 9)
        masked["decoder_input_ids"], masked["decoder_attention_mask"] = tokens(45, 2, WORDS, 2, 8), padding(8, 8, 5)
    return {"logits": plain, "logits_masked": masked}


def make(name: str, spec: str, kind: str, config: dict[str, Any], head: str) -> None:
    folder = HERE / f"keras_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    release = folder / "release"
    release.mkdir(parents=True)
    ours = getattr(transformers, kind)
    model = ours(ours.config_class(**config)).eval()
    draw_weights(model, len(name))
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        theirs = getattr(transformers, f"TF{kind}").from_pretrained(place, from_pt=True)
    theirs.save_pretrained(release)
    (release / "generation_config.json").unlink(missing_ok=True)
    read = getattr(transformers, f"TF{kind}").from_pretrained(release)
    stored: dict[str, torch.Tensor] = {}
    gap: dict[str, float] = {}
    listed = []
    for call, inputs in calls(spec).items():
        found = read(**{key: tf.constant(value.numpy()) for key, value in inputs.items()}).logits.numpy()
        assert np.isfinite(found).all()
        with torch.no_grad():
            other = model(**inputs).logits.numpy()
        gap[f"{call}/out/logits"] = float(f"{np.abs(found - other).max():.2g}")
        stored |= {f"{call}/in/{key}": value for key, value in inputs.items()}
        stored[f"{call}/out/logits"] = torch.from_numpy(found.copy())
        listed.append({"name": call, "head": head, "inputs": sorted(inputs), "carry": {}, "train": False,
                       "outputs": ["logits"]})  # fmt: skip
    assert max(gap.values()) < 1e-4, gap
    save_file(stored, str(folder / "expected.safetensors"))
    with h5py.File(release / "tf_model.h5") as file:
        names: list[str] = []
        file.visititems(lambda key, item: names.append(key) if isinstance(item, h5py.Dataset) else None)
    case = {
        "spec": spec, "format": "keras", "set": {}, "unused": [], "notes": [], "reference": REFERENCE,
        "class": f"TF{kind}", "calls": listed, "gap": gap,
    }  # fmt: skip
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")
    print(f"{folder.name:24} {len(names):4} stored tensors, gap {max(gap.values()):.1e}", names[0], flush=True)



if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name, case in CASES.items():
        make(name, *case)
