"""The tasks by name: which heads do them, and where their pipelines are. Imports no torch."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...errors import UsageError, did_you_mean


class Task(NamedTuple):
    """`heads`: those that do it, the best first; None is the body alone. `home`: module and class."""

    name: str
    heads: tuple[str | None, ...]
    home: tuple[str, str]
    about: str
    source: str | None = None  # languages of a translation
    target: str | None = None


TASKS = {
    task.name: task
    for task in (
        Task("text-classification", ("sequence_classification",), ("text_classification", "TextClassification"),
             "which class a text, or a pair of texts, is of"),
        Task("token-classification", ("token_classification",), ("token_classification", "TokenClassification"),
             "which class each word is of: names, places, parts of speech"),
        Task("question-answering", ("question_answering", "beam_question_answering"),
             ("question_answering", "QuestionAnswering"), "where in a context the answer to a question stands"),
        Task("fill-mask", ("masked_lm", "pretraining"), ("fill_mask", "FillMask"), "which words fit a gap"),
        Task("text-generation", ("causal_lm",), ("text_generation", "TextGeneration"),
             "how a text goes on"),
        Task("text2text-generation", ("seq2seq_lm",), ("text_to_text", "TextToText"), "a text for a text"),
        Task("summarization", ("seq2seq_lm",), ("text_to_text", "Summarization"), "a text in short"),
        Task("translation", ("seq2seq_lm",), ("text_to_text", "Translation"), "a text in another language"),
        Task("feature-extraction", (None,), ("feature_extraction", "FeatureExtraction"), "vectors of tokens or texts"),
        Task("zero-shot-classification", ("sequence_classification",), ("zero_shot", "ZeroShotClassification"),
             "which of labels given in words fits a text, by a model of entailment"),
        Task("sentence-similarity", (None,), ("sentence_similarity", "SentenceSimilarity"),
             "how alike sentences are"),
    )
}  # fmt: skip
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
_PAIR = re.compile(r"translation_([A-Za-z-]+)_to_([A-Za-z-]+)")


def find_task(name: str) -> Task:
    """The task of that name; `translation_en_to_de` names its languages. UsageError."""
    if pair := _PAIR.fullmatch(name) if isinstance(name, str) else None:
        return TASKS["translation"]._replace(source=pair[1], target=pair[2])
    if not isinstance(name, str) or (name not in TASKS and name not in ALIASES):
        known = (*TASKS, *ALIASES, "translation_XX_to_YY")
        guess = did_you_mean(str(name), known)
        raise UsageError(f"no task is called `{name}`", help=guess or f"tasks: {', '.join(known)}")
    return TASKS[ALIASES.get(name, name)]


def task_of(head: str | None) -> str | None:
    """The first task that a head does."""
    return next((task.name for task in TASKS.values() if head in task.heads), None)
