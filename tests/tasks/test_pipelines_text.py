"""Pipelines that write: prompts, languages, batches, lengths. What they write is compared in the golden cases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pipeline_parity import GOLDEN

import modelwright as mw

TEXTS = ["Hello", "My name is Wolfgang and I live in Berlin.", "I", "the café 😀", "Where is the company"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A model of several tasks whose config says nothing of them."""
    folder = tmp_path / "bare"
    shutil.copytree(GOLDEN / "t5_text", folder)
    config = json.loads((folder / "config.json").read_text())
    del config["task_specific_params"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("task", "folder", "options"),
    [
        ("text-generation", "gpt2_text", {"do_sample": False}),
        ("text-generation", "gpt2_text", {"do_sample": False, "num_beams": 2, "num_return_sequences": 2}),
        ("summarization", "t5_text", {}),
        ("text2text-generation", "bart_text", {"num_beams": 2, "num_return_sequences": 2}),
    ],
)
def test_together_as_alone(task: str, folder: str, options: dict[str, Any]) -> None:
    pipe = mw.pipeline(task, model=GOLDEN / folder, max_new_tokens=6, **options)
    alone = [pipe(text) for text in TEXTS]
    pipe.runner._slack = 1.0  # all in one batch, however much is filled up
    together = list(pipe(iter(TEXTS)))
    assert together == alone and len(alone[0]) == options.get("num_return_sequences", 1)


def source(pipe: Any, text: str, **options: Any) -> str:
    """What the model reads."""
    chosen = pipe.chosen(options)
    return pipe.tokenizer.decode(pipe.rows([text], 0, chosen)[0][0].inputs["input_ids"], skip_special_tokens=True)


def test_prompts_of_the_spec_and_of_the_config(bare: Path) -> None:
    for folder in (bare, GOLDEN / "t5_text"):
        assert source(mw.pipeline("summarization", model=folder), "well") == "summarize: well"
        pipe = mw.pipeline("translation_en_to_de", model=folder)
        assert source(pipe, "well") == "translate English to German: well"
        assert source(pipe, "well", prefix="") == "well"
        pipe = mw.pipeline("translation", model=folder)
        assert source(pipe, "well", src_lang="en", tgt_lang="de") == "translate English to German: well"
    for folder in (bare, GOLDEN / "t5_text"):  # a pair that this config does not name
        pipe = mw.pipeline("translation_de_to_en", model=folder)
        assert source(pipe, "well") == "translate German to English: well"
        assert source(pipe, "well", prefix="") == "well"
    assert source(mw.pipeline("text2text-generation", model=bare), "well") == "well"
    assert source(mw.pipeline("summarization", model=GOLDEN / "bart_text"), "well") == "well"


def test_what_the_config_says_of_a_task_counts() -> None:
    """Its `max_length` is over the task's own length, and what the caller says is over both."""
    pipe = mw.pipeline("summarization", model=GOLDEN / "t5_text", return_tensors=True)
    assert len(pipe("My name is Wolfgang.")[0]["summary_token_ids"]) <= 14
    ids = pipe("My name is Wolfgang.", max_new_tokens=7, min_new_tokens=7)[0]["summary_token_ids"]
    assert len(ids) == 8 and ids[0] == 0


def test_sampling_is_what_the_seed_makes_it() -> None:
    import torch

    pipe = mw.pipeline("text-generation", model=GOLDEN / "gpt2_text", max_new_tokens=12)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(pipe("Hello")[0]["generated_text"])
    assert found[0] == found[1] != found[2] and found[0].startswith("Hello")


def test_prompts_that_leave_no_room_are_cut_at_their_beginning() -> None:
    pipe = mw.pipeline("text-generation", model=GOLDEN / "gpt2_text", do_sample=False, max_new_tokens=8)
    long = "the river " * 60
    with pytest.raises(mw.UsageError, match="takes 80"):
        pipe(long)
    ids = pipe(long, handle_long_generation="hole", return_tensors=True)[0]["generated_token_ids"]
    assert ids[:72] == pipe.tokenizer(long).input_ids[-72:]
    text = pipe(long, handle_long_generation="hole")[0]["generated_text"]
    assert text.startswith(long) and len(text) > len(long)
    with pytest.raises(mw.UsageError, match="leave no room"):
        pipe(long, handle_long_generation="hole", max_new_tokens=80)


def test_an_empty_prompt_begins_a_text() -> None:
    pipe = mw.pipeline("text-generation", model=GOLDEN / "gpt2_text", do_sample=False, max_new_tokens=3)
    begun = pipe(pipe.tokenizer.bos_token)[0]["generated_text"].removeprefix(pipe.tokenizer.bos_token)
    assert pipe("")[0]["generated_text"] == begun != ""


@pytest.mark.parametrize(
    ("task", "folder", "options", "call", "message"),
    [
        ("text-generation", "gpt2_text", {}, {"max_new_token": 3}, "did you mean `max_new_tokens`"),
        ("text-generation", "gpt2_text", {}, {"num_beams": 0}, "num_beams"),
        ("text-generation", "gpt2_text", {"handle_long_generation": "cut"}, {}, "handle_long_generation='cut'"),
        ("translation_en_to_xx", "t5_text", {}, {}, "no name for the language `xx`"),
        ("translation", "t5_text", {}, {}, "from which language to which?"),
        ("translation", "t5_text", {"src_lang": "en"}, {}, "src_lang and tgt_lang go together"),
        ("summarization", "bart_text", {}, {"colour": "red"}, "colour"),
    ],
)
def test_mistakes(task: str, folder: str, options: dict[str, Any], call: dict[str, Any], message: str) -> None:
    with pytest.raises(mw.UsageError) as caught:
        mw.pipeline(task, model=GOLDEN / folder, **options)("Hello", **call)
    assert message in str(caught.value)
