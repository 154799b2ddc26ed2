"""Questions to answers that stand in a context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import UsageError
from .base import Pipeline, check_mapping, kind
from .batching import Batch, Row
from .options import whole
from .spans import Answers, Scored, Window, beam_spans, best_spans

WINDOW, STRIDE = 384, 128  # tokens, of the question and a piece of its context, and that pieces share, at most


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringOptions:
    top_k: int = 1
    topk: int | None = None  # its old name
    doc_stride: int | None = None  # tokens that windows share; half a window, 128 at most, if absent
    max_seq_len: int | None = None  # tokens of question and window; 384 at most if absent
    max_answer_len: int = 15
    handle_impossible_answer: bool = False  # whether the answer may be that there is none
    align_to_words: bool = True


class QuestionAnswering(Pipeline):
    """`pipe(question=…, context=…)`, `{"question": …, "context": …}`, or many, to `{"score", "start", "end",
    "answer"}`; a list of them if there are several, with `top_k`. A list of one question gives what it alone gives."""

    options_class = QuestionAnsweringOptions

    def __call__(self, inputs: Any = None, context: Any = None, *, question: Any = None, **options: Any) -> Any:
        if question is None and isinstance(inputs, str):
            question, inputs = inputs, None
        if inputs is None:
            inputs = _asked(question, context)
        elif question is not None or context is not None:
            raise UsageError("give either inputs, or question and context")
        result = super().__call__(inputs, **options)
        return result[0] if isinstance(inputs, list) and len(inputs) == 1 else result

    def is_one(self, inputs: Any) -> bool:
        return isinstance(inputs, str | Mapping)

    def check_input(self, item: Any, place: str) -> None:
        check_mapping(item, place, ("question", "context"))
        for name in ("question", "context"):
            if not isinstance(item[name], str) or not item[name]:
                raise UsageError(f"`{name}` of {place} is {kind(item[name]) if item[name] != '' else 'empty'}")

    def prepared(self, options: QuestionAnsweringOptions) -> QuestionAnsweringOptions:
        if options.topk is not None:
            options = replace(options, top_k=options.topk, topk=None)
        for name, value in (("top_k", options.top_k), ("max_answer_len", options.max_answer_len)):
            whole(name, value)
        for name, value, least in (("max_seq_len", options.max_seq_len, 1), ("doc_stride", options.doc_stride, 0)):
            if value is not None:
                whole(name, value, least)
        return options

    def rows(self, items: list[Any], first: int, options: QuestionAnsweringOptions) -> list[list[Row]]:
        room = options.max_seq_len or min(self.room() or WINDOW, WINDOW)
        stride = min(room // 2, STRIDE) if options.doc_stride is None else options.doc_stride
        context_first = self.runner.left
        keys = ("context", "question") if context_first else ("question", "context")
        encoding = self.encoded(
            [(item[keys[0]], item[keys[1]]) for item in items], first, max_length=room, stride=stride,
            truncation="only_first" if context_first else "only_second", return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )  # fmt: skip
        rows: list[list[Row]] = [[] for _ in items]
        for index, owner in enumerate(encoding["overflow_to_sample_mapping"]):
            sequences = encoding.sequence_ids(index)
            context = [sequence == int(not context_first) for sequence in sequences]
            # as the template has it: one that is written in a text means nothing
            marks = (place for place, pair in enumerate(zip(encoding["input_ids"][index], sequences, strict=True))
                     if pair == (self.tokenizer.cls_token_id, None))  # fmt: skip
            window = Window(
                encoding["offset_mapping"][index], encoding.word_ids(index), context, next(marks, None)
            )  # fmt: skip
            rows[owner].append(self.made(encoding, index, window))
        return rows

    def run(self, batch: Batch, options: QuestionAnsweringOptions) -> list[Scored]:
        windows = [row.about for row in batch.rows]
        if "p_mask" in self.model.inputs:
            return self._search(batch, windows, options)
        output = self.forward(batch)
        starts, ends = (self.output(output, name).float().cpu() for name in ("start_logits", "end_logits"))
        # words may make one answer of several
        count = 2 * options.top_k + 10 if options.align_to_words else options.top_k
        return [
            best_spans(starts[index, span], ends[index, span], window, count, options.max_answer_len)
            for index, (window, span) in enumerate(zip(windows, batch.spans, strict=True))
        ]

    def _search(self, batch: Batch, windows: list[Window], options: QuestionAnsweringOptions) -> list[Scored]:
        """By a head that keeps the best starts and ends itself."""
        places = batch.inputs["input_ids"].shape[1]
        hidden = torch.ones(len(windows), places)
        marks = torch.full((len(windows),), places - 1)
        for index, (window, span) in enumerate(zip(windows, batch.spans, strict=True)):
            hidden[index, span] = 1 - torch.tensor(window.context, dtype=torch.float32)
            if window.none is not None:
                marks[index] = span.start + window.none
                hidden[index, marks[index]] = 0
        device = self.model.device
        output = self.forward(batch, p_mask=hidden.to(device), cls_index=marks.to(device))
        names = ("start_top_log_probs", "start_top_index", "end_top_log_probs", "end_top_index", "cls_logits")
        starts, start_index, ends, end_index, none = (self.output(output, name).cpu() for name in names)
        found = []
        for index, (window, span) in enumerate(zip(windows, batch.spans, strict=True)):
            first = span.start
            spans = beam_spans(starts[index], start_index[index] - first, ends[index], end_index[index] - first,
                               options.max_answer_len)  # fmt: skip
            inside = {place for place, context in enumerate(window.context) if context}
            spans = [one for one in spans if {one.start, one.end} <= inside]
            found.append(Scored(spans, float(none[index].float().sigmoid())))
        return found

    def result(self, item: Any, rows: list[Row], kept: list[Scored], options: QuestionAnsweringOptions) -> Any:
        answers = Answers(item["context"], options.align_to_words)
        for row, scored in zip(rows, kept, strict=True):
            answers.add(row.about, scored.spans)
        none = min(scored.none for scored in kept) if options.handle_impossible_answer else None
        found = answers.best(options.top_k, none)
        return found[0] if len(found) == 1 else found


def _asked(question: Any, context: Any) -> Any:
    """Questions and contexts as mappings; a context may serve several questions."""
    if question is None or context is None:
        there, missing = ("question", "context") if context is None else ("context", "question")
        alone = question is None and context is None
        raise UsageError("there is no question and no context" if alone else f"a {there} without a {missing}",
                         help='pipe(question="…", context="…")')  # fmt: skip
    if isinstance(question, str):
        return {"question": question, "context": context}
    if not isinstance(question, Iterable):
        raise UsageError(f"the question is {kind(question)}, not a text")
    questions = [*question]
    contexts = [context] * len(questions) if isinstance(context, str) else [*context]
    if len(questions) != len(contexts):
        raise UsageError(f"{len(questions)} questions and {len(contexts)} contexts", help="one for each, or one")
    return [{"question": one, "context": other} for one, other in zip(questions, contexts, strict=True)]
