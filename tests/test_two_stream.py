"""Relative attention over two streams: chunks, memory, compilation, what does not fit. Numbers: see tests/specs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import modelwright as mw
from modelwright.blocks import relative_attention

TINY = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def tiny(head: str | None = None, **more: Any) -> mw.Model:
    torch.manual_seed(0)
    return mw.build("xlnet", head=head, initializer_range=0.3, **(TINY | more))


def inputs(length: int = 19, targets: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    rank = torch.rand(2, length, generator=generator).argsort(dim=-1)
    return {
        "input_ids": torch.randint(0, 60, (2, length), generator=generator),
        "token_type_ids": torch.randint(0, 2, (2, length), generator=generator),
        "attention_mask": (torch.arange(length) >= torch.tensor([[0], [2]])).long(),
        "perm_mask": (rank[:, :, None] <= rank[:, None, :]).float(),
        "target_mapping": torch.eye(length)[rank[:, :targets]],
    }


@pytest.mark.parametrize("causal", [False, True])
def test_chunks_equal_one(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(causal=causal)
    with torch.no_grad():
        mems = model(**inputs()).mems
        whole = model(**inputs(), mems=mems, output_attentions=True)
        monkeypatch.setattr(relative_attention, "CHUNK", 4)
        cut = model(**inputs(), mems=mems, output_attentions=True)
        fused = model(**inputs(), mems=mems)
    for found in (cut, fused):
        torch.testing.assert_close(found.last_hidden_state, whole.last_hidden_state, rtol=0, atol=1e-5)
    for found, expected in zip(cut.attentions[1], whole.attentions[1], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_with_memory_of_everything_segments_are_one_text() -> None:
    """Of a causal model, longer than several chunks: memory and distances to it are exact."""
    model = tiny(causal=True, memory_length=None)
    ids = torch.randint(0, 60, (2, 400))
    with torch.no_grad():
        whole = model(ids)
        mems, found = None, []
        for segment in ids.split([150, 1, 249], dim=1):
            output = model(segment, mems=mems)
            mems = output.mems
            found.append(output.last_hidden_state)
    torch.testing.assert_close(torch.cat(found, dim=1), whole.last_hidden_state, rtol=0, atol=2e-5)
    torch.testing.assert_close(mems[1], whole.mems[1], rtol=0, atol=2e-5)


def test_memory_is_cut_and_only_the_reusable_part_is_kept() -> None:
    model = tiny(memory_length=6, reuse_length=4)
    ids = torch.randint(0, 60, (2, 9))
    first = model(ids)
    second = model(ids, mems=first.mems)
    embedded = model.embeddings.token.weight[ids].transpose(0, 1)
    assert torch.equal(first.mems[0], embedded[:4])
    assert torch.equal(second.mems[0], torch.cat([embedded[2:4], embedded[:4]]))
    assert not second.mems[1].requires_grad
    assert model.train()(ids).mems is None


@pytest.mark.parametrize("train", [False, True])
def test_both_streams_compile_whole(train: bool) -> None:
    torch._dynamo.reset()  # a function is compiled only so many times
    model = tiny("causal_lm", hidden_dropout=0.0).train(train)
    given = inputs()
    with torch.set_grad_enabled(train):
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        expected, found = model(**given), compiled(**given)
        torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)
        if not train:
            found, expected = (call(**given, mems=expected.mems) for call in (compiled, model))
            torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)


def test_memory_needed_grows_with_the_length_not_its_square() -> None:
    def peak(length: int) -> int:
        model = tiny(num_attention_heads=8, num_hidden_layers=1)
        ids = torch.zeros(1, length, dtype=torch.long)
        with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profile:
            model(ids)
        live = highest = 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == "[memory]":
                live += event.nbytes()
                highest = max(highest, live)
        return highest

    assert peak(2048) < 2.2 * peak(1024)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, ids: model(ids, perm_mask=torch.zeros(2, 3, 5)), "perm_mask of shape"),
        (lambda model, ids: model(ids, target_mapping=torch.zeros(2, 1, 4)), "must be [2, targets, 5]"),
        (lambda model, ids: model(ids, mems=[torch.zeros(4, 2, 16)]), "mems hold 1 layers, the model has 2"),
        (lambda model, ids: model(ids, mems=[torch.zeros(4, 3, 16)] * 2), "each must be [positions, 2, 16]"),
        (lambda model, ids: tiny(bidirectional_data=True)(ids[:1]), "1 has no half"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(call: Callable[[mw.Model, Tensor], Any], message: str) -> None:
    with pytest.raises(mw.ModelwrightError) as error:
        call(tiny(), torch.zeros(2, 5, dtype=torch.long))
    assert message in str(error.value)


def test_a_word_of_configs_that_changed_its_meaning(tmp_path) -> None:
    """`gelu` of files that name no model is the tanh form; saving says it in today's words."""
    config = {"n_token": 60, "d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 24, "ff_activation": "gelu"}
    old, new = mw.build("xlnet", config=config), mw.build("xlnet", config=config | {"model_type": "xlnet"})
    assert (old.config.hidden_act, new.config.hidden_act) == ("gelu_tanh", "gelu")
    old.save(tmp_path)
    assert mw.build(weights=tmp_path).config.hidden_act == "gelu_tanh"
