"""Tokens with scores to entities: tokens of a word made one, neighbours of a class made one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

#: What decides the class of a word of several tokens: nothing, nothing (neighbours are joined all the same), its first
#: token, the mean of their scores, the surest token.
STRATEGIES = ("none", "simple", "first", "average", "max")

Entity = dict[str, Any]
Join = Callable[[list[str]], str]


@dataclass(slots=True)
class Token:
    """A token of a text. `scores`: of each class. `goes_on`: it belongs to the word of the token before it."""

    index: int
    word: str
    start: int
    end: int
    scores: Sequence[float]
    goes_on: bool


def entities(tokens: Sequence[Token], labels: Sequence[str], strategy: str, join: Join) -> list[Entity]:
    """What the tokens of a text are, in their order. `join` makes text of tokens."""
    if strategy in ("none", "simple"):
        found = [
            {**_named(one.scores, labels), "index": one.index, "word": one.word, "start": one.start, "end": one.end}
            for one in tokens
        ]
        return found if strategy == "none" else _joined(found, join)
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.goes_on:
            words[-1].append(token)
        else:
            words.append([token])
    return _joined([_word(word, labels, strategy, join) for word in words], join)


def _named(scores: Sequence[float], labels: Sequence[str]) -> Entity:
    best = max(range(len(labels)), key=scores.__getitem__)
    return {"entity": labels[best], "score": scores[best]}


def _word(tokens: Sequence[Token], labels: Sequence[str], strategy: str, join: Join) -> Entity:
    if strategy == "first":
        scores = tokens[0].scores
    elif strategy == "max":
        scores = max((token.scores for token in tokens), key=max)
    else:
        scores = [sum(column) / len(tokens) for column in zip(*(token.scores for token in tokens), strict=True)]
    place = {"word": join([token.word for token in tokens]), "start": tokens[0].start, "end": tokens[-1].end}
    return _named(scores, labels) | place


def _joined(found: Sequence[Entity], join: Join) -> list[Entity]:
    """Neighbours of a class as one; `B-` begins another."""
    groups: list[list[Entity]] = []
    for entity in found:
        begins, name = _tag(entity["entity"])
        if groups and not begins and name == _tag(groups[-1][-1]["entity"])[1]:
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        {
            "entity_group": group[0]["entity"].split("-", 1)[-1],
            "score": sum(entity["score"] for entity in group) / len(group),
            "word": join([entity["word"] for entity in group]),
            "start": group[0]["start"],
            "end": group[-1]["end"],
        }
        for group in groups
    ]


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and what of."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def without_overlap(found: Sequence[Entity]) -> list[Entity]:
    """Of entities that windows have in common, the longest, then the surest."""
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda one: one["start"]):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
        elif _weight(entity) > _weight(kept[-1]):
            kept[-1] = entity
    return kept


def _weight(entity: Entity) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]
