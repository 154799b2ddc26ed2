"""Rules by hand, warpers against the reference's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from writing_models import NEVER

import modelwright as mw
from modelwright.tasks.generation import processors as p
from modelwright.tasks.generation import warpers as w

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
