"""Labels that do not fit: which ones, the number or shape, and what would fit. And that looking costs nothing."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

import modelwright as mw

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
PLAIN = SIZES | {"intermediate_size": 20}
CLUSTERS = SIZES | {"cutoffs": [10, 30], "tie_projections": [False, True, True], "attention_head_size": 8,
                    "intermediate_size": 24}  # fmt: skip
HPARAMS: dict[str, dict[str, Any]] = {
    "bert": PLAIN, "gpt2": SIZES, "electra": PLAIN | {"embedding_size": 8}, "xlnet": PLAIN, "transfo_xl": CLUSTERS,
    "bart": PLAIN, "t5": SIZES | {"num_decoder_layers": 2, "attention_head_size": 8, "intermediate_size": 20},
}  # fmt: skip
IDS = torch.randint(5, 50, (2, 6), generator=torch.Generator().manual_seed(0))


@cache
def built(spec: str, head: Any, **hparams: Any) -> mw.Model:
    return mw.build(spec, head=list(head) if isinstance(head, tuple) else head, **HPARAMS[spec] | hparams)


def classes(*values: int) -> Tensor:
    return torch.tensor(values)


def tokens(value: int | float = 7, shape: tuple[int, ...] = (2, 6)) -> Tensor:
    labels = torch.full(shape, value)
    labels[..., 0] = -100
    return labels


BOTH = ("masked_lm", "token_classification")
#: Spec, head, what is given, what is said of it.
WRONG: list[tuple[str, Any, dict[str, Any], str]] = [
    ("bert", "masked_lm", {"labels": tokens(shape=(3, 6))}, "labels of shape (3, 6) does not fit: it must be (2, 6)"),
    ("bert", "masked_lm", {"labels": tokens(shape=(2, 5))}, "it must be (2, 6), one for each token"),
    ("bert", "masked_lm", {"labels": tokens(shape=(6, 2))}, "labels of shape (6, 2) does not fit: it must be (2, 6)"),
    ("bert", "masked_lm", {"labels": tokens(50)}, "labels has 50, but the head's classes are 0 to 49"),
    ("bert", "masked_lm", {"labels": tokens(-1)}, "labels has -1, but the head's classes are 0 to 49\n  = help: -100"),
    ("bert", "masked_lm", {"labels": tokens(7.0)}, "labels must be whole numbers, not torch.float32"),
    ("bert", "masked_lm", {"labels": torch.tensor(1)}, "labels must be a tensor with numbers of each text, not a tens"),
    ("bert", "masked_lm", {"labels": 1}, "labels must be a tensor with numbers of each text, not int"),
    ("bert", "masked_lm", {"labels": [1, 1]}, "labels must be a tensor with numbers of each text, not list"),
    ("bert", "masked_lm", {"labels": {"masked_lm": IDS}}, "labels by head are for a model of several heads"),
    ("bert", "masked_lm", {"labels": {}}, "labels by head are for a model of several heads"),
    ("bert", "masked_lm", {"labels": IDS, "logits_to_keep": 2}, "(2, 6) does not fit: it must be (2, 2)"),
    ("bert", "pretraining", {"labels": IDS, "next_sentence_label": classes(0, 1, 1)},
     "next_sentence_label of shape (3,) does not fit: it must be (2,), one for each text"),
    ("bert", "pretraining", {"labels": IDS, "next_sentence_label": classes(0, 2)},
     "next_sentence_label has 2, but the head's classes are 0 to 1"),
    ("bert", "sequence_classification", {"labels": classes(0)}, "labels of shape (1,) does not fit: it must be (2,)"),
    ("bert", "sequence_classification", {"labels": classes(0, 3)}, "labels has 3, but the head's classes are 0 to 2"),
    ("bert", "sequence_classification", {"labels": torch.tensor([0.0, 1.0])},
     "(2,) does not fit: it must be (2, 3), one for each class of each text\n  = help: labels that are classes"),
    ("bert", "sequence_classification", {"labels": torch.full((2, 3), -100.0)}, "labels has -100.0, but each must be"),
    ("bert", "regression", {"labels": torch.zeros(3)}, "labels of shape (3,) does not fit: it must be (2,), one for"),
    ("bert", "regressions", {"labels": torch.zeros(2)}, "it must be (2, 3), one for each number of each text"),
    ("bert", "token_classification", {"labels": tokens(3)}, "labels has 3, but the head's classes are 0 to 2"),
    ("bert", "token_classification", {"labels": classes(0, 1)}, "labels of shape (2,) does not fit: it must be (2, 6)"),
    ("bert", "question_answering", {"start_positions": classes(1, 2), "end_positions": classes(3)},
     "end_positions of shape (1,) does not fit: it must be (2,), one for each text"),
    ("bert", "question_answering", {"start_positions": torch.ones(2), "end_positions": classes(3, 3)},
     "start_positions must be whole numbers, not torch.float32"),
    ("bert", "multiple_choice", {"input_ids": IDS[:, None].expand(2, 3, 6), "labels": classes(2, 3)},
     "labels has 3, but the head's classes are 0 to 2"),
    ("bert", "multiple_choice", {"input_ids": IDS[:, None].expand(2, 3, 6), "labels": torch.zeros(2, 3).long()},
     "labels of shape (2, 3) does not fit: it must be (2,), one for each text"),
    ("bert", BOTH, {"labels": {"masked_lm": IDS, "token_classification": tokens(9)}},
     'labels["token_classification"] has 9, but the head\'s classes are 0 to 2'),
    ("bert", BOTH, {"labels": {"masked_lm": tokens(shape=(2, 5))}}, 'labels["masked_lm"] of shape (2, 5) does not'),
    ("bert", BOTH, {"labels": {"masked_lm": IDS, "token_clasification": IDS}},
     "labels for `token_clasification`, which is no head here\n  = help: did you mean `token_classification`?"),
    ("bert", BOTH, {"labels": {"masked_lm": 3}}, "labels must be a tensor with numbers of each text, not int"),
    ("electra", "masked_lm", {"labels": tokens(50)}, "labels has 50, but the head's classes are 0 to 49"),
    ("electra", "replaced_token_detection", {"labels": tokens(2)},
     "labels has 2, but each must be 1, for yes, or 0, for no"),
    ("electra", "replaced_token_detection", {"labels": tokens(1, (2, 4))},
     "labels of shape (2, 4) does not fit: it must be (2, 6)"),
    ("gpt2", "causal_lm", {"labels": tokens(50)}, "labels has 50, but the head's classes are 0 to 49"),
    ("gpt2", "causal_lm", {"labels": tokens(shape=(2, 5))}, "labels of shape (2, 5) does not fit: it must be (2, 6)"),
    ("gpt2", "double_heads", {"input_ids": IDS[:, None].expand(2, 3, 6), "mc_labels": classes(0, 3)},
     "mc_labels has 3, but the head's classes are 0 to 2"),
    ("gpt2", "double_heads", {"input_ids": IDS[:, None].expand(2, 3, 6), "mc_labels": classes(0, 1, 1)},
     "mc_labels of shape (3,) does not fit: it must be (2,)"),
    ("transfo_xl", "causal_lm", {"labels": tokens(50)}, "labels has 50, but the head's classes are 0 to 49"),
    ("transfo_xl", "causal_lm", {"labels": tokens(-1)}, "labels has -1, but the head's classes are 0 to 49"),
    ("transfo_xl", "causal_lm", {"labels": classes(1, 2)}, "labels of shape (2,) does not fit: it must be (2, 6)"),
    ("xlnet", "beam_question_answering", {"start_positions": classes(1), "end_positions": classes(3, 3)},
     "start_positions of shape (1,) does not fit: it must be (2,), one for each text"),
    ("xlnet", "beam_question_answering",
     {"start_positions": classes(1, 1), "end_positions": classes(3, 3), "cls_index": classes(5, 5),
      "is_impossible": torch.ones(3)}, "is_impossible of shape (3,) does not fit: it must be (2,), one for each text"),
    ("xlnet", "beam_question_answering",
     {"start_positions": classes(1, 1), "end_positions": classes(3, 3), "cls_index": classes(5, 5),
      "is_impossible": classes(0, 2)}, "is_impossible has 2, but each must be 1, for yes, or 0, for no"),
    ("t5", "seq2seq_lm", {"labels": tokens(50)}, "labels has 50, but the model's table for it has rows 0 to 49"),
    ("t5", "seq2seq_lm", {"labels": torch.tensor([[7, 50], [7, 8]])}, "labels has 50, but the head's classes are 0 to"),
    ("t5", "seq2seq_lm", {"labels": tokens(shape=(3, 4))}, "labels of shape (3, 4) does not fit: it must be [2, lengt"),
    ("t5", "seq2seq_lm", {"labels": classes(1, 2)}, "labels of shape (2,) does not fit: it must be [2, length]"),
    ("t5", "seq2seq_lm", {"labels": tokens(shape=(2, 4)), "decoder_input_ids": IDS}, "it must be (2, 6), one for each"),
    ("bart", ("seq2seq_lm", "sequence_classification"), {"labels": {"seq2seq_lm": tokens(60)}},
     'labels["seq2seq_lm"] has 60, but the model\'s table'),
    ("bart", "seq2seq_lm", {"input_ids": IDS + 45}, "error: input_ids has "),  # which the decoder reads, too
]  # fmt: skip


def model_of(spec: str, head: Any) -> mw.Model:
    if str(head).startswith("regression"):
        many = {"num_labels": 1} if head == "regression" else {"num_labels": 3, "problem_type": "regression"}
        return built(spec, "sequence_classification", **many)
    return built(spec, head, **({"num_labels": 3} if spec == "bert" else {}))


@pytest.mark.parametrize(("spec", "head", "given", "message"), WRONG)
def test_labels_that_do_not_fit(spec: str, head: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(mw.UsageError) as caught:
        model_of(spec, head)(**{"input_ids": IDS} | given)
    assert message in str(caught.value)
    assert len(caught.value.diagnostics) == 1


RIGHT: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "words": ("bert", "masked_lm", {"labels": tokens(49)}),
    "words of 32 bits": ("bert", "masked_lm", {"labels": tokens(49).int()}),
    "next words": ("gpt2", "causal_lm", {"labels": tokens(49)}),
    "pairs": ("bert", "pretraining", {"labels": tokens(), "next_sentence_label": classes(0, 1)}),
    "classes": ("bert", "sequence_classification", {"labels": classes(2, -100)}),
    "classes in a column": ("bert", "sequence_classification", {"labels": classes(2, 0)[:, None]}),
    "several classes": ("bert", "sequence_classification", {"labels": torch.tensor([[0, 1, 1.0], [0.5, 0, 0]])}),
    "a number": ("bert", "regression", {"labels": torch.tensor([[0.3], [7]])}),
    "numbers": ("bert", "regressions", {"labels": torch.tensor([[0.3, 7, 2], [7, 1, 1]])}),
    "tags": ("bert", "token_classification", {"labels": tokens(2)}),
    "answers": ("bert", "question_answering", {"start_positions": classes(1, 9), "end_positions": classes(3, 9)}),
    "several heads": ("bert", BOTH, {"labels": {"masked_lm": tokens(), "token_classification": tokens(2)}}),
    "replaced": ("electra", "replaced_token_detection", {"labels": tokens(1)}),
    "searched answers": (
        "xlnet", "beam_question_answering",
        {"start_positions": classes(1, 9), "end_positions": classes(3, 9), "cls_index": classes(5, 5),
         "is_impossible": torch.tensor([True, False])},
    ),
    "texts": ("t5", "seq2seq_lm", {"labels": tokens(49, (2, 4))}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_read_when_compiled_or_elsewhere(name: str) -> None:
    """Compiled code is one graph and exported code a program, so neither looks at values; on another device, for which
    meta stands here, nothing waits for them."""
    spec, head, given = RIGHT[name]
    model = model_of(spec, head)
    inputs = {"input_ids": IDS} | given
    expected = model(**inputs).loss
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(**inputs).loss, expected)
    exported = torch.export.export(model, (), inputs).module()
    torch.testing.assert_close(exported(**inputs).loss, expected)
    elsewhere = copy.deepcopy(model).to("meta")(**tree_map(lambda value: value.to("meta"), inputs))
    assert elsewhere.loss.is_meta


@pytest.mark.parametrize(("spec", "head"), [("bert", "masked_lm"), ("gpt2", "causal_lm"), ("t5", "seq2seq_lm")])
def test_exports_with_labels_of_any_size(spec: str, head: str) -> None:
    model = model_of(spec, head)
    sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", min=4, max=32)}
    inputs = {"input_ids": IDS, "labels": tokens(49)}
    shapes = {"input_ids": sizes, "labels": {"labels": sizes}}  # `labels` are the keywords that are left
    exported = torch.export.export(model, (), inputs, dynamic_shapes=shapes)
    others = {"input_ids": IDS[:, :4].repeat(2, 1), "labels": tokens(30, (4, 4))}
    program = exported.module(check_guards=False)  # torch's own checks cannot find keywords that are left
    torch.testing.assert_close(program(**others).loss, model(**others).loss)


def test_an_adaptive_softmax_gives_labels_that_do_not_count_nothing() -> None:
    output = built("transfo_xl", "causal_lm")(IDS, labels=tokens(49).masked_fill(torch.arange(6) == 3, -100))
    assert (output.losses[:, 2] == 0).all() and (output.losses[:, 3] > 0).all()
    torch.testing.assert_close(output.loss, output.losses.sum() / 8)
