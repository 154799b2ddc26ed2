"""Every shortcut name of the original documentation leads to the hub id that its checkpoint has today."""

from __future__ import annotations

import pytest

from modelwright.assembler.language.spec import find_pretrained, load_spec
from modelwright.assembler.weights.names import find_named

NAMES = {
    "gpt": {"openai-gpt": "openai-community/openai-gpt"},
    "gpt2": {"gpt2": "openai-community/gpt2", "gpt2-xl": "openai-community/gpt2-xl"},
    "transfo_xl": {"transfo-xl-wt103": "transfo-xl/transfo-xl-wt103"},
    "xlnet": {f"xlnet-{size}-cased": f"xlnet/xlnet-{size}-cased" for size in ("base", "large")},
    "xlm": {
        f"xlm-{name}": f"FacebookAI/xlm-{name}"
        for name in (
            "mlm-en-2048", "mlm-ende-1024", "mlm-enfr-1024", "mlm-enro-1024", "mlm-xnli15-1024", "mlm-tlm-xnli15-1024",
            "clm-enfr-1024", "clm-ende-1024", "mlm-17-1280", "mlm-100-1280",
        )
    },
    "roberta": {f"roberta-{size}": f"FacebookAI/roberta-{size}" for size in ("base", "large", "large-mnli")}
    | {"distilroberta-base": "distilbert/distilroberta-base"},
    "distilbert": {
        f"distilbert-base-{name}": f"distilbert/distilbert-base-{name}"
        for name in ("uncased", "cased", "uncased-distilled-squad", "uncased-finetuned-sst-2-english")
    },
    "bart": {f"bart-{name}": f"facebook/bart-{name}" for name in ("base", "large", "large-cnn", "large-mnli")},
    "t5": {f"t5-{size}": f"google-t5/t5-{size}" for size in ("small", "base", "large", "3b", "11b")},
    "albert": {
        f"albert-{size}-v{version}": f"albert/albert-{size}-v{version}"
        for size in ("base", "large", "xlarge", "xxlarge") for version in (1, 2)
    },
    "electra": {
        f"electra-{size}-{side}": f"google/electra-{size}-{side}"
        for size in ("small", "base", "large") for side in ("generator", "discriminator")
    },
    "llama": {"llama-7b": "huggyllama/llama-7b", "llama-2-7b-chat": "meta-llama/Llama-2-7b-chat-hf"}
    | {f"llama-{name.lower()}": f"meta-llama/Llama-{name}" for name in ("3.1-8B", "3.2-1B-Instruct")}
    | {"llama-3-8b": "meta-llama/Meta-Llama-3-8B"},
    "ctrl": {"ctrl": "Salesforce/ctrl"},
    "reformer": {f"reformer-{name}": f"google/reformer-{name}" for name in ("crime-and-punishment", "enwik8")},
}  # fmt: skip


@pytest.mark.parametrize("spec,name", [(spec, name) for spec, names in NAMES.items() for name in names])
def test_name(spec: str, name: str) -> None:
    found = find_named(name)
    assert (found.spec, found.target) == (spec, NAMES[spec][name])


#: Checkpoints that the Hugging Face team itself trained have no other release, and XLM's authors list no causal one.
OWN = ("distil", "flan-t5", "reformer-crime", "bert-base-german", "-finetuned-", "xlm-clm-")


@pytest.mark.parametrize("spec", NAMES)
def test_releases_of_the_authors_are_named(spec: str) -> None:
    for name, formats in load_spec(spec).sections["pretrained"].items():
        named = any(place.spec == spec for place in find_pretrained(name))
        if named and not any(own in name for own in OWN):
            assert set(formats) - {"huggingface"}, f"{name} does not say where the authors' release is"
