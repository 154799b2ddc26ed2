"""Options of calls, files and specs: what they mean together, and one clear error for each that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from writing_models import QUIET, TINY, built, ids

import modelwright as mw
from modelwright.tasks.generation.settings import NAMES, Settings


@pytest.fixture(scope="module")
def model() -> mw.Model:
    return built()


# wrong calls

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "num_beams 0": ({"num_beams": 0}, "num_beams must be a whole number, 1 or more, but is 0"),
    "half a beam": ({"num_beams": 1.5}, "num_beams must be a whole number"),
    "max_length below the prompt": ({"max_length": 3}, "max_length = 3 leaves no room after a prompt of 5"),
    "max_new_tokens 0": ({"max_new_tokens": 0}, "max_new_tokens must be a whole number, 1 or more"),
    "too long": ({"max_new_tokens": 36}, "41 tokens are asked for, the model has 40 positions"),
    "longer than the longest": ({"min_new_tokens": 9, "max_new_tokens": 4}, "at least 14 and at most 9"),
    "twice": ({"max_length": 9, "max_new_tokens": 4}, "say the same thing twice"),
    "temperature 0": ({"do_sample": True, "temperature": 0.0}, "temperature must be more than 0"),
    "top_p": ({"do_sample": True, "top_p": 1.5}, "top_p must be more than 0 and at most 1, but is 1.5"),
    "no chance": ({"temperature": 0.7}, "temperature = 0.7 means nothing without sampling"),
    "no beams": ({"length_penalty": 2.0}, "length_penalty = 2.0 means nothing without beams"),
    "early": ({"num_beams": 2, "early_stopping": "soon"}, 'early_stopping must be True, False or "never"'),
    "more than beams": ({"num_beams": 2, "num_return_sequences": 3}, "3 is more than num_beams = 2"),
    "one greedy text": ({"num_return_sequences": 2}, "only num_beams = 1 text to return"),
    "uneven groups": ({"num_beams": 4, "num_beam_groups": 3, "diversity_penalty": 1.0}, "4 beams cannot be split"),
    "groups alike": ({"num_beams": 4, "num_beam_groups": 2}, "do not go together"),
    "groups by chance": (
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "do_sample": True}, "beams do not sample",
    ),
    "contrastive by chance": ({"penalty_alpha": 0.5, "do_sample": True}, "contrastive search .* neither samples"),
    "contrastive among one": ({"penalty_alpha": 0.5, "top_k": 1}, "chooses among top_k = 1"),
    "contrastive without cache": ({"penalty_alpha": 0.5, "top_k": 4, "use_cache": False}, "needs a cache"),
    "compiled without cache": ({"compile": True, "use_cache": False}, "compile=True needs a cache"),
    "misspelt": ({"max_new_token": 5}, "generate takes no `max_new_token`"),
    "absent": ({"prompt_lookup_num_tokens": 3}, "generation has no `prompt_lookup_num_tokens`"),
    "bad words": ({"bad_words_ids": [3]}, "bad_words_ids must be a list of words"),
    "no word": ({"bad_words_ids": [[3], []]}, "bad_words_ids must be a list of words"),
    "no bias": ({"sequence_bias": {(3,): "much"}}, "sequence_bias must be a mapping of tuples"),
    "no growth": ({"exponential_decay_length_penalty": (3,)}, "must be two numbers: from which new token on"),
    "no switch": ({"do_sample": "yes"}, "do_sample must be True or False, but is 'yes'"),
    "not a number": ({"length_penalty": float("nan"), "num_beams": 2}, "length_penalty must be a number"),
    "a tensor": ({"num_beams": torch.tensor(2)}, "num_beams is a Tensor"),
    "an empty string": ({"stop_strings": ["a", ""]}, "stop_strings must be a text or a list of them"),
    "no function": ({"logits_processor": [3]}, "logits_processor must be a list of functions"),
    "no rule": ({"logits_processor": [lambda text, scores: scores[:, 1:]]}, r"of shape \[2, 49\], torch.float32, not"),
    "no criterion": ({"stopping_criteria": [lambda text, scores: None]}, "gave NoneType, not a truth value"),
    "complex scores": ({"logits_processor": [lambda text, scores: scores + 1j]}, "torch.complex64, not scores"),
    "a rule of one argument": ({"logits_processor": [lambda scores: scores]}, "logits_processor: .* takes other arg"),
    "a criterion of three": ({"stopping_criteria": [lambda a, b, c: True]}, "stopping_criteria: .* takes other arg"),
    "words without a text": (
        {"prefix_allowed_tokens_fn": lambda *, row: [3]}, r"is called with \(the prompt's number, what is written\)",
    ),
    "truth for ids": ({"prefix_allowed_tokens_fn": lambda row, text: [True]}, r"gave \[True\], not a list of ids"),
    "beyond the vocabulary": ({"prefix_allowed_tokens_fn": lambda row, text: [50]}, "ids from 0 to 49"),
    "no generator": ({"generator": 3}, "generator must be a torch.Generator"),
    "keys and values": ({"past_key_values": ()}, "generate says past_key_values itself"),
    "no id": ({"eos_token_id": -1}, "eos_token_id must be a token id or a list of them"),
    "no tokenizer": ({"stop_strings": "x"}, "stop_strings are looked for in text"),
    "nothing left": ({"suppress_tokens": list(range(50))}, "forbid every word"),
    "nothing left for beams": ({"suppress_tokens": list(range(50)), "num_beams": 2}, "forbid every word"),
    "nothing left to chance": ({"suppress_tokens": list(range(50)), "do_sample": True}, "forbid every word"),
    "nothing left to chance with beams": (
        {"suppress_tokens": list(range(50)), "do_sample": True, "num_beams": 2}, "forbid every word",
    ),
    "nothing left to normalise": (
        {"suppress_tokens": list(range(50)), "renormalize_logits": True}, "forbid every word",
    ),
    "config": ({"generation_config": 3}, "generation_config must be a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_are_one_error(name: str, model: mw.Model) -> None:
    options, message = WRONG[name]
    with pytest.raises(mw.UsageError, match=message) as caught:
        model.generate(ids(), **({"pad_token_id": 0} | options))
    assert len(caught.value.diagnostics) == 1


def test_independent_mistakes_are_told_together(model: mw.Model) -> None:
    with pytest.raises(mw.UsageError) as caught:
        model.generate(ids(), num_beams=0, do_sample=True, temperature=-1.0, top_k=2.5)
    assert len(caught.value.diagnostics) == 3


PROMPTS: dict[str, tuple[Any, str]] = {
    "none, and no token to begin with": (None, "no prompt, and no bos_token_id"),
    "empty": (torch.zeros(1, 0, dtype=torch.long), "the prompt is empty"),
    "unknown words": (torch.tensor([[3, 50]]), "input_ids has 50, but the vocabulary is 0 to 49"),
    "negative": (torch.tensor([[3, -1]]), "input_ids has -1"),
    "fractions": (torch.tensor([[3.0]]), "must be whole numbers"),
    "one row": (torch.tensor([3, 4]), r"not torch.int64 of shape \[2\]"),
    "no tensor": ([[3, 4]], "not list"),
    "longer than the positions": (torch.ones(1, 41, dtype=torch.long), "the prompt has 41 tokens, the model 40"),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_wrong_prompts_are_one_error(name: str, model: mw.Model) -> None:
    prompt, message = PROMPTS[name]
    with pytest.raises(mw.UsageError, match=message):
        model.generate(prompt, bos_token_id=None, max_new_tokens=2)


def test_wrong_masks(model: mw.Model) -> None:
    with pytest.raises(mw.UsageError, match="attention_mask has shape"):
        model.generate(ids(), attention_mask=torch.ones(2, 4))
    with pytest.raises(mw.UsageError, match="padded on the right"):
        model.generate(ids(), attention_mask=torch.tensor([[1] * 5, [1, 1, 1, 0, 0]]))
    with pytest.raises(mw.UsageError, match="all of it is padding"):
        model.generate(ids(), attention_mask=torch.tensor([[1] * 5, [0] * 5]))


NUMBERS: dict[str, tuple[dict[str, Any], str]] = {
    "a list": ({"attention_mask": [[1] * 5] * 2}, "attention_mask must be a tensor of 1 and 0, not list"),
    "fractions": ({"position_ids": torch.zeros(2, 5)}, "position_ids must be a tensor of whole numbers"),
    "no such position": ({"position_ids": torch.full((2, 5), 99)}, "position_ids has 99, .* rows 0 to 39"),
    "narrow vectors": ({"inputs_embeds": torch.zeros(2, 5, 15)}, "vectors of 15 numbers, the model's have 16"),
    "flat vectors": ({"inputs_embeds": torch.zeros(5, 16)}, r"must be vectors \[batch, length, size\]"),
    "a mask of other vectors": (
        {"inputs_embeds": torch.zeros(2, 5, 16), "attention_mask": torch.ones(2, 4)}, r"shape \[2, 4\], the vectors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_wrong_tensors_are_one_error(name: str, model: mw.Model) -> None:
    inputs, message = NUMBERS[name]
    with pytest.raises(mw.UsageError, match=message):
        model.generate(None if "inputs_embeds" in inputs else ids(), max_new_tokens=2, **inputs, **QUIET)


SOURCES: dict[str, tuple[dict[str, Any], str]] = {
    "a start for another source": ({"decoder_input_ids": ids(3)}, "decoder_input_ids has 3 rows for 2 sources"),
    "a mask for another start": ({"decoder_attention_mask": torch.ones(2, 4)}, "what the decoder starts from"),
    "no such position of the source": (
        {"position_ids": torch.full((2, 5), 99)}, "position_ids has 99, but the model's table for it has rows 0 to 41",
    ),
    "no states": ({"encoder_outputs": torch.zeros(2, 5)}, "must be what model.encode"),
    "no start": ({"decoder_start_token_id": "<s>"}, "decoder_start_token_id must be a token id"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_wrong_starts_of_a_decoder_are_one_error(name: str) -> None:
    inputs, message = SOURCES[name]
    with pytest.raises(mw.UsageError, match=message):
        built("bart", "seq2seq_lm", intermediate_size=20).generate(ids(), max_new_tokens=2, **QUIET | inputs)


def test_a_model_that_does_not_write() -> None:
    with pytest.raises(mw.UsageError, match='build it with head="causal_lm"'):
        mw.build("gpt2", **TINY).generate(ids())
    with pytest.raises(mw.UsageError, match="a language model with a decoder"):
        mw.build("distilbert", head="masked_lm", **TINY, intermediate_size=20).generate(ids())


def test_a_model_that_reads_both_ways() -> None:
    both_ways = mw.build("bert", head="causal_lm", **TINY, intermediate_size=20)
    with pytest.raises(mw.UsageError, match="where is_decoder is True, and it was built with False") as caught:
        both_ways.generate(ids())
    assert "build it with is_decoder=True" in str(caught.value) and not both_ways.writes
    with pytest.raises(mw.UsageError) as caught:
        mw.build("bert", head="masked_lm", **TINY, intermediate_size=20).generate(ids())
    assert len(caught.value.diagnostics) == 2, "both that are wrong"


@pytest.mark.parametrize("shape", [(2, 4), (3, 5), (5,)])
@pytest.mark.parametrize("name", ["token_type_ids", "position_ids"])
def test_numbers_of_another_prompt(name: str, shape: tuple[int, ...], model: mw.Model) -> None:
    with pytest.raises(mw.UsageError, match=rf"{name} has shape .*, the prompt \[2, 5\]"):
        model.generate(ids(), **{name: torch.zeros(shape, dtype=torch.long)}, **QUIET)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True}], ids=str)
def test_scores_that_are_no_numbers(options: dict[str, Any]) -> None:
    broken = built()
    with torch.no_grad():
        broken.get_parameter("decoder.norm.bias")[0] = float("nan")
    with pytest.raises(mw.UsageError, match="not finite"):
        broken.generate(ids(), **options, **QUIET)


# options from specs and files


@pytest.mark.parametrize("spec", mw.list_specs())
def test_what_a_spec_says_of_generation_exists(spec: str) -> None:
    loaded = mw.load_spec(spec)
    section, heads = loaded.sections["generation"], loaded.sections["heads"]
    assert {*(section.get("defaults") or {})} <= {*NAMES}
    assert {*(section.get("heads") or [])} <= {*heads} or not heads  # a body alone has none


def test_a_config_s_options_are_defaults(tmp_path: Path) -> None:
    """In config.json as old files have them; a file of their own is alone; both come back when the model is saved."""
    model = built()
    model.save(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"max_length": 9, "num_beams": 3, "eos_token_id": None}))
    old = mw.build(weights=tmp_path, head="causal_lm")
    assert old.generation_config.max_length == 9 and old.generation_config.eos_token_id is None
    assert old.generate(ids()).shape == (2, 9)
    assert torch.equal(old.generate(ids()), model.generate(ids(), num_beams=3, max_length=9, eos_token_id=None))
    assert old.generate(ids(), max_new_tokens=2).shape == (2, 7)
    old.save(tmp_path / "again")
    stored = json.loads((tmp_path / "again" / "generation_config.json").read_text())
    assert stored["max_length"] == 9 and stored["num_beams"] == 3
    (tmp_path / "generation_config.json").write_text(json.dumps({"max_new_tokens": 4, "assistant_lookbehind": 10}))
    new = mw.build(weights=tmp_path, head="causal_lm")
    assert new.generation_config.to_dict() == {"max_new_tokens": 4, "assistant_lookbehind": 10}
    assert new.generate(ids()).shape == (2, 9)
    assert new.generate(ids(), generation_config={"max_length": 6}).shape == (2, 6)
    assert new.generate(ids(), generation_config=Settings(max_new_tokens=3, num_beams=2)).shape == (2, 8)
    new.save(tmp_path / "own", format="modelwright")
    assert mw.build(weights=tmp_path / "own", head="causal_lm").generation_config.max_new_tokens == 4


FILES: dict[str, dict[str, Any]] = {
    "longer than this call": {"min_length": 30, "max_length": 40},
    "longer, without the prompt": {"min_new_tokens": 30},
    "of chance": {"temperature": 0.0, "top_p": 0.0, "top_k": -1, "typical_p": 0.0, "min_p": 2.0},
    "of beams": {"length_penalty": 2.0, "num_beam_groups": 3, "early_stopping": True},
    "no tokens": {"pad_token_id": -1, "bos_token_id": -1},
    "one": {"guidance_scale": 1.0, "suppress_tokens": []},
    "contrastive": {"penalty_alpha": 0.0, "top_k": 400},
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("options", [{"max_new_tokens": 6}, {"max_length": 11, "use_cache": False}], ids=str)
def test_what_in_a_file_means_nothing_here(name: str, options: dict[str, Any], model: mw.Model, tmp_path: Path) -> None:
    """Ids as the reference writes them, which passes over it, too."""
    transformers = pytest.importorskip("transformers")
    model.save(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 9, 17, 26, 31, 44]} | FILES[name]))
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    text = mw.build(weights=tmp_path, head="causal_lm").generate(ids(), **options)
    assert text.tolist() == theirs.generate(ids(), **options).tolist()


def test_what_a_file_asks_for_and_is_not_there_is_an_error(model: mw.Model) -> None:
    with pytest.raises(mw.UsageError, match="generation has no `guidance_scale`"):
        model.generate(ids(), generation_config={"guidance_scale": 2.0})


def test_beginning_from_nothing_and_from_vectors(model: mw.Model) -> None:
    start = model.generate(bos_token_id=7, max_new_tokens=5, **QUIET)
    assert torch.equal(start, model.generate(torch.tensor([[7]]), max_new_tokens=5, **QUIET))
    vectors = model.embeddings.token.weight[ids()].detach()
    for options in ({}, {"num_beams": 3}):
        text = model.generate(inputs_embeds=vectors, max_new_tokens=6, **options, **QUIET)
        assert torch.equal(text, model.generate(ids(), max_new_tokens=6, **options, **QUIET)[:, 5:])
