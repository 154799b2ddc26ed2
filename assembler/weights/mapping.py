"""Weight mapping: rules expanded from the model's own parameters to stored names, before a byte is read.

Rules are never searched for in the stored keys. So their order does not matter, nothing matches by accident, and
saving is the same table read the other way.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...blocks import Layer
from ...errors import Diagnostic, Place, SpecError, did_you_mean
from .ops import UNSTACK, OpError, Pipeline
from .patterns import HEADS, Pattern, PatternError, all_that_hold, expand, fill, owner_of, stored_names
from .report import fold

if TYPE_CHECKING:
    from ..model import Model

#: What a parameter can be where a format leaves it out.
ZEROS, IDENTITY = "zeros", "identity"
UNSTORED = "\0"  # before our name of a parameter that the format never has


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `rules:`, without choices."""

    key: str  # as written in the spec
    left: Pattern
    right: str  # template of the stored name
    ops: tuple[str, ...]
    place: Place | None
    kind: str | None = None  # of the layers it is about
    absent: str = ""  # what it is where no tensor says
    if_stored: bool = False  # counts only for files that have its tensor


@dataclass(frozen=True, slots=True)
class Source:
    """One stored tensor and the parameters it makes. `stored` is without the file's prefix if `body`; it is empty for
    what the format never stores.

    `absent`: what its parameter is where it is not stored, `ZEROS` or `IDENTITY`; else it has to be.
    """

    stored: str
    targets: tuple[str, ...]
    pipeline: Pipeline
    body: bool
    absent: str = ""


def find_sources(
    model: Model,
    section: Mapping[str, Any],
    format: str,
    *,
    fresh: Collection[str] = (),
    stored: Collection[str] = (),
) -> list[Source]:
    """Where each parameter of an assembled model is stored; `section` is the interpolated one of the format.

    Those of `fresh` parts and heads may have no rule. `stored` are the names in a file, without its prefix.
    SpecError as for `expand_rules`.
    """
    rules = section.get("rules") or {}
    places = {key: model.spec.place(("weights", format, "rules", key)) for key in rules}
    owners = [*model.part_names, *(f"{HEADS}{name}" for name in model.heads)]
    compiled = compile_rules(rules, places, owners, set(layer_kinds(model).values()))
    where = f"weights.{format}.rules"
    return expand_rules(model, compiled, section.get("leaves") or {}, fresh=fresh, stored=stored, where=where)


def compile_rules(
    rules: Mapping[str, Any], places: Mapping[str, Place], parts: Iterable[str], kinds: Collection[str] = ()
) -> list[Rule]:
    """Rules of the spec whose `when` holds (already interpolated), choices expanded. SpecError if they are malformed.

    A rule about a part, a head or a kind of layer that the model does not have is left out; `parts` and `kinds` are
    those it has. Of alternatives the first counts that is for all kinds and files, and before it those for some.
    """
    compiled, problems, present = [], [], set(parts)
    for key, value in rules.items():
        try:
            for chosen in all_that_hold(value, "from"):
                kind, if_stored = chosen.get("kind"), bool(chosen.get("if_stored"))
                for left, right in expand(key, chosen["from"]) if kind is None or kind in kinds else ():
                    if owner_of(left) not in present:
                        continue
                    stored, *ops = (piece.strip() for piece in right.split("|"))
                    Pipeline.parse(ops)
                    compiled.append(
                        Rule(key, Pattern(left), stored, tuple(ops), places.get(key), kind,
                             chosen.get("absent") or "", if_stored)
                    )  # fmt: skip
                if kind is None and not if_stored:
                    break
        except (PatternError, OpError) as error:
            problems.append(Diagnostic(str(error), place=places.get(key)))
    if problems:
        raise SpecError(*problems)
    return compiled


def names_of_absent(rules: Mapping[str, Any], parts: Iterable[str]) -> re.Pattern[str]:
    """Matches the stored modules and tensors of rules about parts and heads that are not among `parts`: a spec that
    deletes parts of the one it extends still knows what they are stored as."""
    present = set(parts)
    rights = [
        right.partition("|")[0].strip()
        for key, value in rules.items()
        for chosen in all_that_hold(value, "from")
        for left, right in expand(key, chosen["from"])
        if owner_of(left) not in present
    ]
    return re.compile("|".join(map(stored_names, rights)) or r"(?!)")


def make_constant(constant: str, shape: Sequence[int]) -> Tensor:
    """What a parameter is that a format leaves out."""
    return torch.eye(shape[0]) if constant == IDENTITY else torch.zeros(*shape)


def expand_rules(
    model: nn.Module,
    rules: Sequence[Rule],
    leaves: Mapping[str, Mapping[str, str]],
    *,
    fresh: Collection[str] = (),
    stored: Collection[str] = (),
    where: str = "rules",
) -> list[Source]:
    """The source of every parameter of `model`, tied names included, in the model's order; heads of which no rule
    speaks have none.

    Rules that count only for files with their tensor do so if it is among `stored`, and come before others. `where`
    names the table for messages. SpecError lists parameters with no rule or several, and rules that match nothing.
    """
    sources: dict[str, Source] = {}
    used: set[str] = set()
    problems: list[Diagnostic] = []
    homeless: list[str] = []
    kinds = {name: getattr(module, "leaf", "") for name, module in model.named_modules()}
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    canonical = canonical_names(model)
    of_layers = layer_kinds(model)
    known = {owner_of(rule.left.text) for rule in rules}
    strangers = {owner for owner in map(owner_of, names) if owner.startswith(HEADS) and owner not in known}
    for name in names:
        owner, _, leaf = name.rpartition(".")
        kind = next((kind for layer, kind in of_layers.items() if name.startswith(f"{layer}.")), None)
        suffix = leaves.get(kinds[owner], {}).get(leaf, f".{leaf}")
        own, of_module = _matching(name, "", kind, rules), _matching(owner, suffix, kind, rules)
        found = _that_count([*own, *of_module], stored, special=True)
        found = found or _that_count(own, stored) or _that_count(of_module, stored)
        used.update(one.rule.key for one in (*own, *of_module))
        if not found:
            if canonical[name] == name and owner_of(name) not in fresh and owner_of(name) not in strangers:
                homeless.append(name)
            continue
        if len(found) > 1:
            lines = " and ".join(f"`{one.rule.key}`" for one in found)
            problems.append(Diagnostic(f"several rules say where `{name}` is stored: {lines}", found[1].rule.place))
            continue
        one = found[0]
        members = one.rule.left.members(one.values)
        members = [f"{m}.{leaf}" for m in members] if one.rule.left.match(name) is None else members
        targets = tuple(canonical.get(member, member) for member in members)
        key = one.stored or f"{UNSTORED}{targets[0]}"
        earlier = sources.get(key)
        if earlier is None:
            body = not name.startswith(HEADS)
            sources[key] = Source(one.stored, targets, one.pipeline, body, one.rule.absent)
        elif one.pipeline.end == UNSTACK:
            more = (target for target in targets if target not in earlier.targets)
            sources[key] = replace(earlier, targets=(*earlier.targets, *more))
    problems += [
        Diagnostic(f"no rule says where `{name}` is stored", help=_closest(name, rules, where))
        for name in fold(homeless)
    ]
    keys = {rule.key: rule.place for rule in rules}
    problems += [
        Diagnostic(f"the rule `{key}` matches no parameter", place, label=did_you_mean(key, names))
        for key, place in keys.items()
        if key not in used
    ]
    if problems:
        raise SpecError(*problems)
    return list(sources.values())


@dataclass(frozen=True, slots=True)
class _Match:
    """A rule that answers for a name, and the stored tensor that it means."""

    rule: Rule
    values: Mapping[str, str]
    stored: str
    pipeline: Pipeline


def _matching(name: str, suffix: str, kind: str | None, rules: Sequence[Rule]) -> list[_Match]:
    """The rules about a name in a layer of this kind. `suffix`: what follows the stored name, with operations that come
    first."""
    ending, *leaf_ops = (piece.strip() for piece in suffix.split("|"))
    return [
        _Match(rule, values, fill(rule.right, values) + ending, Pipeline.parse([*leaf_ops, *rule.ops]))
        for rule in rules
        if rule.kind in (None, kind) and (values := rule.left.match(name)) is not None
    ]


def _that_count(found: Sequence[_Match], stored: Collection[str], *, special: bool = False) -> list[_Match]:
    """Of each rule's alternatives the first that holds for a file with these names; with `special` only what holds for
    some files."""
    first: dict[tuple[str, str], _Match] = {}
    for one in found:
        if one.stored in stored if one.rule.if_stored else not special:
            first.setdefault((one.rule.key, one.rule.left.text), one)
    return list(first.values())


def layer_kinds(model: nn.Module) -> dict[str, str]:
    """The layers that are of some kind, by name."""
    return {name: module.kind for name, module in model.named_modules() if isinstance(module, Layer) and module.kind}


def canonical_names(model: nn.Module) -> dict[str, str]:
    """Every parameter name -> the first name of the same parameter."""
    first: dict[int, str] = {}
    return {
        name: first.setdefault(id(parameter), name)
        for name, parameter in model.named_parameters(remove_duplicate=False)
    }


def _closest(name: str, rules: Sequence[Rule], where: str) -> str:
    hint = did_you_mean(name, (rule.key for rule in rules))
    return f"add it under `{where}:`" + (f" ({hint})" if "mean" in hint else "")
