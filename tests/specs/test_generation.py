"""Generated ids against the reference's, for every family that it can still generate with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
from parity import randomise
from torch import Tensor

import modelwright as mw

transformers = pytest.importorskip("transformers")

VOCABULARY = 99
#: The least lead of a greedy word over the next best one: more than any rounding.
MARGIN = 1e-3


@dataclass(frozen=True)
class Family:
    """A reference class with a small config, our spec and head, and what its `generate` must be told."""

    head: str
    reference: str
    config: dict[str, Any]
    reference_only: dict[str, Any] = field(default_factory=dict)
    first_position: int = 0
    """Where the reference's forward pass counts from, which its `generate` must be told: it counts from 0 itself."""


WITHOUT_CACHE = {"use_cache": False}
LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40,
          "max_position_embeddings": 60, "is_decoder": True, "eos_token_id": 2}  # fmt: skip
FAMILIES = {
    "bert": Family("causal_lm", "BertLMHeadModel", LAYERS),
    "roberta": Family("causal_lm", "RobertaForCausalLM", LAYERS, first_position=2),
    "electra": Family("causal_lm", "ElectraForCausalLM", LAYERS | {"embedding_size": 16}),
    "gpt": Family(
        "causal_lm", "OpenAIGPTLMHeadModel",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 60, "eos_token_id": 2},
    ),
    "gpt2": Family(
        "causal_lm", "GPT2LMHeadModel",
        {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 60, "bos_token_id": 1, "eos_token_id": 2},
    ),
    "llama": Family(
        "causal_lm", "LlamaForCausalLM",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 40, "max_position_embeddings": 60},
    ),
    "ctrl": Family(
        "causal_lm", "CTRLLMHeadModel",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 60, "dff": 40, "eos_token_id": 2},
    ),
    "bart": Family(
        "seq2seq_lm", "BartForConditionalGeneration",
        {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
         "decoder_attention_heads": 4, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "max_position_embeddings": 60},
    ),
    "t5": Family(
        "seq2seq_lm", "T5ForConditionalGeneration",
        {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 40, "decoder_start_token_id": 0},
    ),
    "xlnet": Family(
        "causal_lm", "XLNetLMHeadModel", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 40},
        WITHOUT_CACHE | {"use_mems": False},
    ),
    "xlm": Family(
        "masked_lm", "XLMWithLMHeadModel",
        {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 60, "mask_token_id": 5, "n_langs": 3,
         "lang_id": 2},
        WITHOUT_CACHE,
    ),
}  # fmt: skip

BEAMS = {"max_new_tokens": 14, "num_beams": 4}
CALLS: dict[str, dict[str, Any]] = {
    "default length": {},
    "greedy": {"max_new_tokens": 16},
    "greedy, total length": {"max_length": 12, "min_length": 10},
    "greedy, rules": {
        "max_new_tokens": 16, "no_repeat_ngram_size": 2, "repetition_penalty": 1.4, "min_new_tokens": 12,
        "bad_words_ids": [[7], [8, 9]], "suppress_tokens": [11, 12], "begin_suppress_tokens": [13],
        "sequence_bias": {(14,): 0.5, (15, 16): -1.0}, "exponential_decay_length_penalty": (4, 1.2),
    },
    "greedy, source": {"max_new_tokens": 12, "encoder_no_repeat_ngram_size": 1, "encoder_repetition_penalty": 1.3},
    "greedy, forced": {"max_new_tokens": 8, "forced_bos_token_id": 33, "forced_eos_token_id": 2},
    "greedy, several ends": {"max_new_tokens": 20, "eos_token_id": [2, 40, 50, 60, 70]},
    "beams": BEAMS,
    "beams, longer is better": {**BEAMS, "length_penalty": 2.0, "num_return_sequences": 3},
    "beams, shorter is better": {**BEAMS, "length_penalty": -1.0, "eos_token_id": [2, 40, 50]},
    "beams, early": {**BEAMS, "early_stopping": True, "eos_token_id": [30, 40, 50], "num_return_sequences": 4},
    "beams, never early": {**BEAMS, "early_stopping": "never", "eos_token_id": [30, 40, 50], "length_penalty": 0.5},
    "beams, ends": {**BEAMS, "eos_token_id": [30, 31, 32, 33, 34, 35, 36], "num_return_sequences": 2},
    "beams, rules": {**BEAMS, "no_repeat_ngram_size": 2, "repetition_penalty": 1.2, "bad_words_ids": [[7], [8, 9]]},
    "beams, forced": {"max_length": 14, "num_beams": 3, "forced_bos_token_id": 33, "forced_eos_token_id": 2},
    "beams, renormalised": {**BEAMS, "renormalize_logits": True, "suppress_tokens": [20, 21, 22, 23], "num_beams": 2},
    "sample": {"max_new_tokens": 14, "do_sample": True, "temperature": 1.3, "top_k": 20, "num_return_sequences": 3},
    "sample, narrowed": {"max_new_tokens": 14, "do_sample": True, "top_p": 0.8, "typical_p": 0.9, "min_p": 0.02},
    "sample, cut": {"max_new_tokens": 14, "do_sample": True, "top_k": 0, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02},
    "beams, sampled": {**BEAMS, "do_sample": True, "top_k": 30, "top_p": 0.95},
}  # fmt: skip


@cache
def pair(name: str, folder: Any) -> tuple[torch.nn.Module, mw.Model]:
    family = FAMILIES[name]
    cls = getattr(transformers, family.reference)
    theirs = cls._from_config(cls.config_class(vocab_size=VOCABULARY, **family.config), attn_implementation="eager")
    randomise(theirs)
    theirs.eval().save_pretrained(folder / name)
    return theirs, mw.build(name, weights=folder / name, head=family.head)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield tmp_path_factory.mktemp("generation")
    pair.cache_clear()


def prompt(rows: int = 2, length: int = 6, seed: int = 3) -> Tensor:
    return torch.randint(10, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


def both(name: str, folder: Any, ids: Tensor, options: dict[str, Any], **inputs: Tensor) -> tuple[Any, Any]:
    """What ours and theirs return, from the same state of torch's generator."""
    family, (theirs, ours) = FAMILIES[name], pair(name, folder)
    options = {"return_dict_in_generate": True, "output_scores": True} | options
    torch.manual_seed(5)
    mine = ours.generate(ids, **options, **inputs)
    if family.first_position and "position_ids" not in inputs:
        places = inputs.get("attention_mask", torch.ones_like(ids)).cumsum(dim=-1) - 1
        inputs["position_ids"] = family.first_position + places.clamp(min=0)
    torch.manual_seed(5)
    return mine, theirs.generate(ids, **options, **inputs, **family.reference_only)


def decided(reference: Any) -> bool:
    """Whether every greedy word has a lead that no rounding takes away."""
    if reference.get("sequences_scores") is not None:
        return True
    scores = torch.stack(reference.scores)
    top = scores.topk(2).values
    return bool(((top[..., 0] - top[..., 1])[top[..., 1].isfinite()] > MARGIN).all())


def assert_same(mine: Any, reference: Any) -> None:
    """Ids, scores, and where beams come from. Behind the end of a text the reference writes other tokens than padding
    if that is 0 (`pad_token_id or eos_token_id`), or if nothing is an end."""
    expected, found = reference.sequences, mine.sequences
    assert found.shape == expected.shape
    if reference.get("sequences_scores") is None:
        assert torch.equal(found, expected)
    else:
        written = reference.beam_indices >= 0
        start = expected.shape[1] - written.shape[1]
        assert torch.equal(mine.beam_indices, reference.beam_indices.long())
        assert torch.equal(found[:, :start], expected[:, :start])
        assert torch.equal(found[:, start:][written], expected[:, start:][written])
        torch.testing.assert_close(mine.sequences_scores, reference.sequences_scores, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine.scores, reference.scores, rtol=1e-4, atol=1e-4)


#: The reference takes the -1 positions that this config says there are at their word.
BROKEN = {("xlnet", "default length")}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", FAMILIES)
def test_ids_and_scores(name: str, call: str, folder: Any) -> None:
    if (name, call) in BROKEN:
        pytest.skip("the reference cannot")
    sampled = CALLS[call].get("do_sample")
    tried = (both(name, folder, prompt(seed=seed), CALLS[call]) for seed in range(3, 12))
    mine, reference = next((ours, theirs) for ours, theirs in tried if sampled or decided(theirs))
    assert_same(mine, reference)


def left_padded() -> tuple[Tensor, Tensor]:
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6, [0, 1, 1, 1, 1, 1]])
    return prompt(3).masked_fill(mask == 0, 0), mask


@pytest.mark.parametrize("call", ["greedy", "greedy, rules", "beams, rules", "beams, ends", "sample"])
@pytest.mark.parametrize("name", ["bert", "roberta", "electra", "gpt2", "ctrl", "llama", "bart", "t5"])
def test_padding(name: str, call: str, folder: Any) -> None:
    """On the left of a prompt; of a source on its right. (Rules look at a padded row as a whole, in both.)"""
    ids, mask = left_padded()
    if FAMILIES[name].head == "seq2seq_lm":
        ids, mask = ids.flip(1), mask.flip(1)
    mine, reference = both(name, folder, ids, CALLS[call] | {"pad_token_id": 0}, attention_mask=mask)
    assert_same(mine, reference)


@pytest.mark.parametrize("call", ["greedy", "beams"])
@pytest.mark.parametrize("start", [[[0, 40, 41], [0, 50, 51]], [[40, 41], [50, 51]]], ids=["whole", "without start"])
@pytest.mark.parametrize("name", ["bart", "t5"])
def test_a_target_that_has_begun(name: str, start: list[list[int]], call: str, folder: Any) -> None:
    begun = torch.tensor(start)
    if name == "bart":
        begun[begun == 0] = 2
    mine, reference = both(name, folder, prompt(), CALLS[call], decoder_input_ids=begun)
    assert_same(mine, reference)


def test_token_types_go_on_as_the_last_one(folder: Any) -> None:
    types = torch.tensor([[50] * 4 + [60] * 2] * 2)
    assert_same(*both("gpt2", folder, prompt(), CALLS["greedy"], token_type_ids=types))


@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
def test_token_types_of_a_padded_batch(name: str, folder: Any) -> None:
    ids, mask = left_padded()
    options = CALLS["beams, rules"] | {"pad_token_id": 0}
    types = torch.zeros_like(ids) if name == "roberta" else torch.tensor([[0] * 3 + [1] * 3] * 3)
    assert_same(*both(name, folder, ids, options, attention_mask=mask, token_type_ids=types))


@pytest.mark.parametrize("call", ["greedy", "beams"])
@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "llama"])
def test_positions_of_the_caller_s_count_on(name: str, call: str, folder: Any) -> None:
    places = torch.tensor([[0, 1, 2, 3, 4, 5], [7, 8, 9, 20, 21, 22]])
    assert_same(*both(name, folder, prompt(), CALLS[call], position_ids=places))


VECTORS: dict[str, dict[str, Any]] = {
    "total length": {"max_length": 14, "min_length": 8, "eos_token_id": [*range(2, 90)]},
    "without cache": {"max_new_tokens": 8, "use_cache": False},
    "beams": {"max_length": 12, "min_length": 9, "num_beams": 3, "eos_token_id": [*range(30, 60)], "use_cache": False},
}


@pytest.mark.parametrize("call", VECTORS)
@pytest.mark.parametrize("name", ["bert", "electra", "gpt2", "llama"])
def test_a_prompt_of_vectors(name: str, call: str, folder: Any) -> None:
    """Which counts for lengths, is not returned, and is read into a cache in any case."""
    theirs, ours = pair(name, folder)
    vectors = theirs.get_input_embeddings().weight[prompt()].detach()
    options = VECTORS[call] | {"return_dict_in_generate": True, "output_scores": True}
    mine, reference = (model.generate(inputs_embeds=vectors, **options) for model in (ours, theirs))
    assert decided(reference)
    assert_same(mine, reference)


@pytest.mark.parametrize("call", ["greedy", "beams"])
def test_an_encoder_beside_it(call: str, folder: Any) -> None:
    """States given by the caller, which a decoder of this kind has layers for where its config says so."""
    cls = transformers.BertLMHeadModel
    theirs = cls(cls.config_class(vocab_size=VOCABULARY, **LAYERS, add_cross_attention=True))
    randomise(theirs)
    theirs.eval().save_pretrained(folder / "crossing")
    ours = mw.build("bert", weights=folder / "crossing", head="causal_lm")
    states = {"encoder_hidden_states": torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(4)),
              "encoder_attention_mask": torch.tensor([[1] * 5, [1] * 3 + [0] * 2])}  # fmt: skip
    options = CALLS[call] | {"return_dict_in_generate": True, "output_scores": True}
    mine = ours.generate(prompt(), **options, **states)
    assert not torch.equal(mine.sequences, ours.generate(prompt(), **CALLS[call]))
    assert_same(mine, theirs.generate(prompt(), **options, **states, **WITHOUT_CACHE))  # it takes another kind of cache


@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
def test_greedy_words_are_the_likeliest_of_the_reference_s_forward_pass(name: str, folder: Any) -> None:
    """Which counts RoBERTa's positions from 2. Its own `generate` counts from 0, and ours does where it is told to."""
    theirs, ours = pair(name, folder)
    options = CALLS["greedy"] | {"eos_token_id": None, "pad_token_id": 1}
    text = ours.generate(prompt(), **options)
    likeliest = theirs(text).logits.argmax(dim=-1)
    assert torch.equal(text[:, 6:], likeliest[:, 5:-1])
    reference = theirs.generate(prompt(), **options)
    assert torch.equal(text, reference) == (FAMILIES[name].first_position == 0)
    assert torch.equal(reference, ours.generate(prompt(), position_ids=torch.arange(6)[None], **options))
