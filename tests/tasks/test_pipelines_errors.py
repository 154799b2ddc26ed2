"""Every wrong input, option or model of a pipeline gets one clear error."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from pipeline_parity import GOLDEN

import modelwright as mw


@cache
def made(task: str, folder: str) -> Any:
    return mw.pipeline(task, model=GOLDEN / folder)


CLASSES, TAGS = ("text-classification", "bert_classes"), ("ner", "bert_entities")
ANSWERS, WORDS = ("question-answering", "bert_answers"), ("fill-mask", "bert_words")
SHOTS, VECTORS = ("zero-shot-classification", "roberta_inference"), ("feature-extraction", "bert_classes")
ALIKE = ("sentence-similarity", "bert_classes")
WHOLE = {"question": "Who?", "context": "Berlin"}

CALLS: list[tuple[tuple[str, str], Any, dict[str, Any], str]] = [
    (CLASSES, [], {}, "an empty list"),
    (CLASSES, ["a", None], {}, "input 1 is None"),
    (CLASSES, 7, {}, "the input is an int"),
    (CLASSES, None, {}, "the input is None"),
    (CLASSES, {"txt": "a"}, {}, "the input has no `text`"),
    (CLASSES, {"text": "a", "pair": "b"}, {}, "key `pair`"),
    (CLASSES, [["a", "b"]], {}, 'it must be {"text": …, "text_pair": …}'),
    (CLASSES, "a", {"topk": 2}, "did you mean `top_k`?"),
    (CLASSES, "a", {"batch_size": 0}, "batch_size=0 is no whole number from 1"),
    (CLASSES, "a", {"top_k": 0}, "top_k=0 is no whole number from 1"),
    (CLASSES, "a", {"function_to_apply": "tanh"}, "function_to_apply='tanh' is not known"),
    (CLASSES, ["a", "word " * 60], {}, "input 1 has 62 tokens, and bert takes 40"),
    (TAGS, "a", {"aggregation_strategy": "mean"}, "aggregation_strategy='mean' is not known"),
    (TAGS, "a", {"stride": 4}, "stride is for windows"),
    (TAGS, ["a", "b"], {"is_split_into_words": True, "delimiter": None}, "delimiter=None must be a text"),
    (TAGS, "a", {"is_split_into_words": "no"}, "is_split_into_words='no' must be True or False"),
    (TAGS, "a", {"ignore_labels": "O"}, "ignore_labels='O' must be a list of texts"),
    (TAGS, [["a", 3]], {"is_split_into_words": True}, "the input has an int among its words"),
    (TAGS, [["a", "b"]], {}, "is_split_into_words=True is for lists of words"),
    (ANSWERS, {"question": "Who?"}, {}, "has no `context`"),
    (ANSWERS, {"question": "Who?", "text": "x"}, {}, "has no `context`"),
    (ANSWERS, {"question": "", "context": "x"}, {}, "`question` of the input is empty"),
    (ANSWERS, {"question": "Who?", "context": 4}, {}, "`context` of the input is an int"),
    (ANSWERS, [WHOLE, None], {}, "input 1 is None"),
    (ANSWERS, [], {}, "an empty list"),
    (ANSWERS, WHOLE, {"top_k": 0}, "top_k=0"),
    (ANSWERS, WHOLE, {"max_answer_len": 0}, "max_answer_len=0"),
    (ANSWERS, WHOLE, {"max_seq_len": 5, "doc_stride": 9}, "stride=9 is too large"),
    (WORDS, "Well made!", {}, "input 0 has no [MASK]"),
    (WORDS, ["[MASK]", "Well made!"], {}, "input 1 has no [MASK]"),
    (WORDS, "[MASK]", {"targets": []}, "targets=[] must be words"),
    (WORDS, "[MASK]", {"targets": [""]}, "has no tokens"),
    (WORDS, "[MASK]", {"targets": torch.tensor(3)}, "targets is a tensor of shape [], torch.int64, not a list of ids"),
    (WORDS, "[MASK]", {"targets": torch.tensor([9999])}, "not a list of ids from 0 to"),
    (WORDS, "[MASK]", {"top_k": "two"}, "top_k='two'"),
    (SHOTS, "a", {}, "there are no candidate_labels"),
    (SHOTS, "a", {"candidate_labels": []}, "one at least"),
    (SHOTS, "a", {"candidate_labels": " , "}, "one at least"),
    (SHOTS, "a", {"candidate_labels": ["b", None]}, "must be texts"),
    (SHOTS, "a", {"candidate_labels": "b", "hypothesis_template": "It is."}, "has no {} for the label"),
    (VECTORS, "a", {"pooling": "max"}, "pooling='max' is not known"),
    (VECTORS, "a", {"normalize": True}, "normalize=True is for pooled vectors"),
    (VECTORS, {"text": "a"}, {}, "the input is a dict, not a text"),
    (ALIKE, "a", {}, "the input is a str"),
    (ALIKE, {"source_sentence": "a", "sentences": "b"}, {}, "must be a list with at least one"),
    (ALIKE, {"source_sentence": "a", "sentences": ["b", 3]}, {}, "a sentence of the input is an int"),
]


@pytest.mark.parametrize(("pipe", "inputs", "options", "message"), CALLS)
def test_wrong_calls(pipe: tuple[str, str], inputs: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(mw.ModelwrightError) as caught:
        made(*pipe)(inputs, **options)
    assert message in str(caught.value)
    assert len(caught.value.diagnostics) == 1


@pytest.mark.parametrize("pipe", [CLASSES, TAGS, WORDS, SHOTS, VECTORS, ALIKE, ("summarization", "t5_text"),
                                  ("text-generation", "gpt2_text")], ids=str)  # fmt: skip
def test_nothing_is_no_input(pipe: tuple[str, str]) -> None:
    options = {"candidate_labels": ["a"]} if pipe == SHOTS else {}
    with pytest.raises(mw.UsageError, match="the input is None"):
        made(*pipe)(**options)


def test_calls_that_do_not_fit() -> None:
    for pipe, given, options, message in (
        (CLASSES, ("a", "b"), {}, "text-classification: too many positional arguments"),
        (VECTORS, ("a", "b"), {}, "feature-extraction: too many positional arguments"),
        (ALIKE, ("a",), {"inputs": "b"}, "multiple values for argument 'inputs'"),
        (ALIKE, (), {"sentences": ["a"]}, 'it must be {"source_sentence": …, "sentences": …}'),
    ):
        with pytest.raises(mw.UsageError) as caught:
            made(*pipe)(*given, **options)
        assert message in str(caught.value) and len(caught.value.diagnostics) == 1


@pytest.mark.parametrize("pipe", [CLASSES, TAGS, WORDS, SHOTS, VECTORS, ALIKE, ("summarization", "t5_text"),
                                  ("text-generation", "gpt2_text")], ids=str)  # fmt: skip
def test_a_signature_says_what_is_needed(pipe: tuple[str, str]) -> None:
    first, *others = inspect.signature(made(*pipe)).parameters.values()
    assert first.name == "inputs" and first.default is first.empty
    assert all(other.default is not other.empty or other.kind is other.VAR_KEYWORD for other in others)


def test_a_question_needs_its_context() -> None:
    pipe = made(*ANSWERS)
    for call, message in (
        (lambda: pipe(question="Who?"), "a question without a context"),
        (lambda: pipe(context="Berlin"), "a context without a question"),
        (lambda: pipe("Who?"), "a question without a context"),
        (lambda: pipe(), "no question and no context"),
        (lambda: pipe(question=["Who?", "Where?"], context=["Berlin"]), "2 questions and 1 contexts"),
        (lambda: pipe(WHOLE, context="x"), "give either inputs, or question and context"),
        (lambda: pipe(question=3, context="x"), "the question is an int"),
    ):
        with pytest.raises(mw.UsageError, match=message):
            call()


def test_wrong_pipelines(tmp_path: Path) -> None:
    built = mw.build(weights=GOLDEN / "bert_classes", head="sequence_classification")
    folder = GOLDEN / "bert_classes"
    for arguments, message in (
        ({"task": "text-clasification", "model": folder}, "did you mean `text-classification`?"),
        ({"task": "translate_en_to_de", "model": folder}, "no task is called"),
        ({"task": "ner"}, "a pipeline needs a model"),
        ({"task": "text-classification", "model": built}, "a built model does not know its tokenizer"),
        ({"task": "fill-mask", "model": built, "tokenizer": folder}, "as it is, it does text-classification"),
        ({"task": "text-classification", "model": built, "tokenizer": 3}, "tokenizer= is an int"),
        ({"task": "text-classification", "model": folder, "batch_size": 0}, "batch_size=0"),
        ({"task": "text-classification", "model": folder, "colour": "red"}, "takes no option `colour`"),
        ({"task": "text-classification", "model": folder, "head": "clasifier"}, "no head `clasifier`"),
        ({"task": "text-classification", "model": folder, "dtype": "float3"}, "parameters cannot be `float3`"),
        ({"task": "text-classification", "model": built, "tokenizer": folder, "dtype": "float3"}, "`float3`"),
        ({"task": "text-classification", "model": tmp_path / "nothing"}, "no such file or folder"),
        ({"task": "zero-shot-classification", "model": folder}, "none of the model's classes"),
    ):
        with pytest.raises(mw.ModelwrightError) as caught:
            mw.pipeline(**arguments)
        assert message in str(caught.value), arguments


def test_a_model_without_its_vocabulary(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((GOLDEN / "bert_classes" / name).read_bytes())
    with pytest.raises(mw.TokenizerError, match="vocab.txt"):
        mw.pipeline("text-classification", model=tmp_path)
    pipe = mw.pipeline("text-classification", model=tmp_path, tokenizer=GOLDEN / "bert_classes")
    assert pipe("Well made!")[0]["label"] in ("negative", "neutral", "positive")


def test_no_mask_token() -> None:
    tokenizer = mw.load_tokenizer(GOLDEN / "bert_words")
    tokenizer.mask_token = None
    with pytest.raises(mw.UsageError, match="the tokenizer has no mask token"):
        mw.pipeline("fill-mask", model=GOLDEN / "bert_words", tokenizer=tokenizer)


def test_a_decoder_without_a_text() -> None:
    folder = GOLDEN / "t5_text"
    with pytest.raises(mw.UsageError, match='spec="t5_encoder"'):
        mw.pipeline("feature-extraction", model=folder)("a")
    vectors = mw.pipeline("feature-extraction", model=folder, spec="t5_encoder")("a", return_tensors=True)
    body = mw.build("t5_encoder", weights=folder)
    ids = mw.load_tokenizer(folder)("a", return_tensors="pt")["input_ids"]
    assert (vectors - body(ids).last_hidden_state).abs().max() <= 1e-6


def test_texts_without_tokens() -> None:
    """Where no special token is added an empty text is nothing at all."""
    body = mw.build(weights=GOLDEN / "gpt2_text")
    pipe = mw.pipeline("feature-extraction", model=body, tokenizer=GOLDEN / "gpt2_text")
    with pytest.raises(mw.UsageError, match="input 1 has no tokens"):
        pipe(["a", ""])
