"""Generation: rules and warpers by hand and against the reference's, chance, padding, stops, streams, wrong calls."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import modelwright as mw
from modelwright import cli
from modelwright.tasks.generation import processors as p
from modelwright.tasks.generation import warpers as w
from modelwright.tasks.generation.settings import NAMES, Settings
from modelwright.tasks.generation.streaming import pieces

NEVER = float("-inf")
TINY = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 40}  # fmt: skip
QUIET = {"eos_token_id": None, "pad_token_id": 0}


def built(spec: str = "gpt2", head: str = "causal_lm", seed: int = 0, **hparams: Any) -> mw.Model:
    hparams = {name: value for name, value in (TINY | hparams).items() if value is not None}
    model = mw.build(spec, head=head, **hparams)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def model() -> mw.Model:
    return built()


def ids(rows: int = 2, length: int = 5, seed: int = 1) -> Tensor:
    return torch.randint(5, 50, (rows, length), generator=torch.Generator().manual_seed(seed))


# rules, by hand

WRITTEN = torch.tensor([[1, 2, 1, 3], [4, 4, 0, 1]])
SCORES = torch.tensor([[1.0, 2.0, -3.0, 4.0, 0.5], [0.1, -0.2, 0.3, 0.4, -0.5]])
HAND: dict[str, tuple[Any, list[list[float]]]] = {
    "suppress": (p.Suppress([1, 9]), [[1, NEVER, -3, 4, 0.5], [0.1, NEVER, 0.3, 0.4, -0.5]]),
    "not at the start": (p.SuppressAt([3], 4), [[1, 2, -3, NEVER, 0.5], [0.1, -0.2, 0.3, NEVER, -0.5]]),
    "no end yet": (p.NoEndBefore([0], 5), [[NEVER, 2, -3, 4, 0.5], [NEVER, -0.2, 0.3, 0.4, -0.5]]),
    "forced": (p.ForceAt([2], 4), [[NEVER, NEVER, 0, NEVER, NEVER]] * 2),
    "the end grows": (p.EndGrows([2], 2, 1.5), [[1, 2, -3 + 3 * 1.25, 4, 0.5], [0.1, -0.2, 0.3 * 2.25, 0.4, -0.5]]),
    "repetition": (p.PenaliseRepetition(2.0), [[1, 1, -6, 2, 0.5], [0.05, -0.4, 0.3, 0.4, -1]]),
    "repetition behind padding": (
        p.PenaliseRepetition(2.0, torch.tensor([0, 2])), [[1, 1, -6, 2, 0.5], [0.05, -0.4, 0.3, 0.4, -0.5]],
    ),
    "source": (
        p.PreferSource(2.0, torch.tensor([[3, 2], [0, 0]])), [[1, 2, -1.5, 8, 0.5], [0.2, -0.2, 0.3, 0.4, -0.5]],
    ),
    "bigrams": (p.NoRepeatedNgram(2), [[1, 2, -3, 4, 0.5], [0.1, -0.2, 0.3, 0.4, -0.5]]),
    "single tokens": (p.NoRepeatedNgram(1), [[1, NEVER, NEVER, NEVER, 0.5], [NEVER, NEVER, 0.3, 0.4, NEVER]]),
    "bigrams of the source": (
        p.NoNgramOfSource(2, torch.tensor([[3, 4, 3, 0], [1, 2, 3, 1]])),
        [[NEVER, 2, -3, 4, NEVER], [0.1, -0.2, NEVER, 0.4, -0.5]],
    ),
    "biases": (
        p.SequenceBias({(0,): 1.5, (1, 3, 2): 2.0, (0, 1, 4): NEVER, (3, 3): 7.0}),
        [[2.5, 2, -1, 11, 0.5], [1.6, -0.2, 0.3, 0.4, NEVER]],
    ),
    "allowed": (
        p.Allowed(lambda number, text: [number, int(text[-1])], 1),
        [[1, NEVER, NEVER, 4, NEVER], [NEVER, -0.2, NEVER, NEVER, NEVER]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND)
def test_rules_by_hand(name: str) -> None:
    rule, expected = HAND[name]
    before = SCORES.clone()
    torch.testing.assert_close(rule(WRITTEN, SCORES), torch.tensor(expected))
    assert torch.equal(SCORES, before), "a rule has changed what it was given"


def test_ngrams_are_those_of_the_whole_row() -> None:
    written = torch.tensor([[7, 8, 9, 7, 8], [7, 8, 9, 8, 7]])
    blocked = p.NoRepeatedNgram(3)(written, torch.zeros(2, 10)) == NEVER
    assert blocked.nonzero().tolist() == [[0, 9]]


WARPERS = {
    "temperature": (w.Temperature(2.0), "TemperatureLogitsWarper", {"temperature": 2.0}),
    "top k": (w.TopK(4), "TopKLogitsWarper", {"top_k": 4}),
    "top p": (w.TopP(0.7), "TopPLogitsWarper", {"top_p": 0.7}),
    "top p, two stay": (w.TopP(0.01, 2), "TopPLogitsWarper", {"top_p": 0.01, "min_tokens_to_keep": 2}),
    "min p": (w.MinP(0.3), "MinPLogitsWarper", {"min_p": 0.3}),
    "min p, three stay": (w.MinP(1.0, 3), "MinPLogitsWarper", {"min_p": 1.0, "min_tokens_to_keep": 3}),
    "typical": (w.Typical(0.5), "TypicalLogitsWarper", {"mass": 0.5}),
    "epsilon": (w.Epsilon(0.05), "EpsilonLogitsWarper", {"epsilon": 0.05}),
    "eta": (w.Eta(0.2), "EtaLogitsWarper", {"epsilon": 0.2}),
    "eta, two stay": (w.Eta(0.9, 2), "EtaLogitsWarper", {"epsilon": 0.9, "min_tokens_to_keep": 2}),
}


@pytest.mark.parametrize("name", WARPERS)
def test_warpers_are_the_reference_s(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    ours, cls, options = WARPERS[name]
    theirs = getattr(transformers.generation.logits_process, cls)(**options)
    for seed in range(5):
        scores = 2 * torch.randn(3, 12, generator=torch.Generator().manual_seed(seed))
        scores[1, 3:] = NEVER  # as rules before leave it
        torch.testing.assert_close(ours(WRITTEN, scores), theirs(WRITTEN, scores))


def test_top_k_top_p_filtering() -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()
    kept = lambda **options: mw.top_k_top_p_filtering(probabilities, **options).isfinite().tolist()  # noqa: E731
    assert kept() == [True] * 4
    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_p=0.7) == [True, True, False, False]  # the one that reaches the mass is in
    assert kept(top_k=3, top_p=0.4) == [True, False, False, False]
    assert kept(top_p=0.4, min_tokens_to_keep=2) == [True, True, False, False]
    filled = mw.top_k_top_p_filtering(torch.stack([probabilities, probabilities])[None], top_k=1, filter_value=-9.0)
    assert filled.shape == (1, 2, 4) and (filled[..., 1:] == -9.0).all()


# chance


def test_words_are_drawn_with_their_probabilities(model: mw.Model) -> None:
    """Chi square over the words, at a level of one in ten thousand."""
    start = ids(1, 4)
    options = {"do_sample": True, "temperature": 1.5, "top_k": 8, "max_new_tokens": 1, "num_return_sequences": 20000}
    drawn = model.generate(start, **options, **QUIET, generator=torch.Generator().manual_seed(0))[:, -1]
    logits = w.TopK(8)(start, model(start).logits[:, -1] / 1.5)
    expected = 20000 * logits.softmax(dim=-1)[0]
    found = torch.tensor([Counter(drawn.tolist())[word] for word in range(50)], dtype=torch.float)
    assert (found[expected == 0] == 0).all()
    some = expected > 0
    assert ((found - expected)[some] ** 2 / expected[some]).sum() < 29.9  # 7 degrees of freedom


def test_a_seed_gives_the_same_text_again(model: mw.Model) -> None:
    def text(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return model.generate(ids(), do_sample=True, max_new_tokens=12, generator=generator, **QUIET).tolist()

    state = torch.get_rng_state()
    assert text(3) == text(3) != text(4)
    assert torch.equal(state, torch.get_rng_state()), "a generator of the caller's leaves torch's own alone"


def test_sampled_beams_are_reproducible_and_differ_from_the_best(model: mw.Model) -> None:
    def text(**options: Any) -> list[list[int]]:
        return model.generate(ids(), num_beams=3, max_new_tokens=10, **options, **QUIET).tolist()

    sampled = [text(do_sample=True, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert sampled[0] == sampled[1] and text() not in (sampled[0], sampled[2])


# padding

PADDED = {
    "gpt2": ("causal_lm", {}), "gpt": ("causal_lm", {}), "ctrl": ("causal_lm", {"intermediate_size": 20}),
    "xlnet": ("causal_lm", {"intermediate_size": 20, "max_position_embeddings": None}),
    "xlm": ("causal_lm", {"causal": True}),
    "transfo_xl": ("causal_lm", {"attention_head_size": 8, "intermediate_size": 20, "cutoffs": [10, 20],
                                 "embedding_divisor": 2, "tie_projections": [False, True, True], "memory_length": 6,
                                 "max_position_embeddings": None}),
    "reformer": ("causal_lm", {"is_decoder": True, "attn_layers": ["local", "lsh"], "attention_head_size": 8,
                               "axial_pos_shape": [5, 8], "axial_pos_embds_dim": [4, 12], "local_chunk_length": 4,
                               "lsh_chunk_length": 4, "num_buckets": 2, "hash_seed": 0, "num_hidden_layers": None}),
}  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "num_return_sequences": 2}], ids=["greedy", "beams"])
@pytest.mark.parametrize("spec", PADDED)
def test_a_padded_batch_writes_what_its_rows_write(spec: str, options: dict[str, Any]) -> None:
    head, hparams = PADDED[spec]
    model = built(spec, head, **hparams)
    rows = [ids(1, length, seed=length)[0] for length in (7, 3, 5)]
    batch = torch.stack([torch.cat([torch.zeros(7 - len(row), dtype=torch.long), row]) for row in rows])
    mask = (batch != 0).long()
    options = options | {"max_new_tokens": 8} | QUIET
    together = model.generate(batch, attention_mask=mask, **options)
    copies = options.get("num_return_sequences", 1)
    for number, row in enumerate(rows):
        alone = model.generate(row[None], **options)[:, len(row) :]
        assert torch.equal(together[copies * number : copies * (number + 1), 7:], alone)


# caches


def test_beams_without_a_cache_are_the_same(model: mw.Model) -> None:
    options = {"num_beams": 5, "max_new_tokens": 15, "num_return_sequences": 5, "return_dict_in_generate": True}
    cached, plain = (model.generate(ids(3), use_cache=use, **options, **QUIET) for use in (True, False))
    assert torch.equal(cached.sequences, plain.sequences)
    torch.testing.assert_close(cached.sequences_scores, plain.sequences_scores)


@pytest.mark.parametrize("spec", ["bart", "t5"])
def test_one_source_for_all_beams(spec: str) -> None:
    """Keys and values of the encoder are there once for a prompt, however many rows ask."""
    small = {"bart": {}, "t5": {"attention_head_size": 8, "max_position_embeddings": None}}[spec]
    model = built(spec, "seq2seq_lm", intermediate_size=20, **small)
    source, mask = ids(2, 6), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    cache = model.new_cache(4)
    first = model(source, attention_mask=mask, decoder_input_ids=source[:, :1], past_key_values=cache)
    encoded = model.encode(source, attention_mask=mask)
    assert torch.equal(first.encoder_last_hidden_state, encoded.last_hidden_state)
    cache.repeat(3)
    words = ids(6, 1, seed=4)
    shared = model(attention_mask=mask, encoder_outputs=encoded, decoder_input_ids=words, past_key_values=cache)
    assert cache.cross(0)[0].shape[0] == 2
    thrice = torch.cat([source[:, :1].repeat_interleave(3, dim=0), words], dim=1)
    apart = model(source.repeat_interleave(3, 0), attention_mask=mask.repeat_interleave(3, 0), decoder_input_ids=thrice)
    torch.testing.assert_close(shared.logits[:, -1], apart.logits[:, -1], rtol=1e-4, atol=2e-5)
    weights = model(attention_mask=mask, encoder_outputs=encoded, decoder_input_ids=words, output_attentions=True)
    assert weights.cross_attentions[0].shape[:2] == (6, 2)


@torch.no_grad()
def test_a_cache_takes_only_what_differs(model: mw.Model) -> None:
    cache = model.new_cache(8)
    model(ids(3, 6), past_key_values=cache)
    before = [(key.clone(), value.clone()) for key, value in cache]
    storage = cache[0][0].data_ptr()
    cache.reorder(torch.tensor([2, 0, 0]), start=4)
    for (key, value), (old_key, old_value) in zip(cache, before, strict=True):
        assert torch.equal(key[:, :, 4:], old_key[[2, 0, 0], :, 4:]) and torch.equal(key[:, :, :4], old_key[:, :, :4])
        assert torch.equal(value[:, :, 4:], old_value[[2, 0, 0], :, 4:])
    assert cache[0][0].data_ptr() == storage, "reordered in place"
    model(ids(3, 2), past_key_values=cache)
    assert cache[0][0].data_ptr() == storage, "there was room from the start"


@pytest.mark.parametrize("rows", [1, 2, 4, 33])
def test_arranged_weights_are_the_same(rows: int, tmp_path: Path) -> None:
    """Shapes, values, ties and files; only strides differ, and for one row those of wide matrices alone."""
    model = built()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    text = model.generate(ids(), num_beams=2, max_new_tokens=8, **QUIET)
    mw.arrange(model, rows)
    assert model.heads.causal_lm.projection.weight is model.embeddings.token.weight
    assert (model.heads.causal_lm.projection.panels is None) == (rows != 4)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) and parameter.requires_grad
        wide = name.endswith("intermediate.weight") or name == "embeddings.token.weight"
        assert parameter.is_contiguous() == (rows > 1 or not wide), name
    assert torch.equal(text, model.generate(ids(), num_beams=2, max_new_tokens=8, **QUIET))
    model.save(tmp_path)
    again = mw.build(weights=tmp_path, head="causal_lm")
    assert all(torch.equal(parameter, before[name]) for name, parameter in again.named_parameters())


# stops


class Letters:
    """A tokenizer of bytes: token n is the byte n, 256 the end."""

    padding_side = "right"

    def __call__(self, text: Any, **options: Any) -> Any:
        rows = [list(one.encode()) for one in ([text] if isinstance(text, str) else text)]
        tensor = torch.tensor(rows)
        return {"input_ids": tensor, "attention_mask": torch.ones_like(tensor)}

    def decode(self, ids: list[int], **options: Any) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


def saying(text: str) -> tuple[mw.Model, Any]:
    """A model and a rule that makes it write this text, byte by byte, and then the end."""
    model = built(vocab_size=257, max_position_embeddings=200)
    letters = list(text.encode()) + [256]

    def rule(written: Tensor, scores: Tensor) -> Tensor:
        forced = torch.full_like(scores, NEVER)
        forced[:, letters[min(written.shape[1] - 1, len(letters) - 1)]] = 0
        return forced

    return model, rule


def test_stop_strings() -> None:
    model, rule = saying("one two three")
    call = {"logits_processor": [rule], "tokenizer": Letters(), "max_new_tokens": 60, "eos_token_id": 256}

    def text(**options: Any) -> str:
        return Letters().decode(model.generate(torch.tensor([[32]]), **call, **options)[0].tolist())

    assert text() == " one two three"
    assert text(stop_strings="two") == " one two"
    assert text(stop_strings=["xyz", "e t", "three"]) == " one t"
    assert text(stop_strings=" o") == " o"  # which the prompt begins
    assert text(stop_strings=["wo"], num_beams=1, min_new_tokens=2) == " one two"
    assert text(stopping_criteria=[lambda written, scores: written.shape[1] >= 5]) == " one "


def test_time_runs_out(model: mw.Model) -> None:
    assert model.generate(ids(), max_time=1e-9, max_new_tokens=20, **QUIET).shape == (2, 6)


def test_rows_that_are_finished_get_padding(model: mw.Model) -> None:
    free = model.generate(ids(), max_new_tokens=12, **QUIET)
    end = int(free[0, 7])
    text = model.generate(ids(), max_new_tokens=12, eos_token_id=[end, 1], pad_token_id=3)
    first = (free[0, 5:] == end).nonzero()[0].item() + 5
    assert torch.equal(text[0, : first + 1], free[0, : first + 1]) and (text[0, first + 1 :] == 3).all()


# streams


def test_a_stream_never_splits_a_character() -> None:
    text = "naïve ☃ 🎈é!"
    model, rule = saying(text)
    options = {"logits_processor": [rule], "max_new_tokens": 60, "eos_token_id": 256}
    found = list(mw.stream(model, Letters(), " ", **options))
    assert "".join(found) == text and len(found) == len(text)
    cut = list(mw.stream(model, Letters(), " ", **(options | {"max_new_tokens": 9})))
    assert "".join(cut) == "naïve \N{REPLACEMENT CHARACTER}", "what is left of a character comes last"


def test_pieces_of_words_that_change_with_their_neighbours() -> None:
    words = ["a", " b", "c", "", " d"]
    assert list(pieces(range(5), lambda ids: "".join(words[i] for i in ids).strip())) == ["a", " b", "c", " d"]


def test_a_stream_is_one_text(model: mw.Model) -> None:
    with pytest.raises(mw.UsageError, match="never taken back"):
        list(mw.stream(model, Letters(), " ", num_beams=2))
    assert torch.is_grad_enabled()
    reading = mw.stream(model, Letters(), " ", max_new_tokens=3, **QUIET)
    next(reading)
    assert torch.is_grad_enabled(), "between pieces the caller's mode holds"


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
    "no id": ({"eos_token_id": -1}, "eos_token_id must be a token id or a list of them"),
    "no tokenizer": ({"stop_strings": "x"}, "stop_strings are looked for in text"),
    "nothing left": ({"suppress_tokens": list(range(50))}, "forbid every word"),
    "nothing left for beams": ({"suppress_tokens": list(range(50)), "num_beams": 2}, "forbid every word"),
    "nothing left to chance": ({"suppress_tokens": list(range(50)), "do_sample": True}, "forbid every word"),
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


def test_a_model_that_does_not_write() -> None:
    with pytest.raises(mw.UsageError, match='build it with head="causal_lm"'):
        mw.build("gpt2", **TINY).generate(ids())
    with pytest.raises(mw.UsageError, match="a language model with a decoder"):
        mw.build("bert", head="masked_lm", vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                 intermediate_size=20).generate(ids())  # fmt: skip


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


# compiled


@pytest.mark.parametrize("spec", ["gpt2", "bart", "t5"])
def test_compiled_steps_are_whole_and_the_same(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One graph for all steps of a call: no break, nothing compiled again as the text grows."""
    compile, graphs = torch.compile, []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", lambda step, **options: compile(step, backend=backend, **options))
    small = {"intermediate_size": 20} | ({"attention_head_size": 8} if spec == "t5" else {})
    small |= {"max_position_embeddings": None} if spec == "t5" else {}
    model = built(spec, "causal_lm" if spec == "gpt2" else "seq2seq_lm", **small)
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    calls = [{}, {"attention_mask": mask}, {"num_beams": 3}, {"penalty_alpha": 0.4, "top_k": 3}]
    for number, options in enumerate(calls):
        options = {"max_new_tokens": 10, **options, **QUIET}
        assert torch.equal(model.generate(ids(), **options), model.generate(ids(), compile=True, **options))
        assert len(graphs) == number + 1
    model.generate(ids(seed=9), compile=True, max_new_tokens=14, **QUIET)
    assert len(graphs) == len(calls), "another text of about that length runs the same code"


def test_compiled_steps_of_arranged_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """One graph, and none of it reads a copy of a weight that was written to."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda step, **options: compile(step, backend="eager", **options))
    model = built()
    options = {"max_new_tokens": 10, "num_beams": 3, **QUIET}
    first = model.generate(ids(), **options)
    mw.arrange(model, 6)
    assert torch.equal(first, model.generate(ids(), compile=True, **options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    second = model.generate(ids(), compile=True, **options)
    assert not torch.equal(second, first) and torch.equal(second, model.generate(ids(), **options))


# command line


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = mw.build("gpt", head="causal_lm", **TINY, initializer_range=1.0)
    model.save(tmp_path)
    letters = [*"abcdefghijklmnopqrstuvwx", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwx"), "<unk>", "ab"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(letters)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    command = ["generate", str(tmp_path), "ab c", "--max-new-tokens", "6", "--option", "eos_token_id=null"]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert text.startswith("ab c") and len(text) > 5
    assert cli.main([*command, "--stream"]) == 0
    assert "".join(capsys.readouterr().out.split()) == "".join(text.split())
    assert cli.main([*command, "--num-beams", "3", "--num-return-sequences", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prompt"] == "ab c" and len(found["generated"]) == 2
    sampled = [*command, "--do-sample", "--seed", "3", "--top-k", "0"]
    assert cli.main(sampled) == 0
    first = capsys.readouterr().out
    assert cli.main(sampled) == 0 and capsys.readouterr().out == first
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO("ab c\n"))
    assert cli.main([command[0], command[1], *command[3:]]) == 0
    assert capsys.readouterr().out == text
    assert cli.main([*command, "--num-beams", "0"]) == 2
    assert "num_beams must be a whole number" in capsys.readouterr().err
    assert cli.main(["generate", str(tmp_path), ""]) == 2
    assert "the prompt is empty" in capsys.readouterr().err
