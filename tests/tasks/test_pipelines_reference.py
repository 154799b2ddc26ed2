"""Pipelines against the installed transformers, on the checkpoints of the golden cases: what the newest release still
has, with more and odder texts, ours in batches and theirs one by one."""

from __future__ import annotations

import random
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pipeline_parity import GOLDEN, assert_same

import modelwright as mw

transformers = pytest.importorskip("transformers")

PLAIN = "wolfgang lives in berlin near the river , café ZÜRICH naïve 東京 😀 👍🏽 unbelievably . ! ' - 3.14 ß <b>"
WORDS = [*PLAIN.split(), "john-paul's", "e\u0301mile", "İstanbul", "\t", "", "\n", "\u200b\u00ad"]


def texts(count: int, longest: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["", "😀", *(" ".join(draw.choices(WORDS, k=draw.randint(1, longest))) for _ in range(count))]


def theirs(task: str, folder: Path, **options: Any) -> Any:
    return transformers.pipeline(task, model=str(folder), tokenizer=str(folder), device="cpu", **options)


@pytest.mark.parametrize("name", ["bert_classes", "bert_tags", "bert_rating", "roberta_inference"])
def test_text_classification(name: str) -> None:
    many = texts(40, 60, 1)
    pairs = [{"text": one, "text_pair": other} for one, other in zip(many[2:], texts(40, 60, 2)[2:], strict=True)]
    folder = GOLDEN / name
    ours, reference = mw.pipeline("text-classification", model=folder), theirs("text-classification", folder)
    for inputs in (many, pairs):
        expected = [reference(one, truncation=True, top_k=None) for one in inputs]
        assert_same(ours(inputs, truncation=True, top_k=None), expected)


def offsets_agree(folder: Path, text: str) -> bool:
    """Whether both tokenizers say the same of a text: how characters that are thrown away count is not for here."""
    reference = transformers.AutoTokenizer.from_pretrained(folder)(text, return_offsets_mapping=True)
    own = mw.load_tokenizer(folder)(text, return_offsets_mapping=True)
    return [tuple(pair) for pair in reference["offset_mapping"]] == list(own["offset_mapping"])


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("name", ["bert_entities", "roberta_entities"])
def test_token_classification(name: str, strategy: str) -> None:
    folder = GOLDEN / name
    many = [text for text in texts(90, 20, 3) if offsets_agree(folder, text) and plain_words(text)]
    assert len(many) > 25
    ours = mw.pipeline("ner", model=folder, aggregation_strategy=strategy, ignore_labels=[])
    reference = theirs("ner", folder, aggregation_strategy=strategy, ignore_labels=[])
    with warnings.catch_warnings():  # that a tokenizer does not know words
        warnings.simplefilter("ignore")
        expected = [floats(reference(one)) for one in many]
    assert_same(ours(many), expected)


def plain_words(text: str) -> bool:
    """Without what a lower-casing tokenizer takes away or makes longer: there the reference compares lengths, and takes
    a word for the end of the one before it."""
    return not any(odd in text for odd in ("e\u0301", "\u200b", "\u00ad", "İ"))


def floats(value: Any) -> Any:
    """NumPy's scores as Python's."""
    if isinstance(value, list):
        return [floats(one) for one in value]
    return {name: item.item() if hasattr(item, "item") else item for name, item in value.items()}


@pytest.mark.parametrize("name", ["bert_words", "roberta_words"])
def test_fill_mask(name: str) -> None:
    ours, reference = mw.pipeline("fill-mask", model=GOLDEN / name), theirs("fill-mask", GOLDEN / name)
    mask = ours.tokenizer.mask_token
    # no blank before the mask: from bare vocabularies the new release makes a <mask> that does not swallow it
    many = [f"{one.strip()}{mask} {one}" for one in texts(20, 6, 4)] + [f"{mask}{mask} well", mask]
    expected = [reference(one, tokenizer_kwargs={"truncation": True}, top_k=3) for one in many]
    assert_same(ours(many, truncation=True, top_k=3), expected)


def test_zero_shot() -> None:
    folder, labels = GOLDEN / "roberta_inference", ["sport", "politics 😀", "a very long label of many words"]
    ours, reference = mw.pipeline("zero-shot-classification", model=folder), theirs("zero-shot-classification", folder)
    many = [text for text in texts(12, 80, 5) if text]
    for options in ({}, {"multi_label": True}, {"hypothesis_template": "{}?"}):
        expected = [reference(one, candidate_labels=labels, **options) for one in many]
        assert_same(ours(many, candidate_labels=labels, **options), expected)


@pytest.mark.parametrize("name", ["bert_classes", "roberta_words", "gpt2_text"])
def test_feature_extraction(name: str) -> None:
    folder = GOLDEN / name
    ours, reference = mw.pipeline("feature-extraction", model=folder), theirs("feature-extraction", folder)
    many = texts(20, 20, 6)[1:]
    options = {"truncation": True, "return_tensors": True}
    found, expected = ours(many, **options), [reference(one, **options) for one in many]
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and (one - other).abs().max() <= 2e-5
    means = ours(many, truncation=True, pooling="mean")
    firsts = ours(many, truncation=True, pooling="cls", normalize=True)
    for mean, first, other in zip(means, firsts, expected, strict=True):
        assert (torch.tensor(mean) - other[0].mean(dim=0)).abs().max() <= 2e-5
        assert (torch.tensor(first) - torch.nn.functional.normalize(other[0, 0], dim=0)).abs().max() <= 2e-5


def test_real_texts(shared_data: Path) -> None:
    """The naughty strings, and paragraphs in twelve languages."""
    lines = (shared_data / "text" / "blns.txt").read_text("utf-8").splitlines()
    rows = (shared_data / "text" / "xquad-paragraphs-12-languages.tsv").read_text("utf-8").splitlines()
    many = [*lines[:300:3], *(row.partition("\t")[2] for row in rows[::16])]
    folder = GOLDEN / "bert_classes"
    ours, reference = mw.pipeline("text-classification", model=folder), theirs("text-classification", folder)
    assert_same(ours(many, truncation=True, top_k=None), [reference(one, truncation=True, top_k=None) for one in many])


class TestBeamAnswers:
    """The head that searches, by hand from what the reference's model says of the same ids."""

    @pytest.mark.parametrize("family", ["XLNet", "XLM"])
    def test_answers(self, family: str, tmp_path: Path) -> None:
        cls = getattr(transformers, f"{family}ForQuestionAnswering")
        words = GOLDEN / f"{family.lower()}_answers"
        config = cls.config_class.from_pretrained(words, start_n_top=4, end_n_top=3, summary_last_dropout=0.0)
        torch.manual_seed(0)
        reference = cls(config).eval()
        with torch.no_grad():
            for parameter in reference.parameters():
                parameter.normal_(0.0, 0.3)
        shutil.copytree(words, tmp_path, dirs_exist_ok=True)
        reference.save_pretrained(tmp_path)
        pipe = mw.pipeline("question-answering", model=tmp_path)
        assert pipe.model.runs[0].name == "beam_question_answering"
        context_first = family == "XLNet"
        asked = [
            {"question": "Where do I live?", "context": "My name is Wolfgang and I live in Berlin, near the river."},
            {"question": "Who?", "context": "The café belongs to Émile Müller, 😀 whom everyone in the town knows."},
        ]
        found = pipe(asked, top_k=2, handle_impossible_answer=True, max_answer_len=40, align_to_words=False)
        for one, answers in zip(asked, found, strict=True):
            pair = (one["context"], one["question"]) if context_first else (one["question"], one["context"])
            row = pipe.tokenizer(*pair, return_offsets_mapping=True)
            inside = [place for place, sequence in enumerate(row.sequence_ids()) if sequence == int(not context_first)]
            mark = row["input_ids"].index(pipe.tokenizer.cls_token_id)
            hidden = torch.tensor([[float(place not in (*inside, mark)) for place in range(len(row["input_ids"]))]])
            ids, types = (torch.tensor([row[name]]) for name in ("input_ids", "token_type_ids"))
            with torch.no_grad():
                said = reference(ids, token_type_ids=types, p_mask=hidden, cls_index=torch.tensor([mark]))
            spans: dict[str, float] = {}
            for place in range(4):
                for other in range(3):
                    start = int(said.start_top_index[0, place])
                    end = int(said.end_top_index[0].view(3, 4)[other, place])
                    if start in inside and end in inside and start <= end < start + 40:
                        answer = one["context"][row["offset_mapping"][start][0] : row["offset_mapping"][end][1]]
                        score = said.start_top_log_probs[0, place] * said.end_top_log_probs[0].view(3, 4)[other, place]
                        spans[answer] = spans.get(answer, 0.0) + float(score)
            spans[""] = float(said.cls_logits[0].sigmoid())
            best = sorted(spans.items(), key=lambda item: -item[1])[:2]
            assert [answer["answer"] for answer in answers] == [text for text, _ in best]
            assert all(abs(answer["score"] - score) <= 1e-5 for answer, (_, score) in zip(answers, best, strict=True))
