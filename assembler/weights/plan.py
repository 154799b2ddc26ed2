"""The load plan: parameters and stored tensors matched on names and shapes alone, before a byte is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import Diagnostic, Note, WeightsError, did_you_mean
from ..assemble import Skeleton, assemble_whole
from ..stores import TensorInfo
from .mapping import IDENTITY, ZEROS, Source, canonical_names, names_of_absent
from .names import OWN_FORMAT
from .ops import OpError, Pipeline
from .patterns import HEADS, stored_names
from .report import fold
from .stored import Stored


@dataclass
class Plan:
    """What will be read from where. Names of `reads` and `duplicates` are those in the file."""

    reads: list[tuple[str, Source]] = field(default_factory=list)
    duplicates: list[tuple[str, Source]] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)  # our name -> what it is, since no tensor says
    fresh: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    looked_for: dict[str, str] = field(default_factory=dict)  # missing, as stored; without those that have no place
    misshapen: list[tuple[str, str]] = field(default_factory=list)  # our name, what is wrong
    unused: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


def read_through(
    skeleton: Skeleton, tensors: Mapping[str, TensorInfo], format: str
) -> tuple[str, Mapping[str, Any], Stored, list[Source]]:
    """The format that a checkpoint is read in (`format`, unless its names are our own), the spec's section about it,
    the names in the file, and where each parameter is stored."""
    canonical = canonical_names(skeleton.model)
    own = [Source(name, (canonical[name],), Pipeline(), not name.startswith(HEADS)) for name in canonical]
    ours = sum(source.stored in tensors for source in own)
    if not format or ours > min(len(own), len(tensors)) / 2:
        format, sources, section = OWN_FORMAT, own, {}
        stored = Stored(tensors, section)
    else:
        section = skeleton.sections["weights"][format]
        stored = Stored(tensors, section)
        sources = skeleton.sources(format, stored.bare_shapes())
    stored.decide(sources)
    return format, section, stored, sources


def make_plan(skeleton: Skeleton, tensors: Mapping[str, TensorInfo], format: str) -> tuple[Plan, str]:
    """Match parameters and stored tensors by name and shape. Returns the plan and the format that it read."""
    model = skeleton.model
    format, section, stored, sources = read_through(skeleton, tensors, format)
    plan = Plan()
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    covered: set[str] = set()
    consumed: set[str] = set()
    for source in sorted(sources, key=lambda source: stored.names(source)[0] not in stored.actual):
        for name in stored.names(source):
            if name not in stored.actual:
                continue
            again = name in consumed
            consumed.add(name)
            problem = misfit(source, stored.shape(name), [shapes[target] for target in source.targets])
            if problem:
                plan.misshapen += [(target, problem) for target in source.targets]
                covered.update(source.targets)
            elif covered.issuperset(source.targets):
                if again:  # a head's tensor, and the twin of a part that it is tied to
                    continue
                plan.duplicates.append((stored.actual[name], source))
            else:
                plan.reads.append((stored.actual[name], source))
                covered.update(source.targets)
    _sort_missing(plan, skeleton, sources, stored, shapes, covered)
    _sort_leftovers(plan, skeleton, format, section, stored, consumed)
    return plan, format


def misfit(source: Source, stored: tuple[int, ...], targets: list[tuple[int, ...]]) -> str | None:
    """Why a stored shape does not make the parameters of a source; None if it does."""
    try:
        if source.pipeline.fits(stored, targets):
            return None
        made = list(source.pipeline.shape(stored))
    except OpError as error:
        return str(error)
    return f"{made} in the checkpoint, {' + '.join(str(list(target)) for target in targets)} in the model"


def _sort_missing(
    plan: Plan,
    skeleton: Skeleton,
    sources: list[Source],
    stored: Stored,
    shapes: Mapping[str, tuple[int, ...]],
    covered: set[str],
) -> None:
    expected = {target: source for source in reversed(sources) for target in source.targets}
    for name, shape in shapes.items():
        if name in covered:
            continue
        constant = expected[name].absent if name in expected else ""
        if constant == ZEROS or (constant == IDENTITY and len(shape) == 2 and shape[0] == shape[1]):
            plan.constants[name] = constant
            continue
        owner = next((owner for owner in skeleton.fresh if name.startswith(owner + ".")), None)
        if owner is not None and not any(other.startswith(owner + ".") for other in covered):
            plan.fresh.append(name)
        else:
            plan.missing.append(name)
            if name in expected and expected[name].stored:
                plan.looked_for[name] = stored.names(expected[name])[0]


def _sort_leftovers(
    plan: Plan, skeleton: Skeleton, format: str, section: Mapping[str, Any], stored: Stored, consumed: set[str]
) -> None:
    leftover = [name for name in stored.actual if name not in consumed]
    ignore = re.compile("|".join(map(stored_names, section.get("ignore") or ())) or r"(?!)")
    for name in leftover[:]:
        if ignore.fullmatch(name) or ignore.fullmatch(name.removeprefix(stored.prefix)):
            plan.ignored.append(stored.actual[name])
            leftover.remove(name)
    if not leftover:
        return
    whole = assemble_whole(skeleton.model.spec, skeleton.model.config.to_dict())
    if format == OWN_FORMAT:
        known = set(canonical_names(whole.model))
    else:
        every = whole.sources(format, stored.bare_shapes())
        known = {name for source in every for name in stored.names(source)}
        known |= {stored.prefix + source.stored for source in every}
    owners = [*whole.model.part_names, *(f"{HEADS}{name}" for name in whole.model.heads)]
    absent = names_of_absent(section.get("rules") or {}, owners)
    for name in leftover:
        tensor = name.removeprefix(stored.prefix)
        spellings = (tensor, re.split(r"[./][^./]*$", tensor)[0])  # its own name, and its module's
        gone = any(map(absent.fullmatch, spellings))
        (plan.unused if gone or name in known else plan.unexpected).append(stored.actual[name])


def check_plan(plan: Plan, name: str, *, allow_missing: bool, allow_unexpected: bool) -> None:
    """WeightsError with all that does not fit. What `allow_missing` permits moves from misshapen to missing."""
    problems = []
    if plan.misshapen:
        if allow_missing:
            plan.missing += dict.fromkeys(target for target, _ in plan.misshapen)
            plan.misshapen = []
        else:
            rows: dict[str, list[str]] = {}
            for target, text in plan.misshapen:
                rows.setdefault(text, []).append(target)
            notes = tuple(Note(f"{row}: {text}") for text, names in rows.items() for row in fold(names))
            problems.append(
                Diagnostic(
                    f"{len(plan.misshapen)} parameters have another shape in {name}", notes=notes,
                    help="give the checkpoint's own config (beside it, or config=…) or its numbers as hparams;\n"
                    "to start them untrained instead: --allow-missing (allow_missing=True)",
                )
            )  # fmt: skip
    if plan.missing and not allow_missing:
        candidates = fold(plan.unexpected)
        notes = []
        homeless = fold(name for name in plan.missing if name not in plan.looked_for)
        notes += [Note(f"{row}   files of this format have no place for it") for row in homeless]
        for row, looked_for in zip(fold(plan.looked_for), fold(plan.looked_for.values()), strict=False):
            hint = did_you_mean(looked_for, candidates) if candidates else ""
            notes.append(Note(f"{row}   looked for as {looked_for}" + (f"   {hint}" if "mean" in hint else "")))
        problems.append(
            Diagnostic(
                f"{len(plan.missing)} parameters are not in {name}", notes=tuple(notes),
                help="to start them untrained: --allow-missing (allow_missing=True)",
            )
        )  # fmt: skip
    if plan.unexpected and not allow_unexpected:
        problems.append(
            Diagnostic(
                f"{len(plan.unexpected)} tensors in {name} belong to nothing in the spec",
                notes=tuple(Note(row) for row in fold(plan.unexpected)),
                help="is it the right spec, with the right number of layers?\n"
                "to leave them out: --allow-unexpected (allow_unexpected=True)",
            )
        )  # fmt: skip
    if problems:
        raise WeightsError(*problems)
