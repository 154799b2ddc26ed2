"""More texts than there is memory for, or than can be counted: an error that says so, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from writing_models import built, ids

import modelwright as mw
from modelwright.tasks.generation.room import room_for


@pytest.fixture(scope="module")
def model() -> mw.Model:
    return built()


@pytest.mark.parametrize("rows", [10**12, 10**15, 10**17, 10**18, 2**62, 10**19, 10**30], ids="{:.0e}".format)
@pytest.mark.parametrize("option", ["num_beams", "num_return_sequences"])
def test_more_texts_than_memory(option: str, rows: int, model: mw.Model) -> None:
    more = {"do_sample": True} if option == "num_return_sequences" else {}
    with pytest.raises(mw.UsageError, match=f"no memory for {option} = {rows} with 2 prompts") as caught:
        model.generate(ids(), pad_token_id=0, **{option: rows}, **more)
    assert f"a smaller {option}, or fewer prompts" in str(caught.value)


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("failing", [
    lambda: torch.zeros(10**15), lambda: torch.zeros(2, 2**62), lambda: torch.zeros(2, 1).expand(2, 2**62).clone(),
    lambda: _raise(MemoryError()), lambda: _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")),
])  # fmt: skip
def test_what_is_missing_memory(failing: Callable[[], Any]) -> None:
    with pytest.raises(mw.UsageError, match="no memory for num_beams = 3 with 1 prompt\n"), room_for(1, 3, "num_beams"):
        failing()


@pytest.mark.parametrize("failing", [
    lambda: torch.zeros(2) + torch.zeros(3), lambda: torch.zeros(-1), lambda: torch.zeros("2"),
    lambda: torch.zeros(2).new_full((2,), "0"), lambda: torch.zeros(1, dtype=torch.long).new_full((1,), 2**70),
    lambda: int("three"), lambda: len(3), lambda: 10.0**400,
])  # fmt: skip
def test_a_fault_is_not_missing_memory(failing: Callable[[], Any]) -> None:
    with pytest.raises((RuntimeError, TypeError, ValueError, OverflowError)) as caught, room_for(1, 3, "num_beams"):
        failing()
    assert not isinstance(caught.value, mw.UsageError)
