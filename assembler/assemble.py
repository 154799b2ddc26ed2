"""A spec and its hparams -> the model's modules, on the meta device."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..blocks import Head, registry
from ..errors import SpecError, did_you_mean
from .construct import Constructor, wanted
from .heads import HeadRun
from .language.resolve import Hparams
from .language.spec import Spec
from .model import Model
from .ties import Tie, apply_ties, find_ties
from .weights.mapping import Source, find_sources

HeadChoice = str | Sequence[str] | None


@dataclass(frozen=True)
class Skeleton:
    """A model without weights, and what loading and saving must know of it."""

    model: Model
    ties: tuple[Tie, ...]
    fresh: frozenset[str]  # parts and heads that may start untrained: `pooler`, `heads.question_answering`
    sections: Mapping[str, Any]  # the interpolated spec

    def sources(self, format: str, stored: Collection[str] = ()) -> list[Source]:
        """Where each parameter is stored in one of the spec's formats, in a file with these names, without prefix."""
        return find_sources(self.model, self.sections["weights"][format], format, fresh=self.fresh, stored=stored)


def assemble(
    spec: Spec, hparams: Mapping[str, Any], head: HeadChoice, *, parts: Collection[str] | None = None
) -> Skeleton:
    """Build the parts the chosen heads need (all for None), or those named, on the meta device, names tied."""
    sections = spec.interpolated(hparams)
    heads = sections.get("heads") or {}
    runs, separate = _runs(heads, head)
    head_nodes = {run.name: heads[run.name] for run in runs}
    part_nodes = {name: node for name, node in sections["model"].items() if wanted(node)}

    constructor = Constructor(partial(spec.locate, hparams=hparams if isinstance(hparams, Hparams) else None))
    with torch.device("meta"):
        built = {name: constructor.build(node, ("heads", name)) for name, node in head_nodes.items()}
        if parts is not None:
            part_nodes = {name: node for name, node in part_nodes.items() if name in parts}
        elif runs:
            part_nodes = _needed(part_nodes, built, spec)
        model = Model(
            parts={name: constructor.build(node, ("model", name)) for name, node in part_nodes.items()},
            heads=built,
            runs=runs,
            separate=separate,
            encoder={name for name, node in part_nodes.items() if node.get("side") == "encoder"},
            spec=spec,
            config=hparams,
            generation=sections["generation"],
        )  # fmt: skip
    owners = {name: (("model", name), node) for name, node in part_nodes.items()}
    owners |= {f"heads.{name}": (("heads", name), node) for name, node in head_nodes.items()}
    ties = [
        tie
        for owner, (path, node) in owners.items()
        for tie in find_ties(model, owner, node.get("tie") or {}, spec.place((*path, "tie")))
    ]
    apply_ties(model, ties)
    fresh = frozenset(owner for owner, (_, node) in owners.items() if node.get("fresh"))
    return Skeleton(model.eval(), tuple(ties), fresh, sections)


def assemble_whole(spec: Spec, hparams: Mapping[str, Any], first: Collection[str] = ()) -> Skeleton:
    """With every part and every head, those of `first` before others: to know what a checkpoint may hold beyond the
    model that was asked for."""
    heads = [name for name, node in spec.sections["heads"].items() if node and "combine" not in node]
    heads.sort(key=lambda name: name not in first)
    return assemble(spec, hparams, heads or None, parts=spec.sections["model"])


def _runs(heads: Mapping[str, Any], choice: HeadChoice) -> tuple[tuple[HeadRun, ...], bool]:
    """What to run, and whether each head keeps its outputs to itself."""
    names = [choice] if isinstance(choice, str) else list(dict.fromkeys(choice or ()))
    for name in names:
        if name not in heads:
            raise SpecError(f"no head `{name}`", help=did_you_mean(name, heads) or f"heads: {', '.join(heads)}")
    separate = len(names) > 1
    runs: dict[str, HeadRun] = {}
    for name in names:
        for part, rename in heads[name].get("combine", {name: {}}).items():
            runs[part] = HeadRun(part, {} if separate else dict(rename or {}))
    return tuple(runs.values()), separate


def _needed(parts: Mapping[str, Any], heads: Mapping[str, Head], spec: Spec) -> dict[str, Any]:
    """The parts whose outputs the heads read, and those on the way to them."""
    outputs = {name: registry.get(node["block"]).output for name, node in parts.items()}
    for name, head in heads.items():
        if head.source not in outputs.values():
            raise SpecError(
                f"head `{name}` reads {head.source}, which no part of {spec.name} provides",
                help="add such a part to `model:`",
            )
    read = {"last_hidden_state", None, *(head.source for head in heads.values())}
    return {name: node for name, node in parts.items() if outputs[name] in read}
