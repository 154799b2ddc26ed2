"""Other libraries' config files <-> our hparams, both ways, as the spec's `configs:` says."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ...errors import Diagnostic, SpecError, WeightsError, did_you_mean
from ..language.documents import shown


def read_config(
    config: Mapping[str, Any], rules: Mapping[str, Any], *, name: str, spec: str, allow_unknown: bool = False
) -> dict[str, Any]:
    """The hparams a config states. Null counts as absent, unless the key is `nullable`.

    `rules` is one entry of `configs:` (`match`, `read`, `keep`, `expect`, …), `name` the file for messages. A
    key `outer.inner` of the rules is one within a mapping.
    WeightsError lists everything that does not fit: another architecture, values the spec cannot express, unknown keys.
    """
    problems: list[Diagnostic] = []
    hparams: dict[str, Any] = {}
    config = dict(_flat(config, {key.partition(".")[0] for key in _keys(rules) if "." in key}))
    known = {key for part in ("ignore", "match", "keep", "generation") for key in rules.get(part) or ()}
    for key, wanted in (rules.get("match") or {}).items():
        if config.get(key, wanted) != wanted:
            problems.append(
                Diagnostic(f"{name} says {key} `{config[key]}`, the spec {spec} is for `{wanted}`",
                           help="name the right spec, or none: it is then found from the weights")
            )  # fmt: skip
    if problems:  # of another architecture everything else is wrong as well
        raise WeightsError(*problems)
    for key, wanted in (rules.get("expect") or {}).items():
        known.add(key)
        found = config.get(key)
        if found is not None and found != wanted:
            problems.append(
                Diagnostic(f"{name} says {key} = {shown(found)}; the spec {spec} can only build {wanted!r}",
                           help="write a spec that extends it with the right block")
            )  # fmt: skip
    for hparam, alternatives in (rules.get("read") or {}).items():
        for way in _ways(alternatives):
            key = _key(way)
            known.add(key)
            value = config.get(key)
            nullable = not isinstance(way, str) and way.get("nullable") and key in config
            passed_over = not isinstance(way, str) and way.get("without") in config
            if hparam in hparams or passed_over or (value is None and not nullable):
                continue
            if not isinstance(way, str) and "length_of" in way:
                if not isinstance(value, dict | list):
                    problems.append(Diagnostic(f"{name} says {key} = {shown(value)}, which is no list of labels"))
                    continue
                value = len(value)
            elif not isinstance(way, str) and "values" in way:
                table = _table(way["values"])
                if not isinstance(value, str | bool) or value not in table:
                    problems.append(
                        Diagnostic(f"{name} says {key} = {shown(repr(value))}; known are {', '.join(map(repr, table))}")
                    )
                    continue
                value = table[value]
            hparams[hparam] = value
    globs = [key for key in known if "*" in key]
    unknown = [key for key in config if key not in known and not any(fnmatchcase(key, glob) for glob in globs)]
    if unknown and not allow_unknown:
        problems += [
            Diagnostic(
                f"{name} has a key `{key}` that the spec {spec} does not know",
                label=did_you_mean(key, known - set(config)),
                help="if it does not change the network, go on without it: --allow-unexpected (allow_unexpected=True)",
            )
            for key in unknown
        ]  # fmt: skip
    if "id2label" in hparams:
        hparams["id2label"] = _numbered(hparams["id2label"])
    if problems:
        raise WeightsError(*problems)
    return hparams


def _ways(alternatives: Any) -> list[Any]:
    return alternatives if isinstance(alternatives, list) else [alternatives]


def _key(way: str | Mapping[str, Any]) -> str:
    return way if isinstance(way, str) else way.get("key") or way["length_of"]


def _keys(rules: Mapping[str, Any]) -> Iterator[str]:
    """What the rules read, expect or ignore."""
    yield from (_key(way) for alternatives in (rules.get("read") or {}).values() for way in _ways(alternatives))
    yield from rules.get("expect") or ()
    yield from rules.get("ignore") or ()


def _flat(config: Mapping[str, Any], groups: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The config, what is within mappings of these names beside it, as `outer.inner`. A null says nothing."""
    for key, value in config.items():
        if key in groups and isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", one) for inner, one in value.items())
        elif key not in groups or value is not None:
            yield key, value


def _nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `_flat`. A mapping in which nothing is said is null."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        outer, _, inner = key.partition(".")
        if not inner:
            result[key] = value
        elif value is not None:
            result[outer] = (result.get(outer) or {}) | {inner: value}
        else:
            result.setdefault(outer, None)
    return result


def _written(way: Mapping[str, Any]) -> bool:
    return "key" in way and "without" not in way and way.get("written", True)


def _table(values: Mapping[str, Any]) -> dict[str | bool, Any]:
    """Their value -> ours. `true` and `false` are truth values, which YAML cannot say as keys here."""
    return {{"true": True, "false": False}.get(theirs, theirs): ours for theirs, ours in values.items()}


def _numbered(labels: Any) -> dict[int, str] | None:
    """Labels by number; None for what is none (its length has been judged as `num_labels`), or says no more than the
    numbers do."""
    try:
        names = {int(index): str(label) for index, label in labels.items()}
    except (AttributeError, ValueError):
        return None
    return None if names == _unnamed(len(names)) else names


def _unnamed(count: int) -> dict[int, str]:
    return {index: f"LABEL_{index}" for index in range(count)}


def write_config(
    hparams: Mapping[str, Any], defaults: Mapping[str, Any], rules: Mapping[str, Any], *, head: str, format: str
) -> dict[str, Any]:
    """The config that states these hparams. SpecError if one that was changed has no place in that format, and is none
    of those that its tensors tell or the caller always has to.

    `rules` may have `shapes` beside what a config format has: the hparams that shapes tell.
    """
    config: dict[str, Any] = dict(rules.get("match") or {})
    architectures = rules.get("architectures") or {}
    if head in architectures:
        config["architectures"] = [architectures[head]]
    for hparam, alternatives in (rules.get("read") or {}).items():
        way = next((way for way in _ways(alternatives) if isinstance(way, str) or _written(way)), None)
        if way is None:
            continue
        value = hparams[hparam]
        if isinstance(way, Mapping) and way.get("repeat_to"):
            value = [value[index % len(value)] for index in range(hparams[way["repeat_to"]])]
        if isinstance(way, str):
            config[way] = value
        else:
            theirs = [value]
            if "values" in way and not (value is None and "." in way["key"]):
                theirs = [key for key, ours in _table(way["values"]).items() if ours == value]
            if not theirs:
                raise SpecError(f"{hparam} = {value!r} has no name in the {format} config `{way['key']}`")
            config[way["key"]] = theirs[0]
    said = {*(rules.get("read") or {}), *(rules.get("untold") or {}), *(rules.get("shapes") or {})}
    unsaid = [name for name in hparams if name not in said and hparams[name] != defaults.get(name)]
    if unsaid:
        raise SpecError(
            *(
                Diagnostic(f"{name} = {hparams[name]!r} cannot be said in {format}",
                           help=f"whoever reads it would assume {defaults.get(name)!r}; if that will do: "
                                f"--set {name}={shown_value(defaults.get(name))}")
                for name in unsaid
            )
        )  # fmt: skip
    config |= rules.get("write") or {}
    config |= _labels(hparams) if "num_labels" in (rules.get("read") or {}) else {}
    return _nested(config)


def shown_value(value: Any) -> str:
    """A value as `--set` takes it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _labels(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """`num_labels` travels as the names of the labels."""
    count = hparams.get("num_labels")
    if count is None:
        return {}
    names = hparams.get("id2label") or _unnamed(count)
    return {
        "id2label": {str(index): label for index, label in names.items()},
        "label2id": {label: index for index, label in names.items()},
    }
