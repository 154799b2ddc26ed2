"""Weight mapping: rules expanded from the model's own parameters to stored names, before a byte is read.

Rules are never searched for in the stored keys. So their order does not matter, nothing matches by accident, and
saving is the same table read the other way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from ...blocks import Layer
from ...errors import Diagnostic, Place, SpecError, did_you_mean
from .ops import OpError, Pipeline
from .patterns import Pattern, PatternError, all_that_hold, expand, fill
from .report import fold

if TYPE_CHECKING:
    from ..model import Model

HEADS = "heads."


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `rules:`, without choices."""

    key: str  # as written in the spec
    left: Pattern
    right: str  # template of the stored name
    ops: tuple[str, ...]
    place: Place | None
    kind: str | None = None  # of the layers it is about


@dataclass(frozen=True, slots=True)
class Source:
    """One stored tensor and the parameters it makes. `stored` is without the file's prefix if `body`."""

    stored: str
    targets: tuple[str, ...]
    pipeline: Pipeline
    body: bool


def find_sources(
    model: Model, section: Mapping[str, Any], format: str, *, fresh: Collection[str] = ()
) -> list[Source]:
    """Where each parameter of an assembled model is stored; `section` is the interpolated one of the format.

    Those of `fresh` parts and heads may have no rule. SpecError as for `expand_rules`.
    """
    rules = section.get("rules") or {}
    places = {key: model.spec.place(("weights", format, "rules", key)) for key in rules}
    owners = [*model.part_names, *(f"{HEADS}{name}" for name in model.heads)]
    compiled = compile_rules(rules, places, owners, set(layer_kinds(model).values()))
    return expand_rules(model, compiled, section.get("leaves") or {}, fresh=fresh, where=f"weights.{format}.rules")


def compile_rules(
    rules: Mapping[str, Any], places: Mapping[str, Place], parts: Iterable[str], kinds: Collection[str] = ()
) -> list[Rule]:
    """Rules of the spec whose `when` holds (already interpolated), choices expanded. SpecError if they are malformed.

    A rule about a part, a head or a kind of layer that the model does not have is left out; `parts` and `kinds` are
    those it has. Of alternatives the first counts that is for all kinds, and before it those for one kind each.
    """
    compiled, problems, present = [], [], set(parts)
    for key, value in rules.items():
        try:
            for chosen in all_that_hold(value, "from"):
                kind = chosen.get("kind")
                for left, right in expand(key, chosen["from"]) if kind is None or kind in kinds else ():
                    if _owner(left) not in present:
                        continue
                    stored, *ops = (piece.strip() for piece in right.split("|"))
                    Pipeline.parse(ops)
                    compiled.append(Rule(key, Pattern(left), stored, tuple(ops), places.get(key), kind))
                if kind is None:
                    break
        except (PatternError, OpError) as error:
            problems.append(Diagnostic(str(error), place=places.get(key)))
    if problems:
        raise SpecError(*problems)
    return compiled


def names_of_absent(rules: Mapping[str, Any], parts: Iterable[str]) -> list[Pattern]:
    """Stored modules and tensors of rules about parts and heads that are not among `parts`: a spec that deletes parts
    of the one it extends still knows what they are stored as."""
    present = set(parts)
    return [
        Pattern(right.partition("|")[0].strip())
        for key, value in rules.items()
        for chosen in all_that_hold(value, "from")
        for left, right in expand(key, chosen["from"])
        if _owner(left) not in present
    ]


def _owner(name: str) -> str:
    """The part a parameter or rule is about: `encoder`, or `heads.masked_lm`."""
    pieces = name.split(".")
    return ".".join(pieces[: 2 if name.startswith(HEADS) else 1])


def expand_rules(
    model: nn.Module,
    rules: Sequence[Rule],
    leaves: Mapping[str, Mapping[str, str]],
    *,
    fresh: Collection[str] = (),
    where: str = "rules",
) -> list[Source]:
    """The source of every parameter of `model`, tied names included, in the model's order.

    `where` names the table for messages. SpecError lists parameters with no rule or several, and rules that match
    nothing.
    """
    sources: dict[str, Source] = {}
    used: set[str] = set()
    problems: list[Diagnostic] = []
    homeless: list[str] = []
    kinds = {name: getattr(module, "leaf", "") for name, module in model.named_modules()}
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    canonical = canonical_names(model)
    of_layers = layer_kinds(model)
    for name in names:
        owner, _, leaf = name.rpartition(".")
        kind = next((kind for layer, kind in of_layers.items() if name.startswith(f"{layer}.")), None)
        found = [(rule, values, "") for rule, values in _matching(name, kind, rules)]
        if not found:
            suffix = leaves.get(kinds[owner], {}).get(leaf, f".{leaf}")
            found = [(rule, values, suffix) for rule, values in _matching(owner, kind, rules)]
        if not found:
            if canonical[name] == name and _owner(name) not in fresh:
                homeless.append(name)
            continue
        if len(found) > 1:
            lines = " and ".join(f"`{rule.key}`" for rule, _, _ in found)
            problems.append(Diagnostic(f"several rules say where `{name}` is stored: {lines}", found[1][0].place))
            continue
        rule, values, suffix = found[0]
        used.add(rule.key)
        suffix, *leaf_ops = (piece.strip() for piece in suffix.split("|"))
        members = rule.left.members(values)
        members = [f"{m}.{leaf}" for m in members] if rule.left.match(name) is None else members
        stored = fill(rule.right, values) + suffix
        targets = tuple(canonical.get(member, member) for member in members)
        pipeline = Pipeline.parse([*leaf_ops, *rule.ops])
        sources.setdefault(stored, Source(stored, targets, pipeline, not name.startswith(HEADS)))
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


def _matching(name: str, kind: str | None, rules: Sequence[Rule]) -> list[tuple[Rule, dict[str, str]]]:
    """The rules about a name in a layer of this kind; of a rule's alternatives the first."""
    found: dict[tuple[str, str], tuple[Rule, dict[str, str]]] = {}
    for rule in rules:
        if rule.kind in (None, kind) and (values := rule.left.match(name)) is not None:
            found.setdefault((rule.key, rule.left.text), (rule, values))
    return list(found.values())


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
