"""The JSON schema of specs, derived from the signatures of the blocks and the models of the top-level sections.

It serves two readers. An editor (draft-07) completes keys and shows what they mean; `validate.py` checks the merged
spec with it, without torch. A spec that extends another may leave anything out, which an editor that sees one file
cannot know. So what concerns the whole is said in keywords of our own, which editors pass over:

* `x-required`  keys that must be there once everything is merged
* `x-present`   `entry`: null that is left over had nothing to take away; `always`: nor may the node be switched off
* `x-divides`   [{number, divisor, unit, unless}]: `registry.Divides`
* `x-reads`, `x-provides`  names of outputs; `x-inputs` (top level) names what every model may be given
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter
from torch import nn

from ...blocks import INPUTS, Head, Part, registry
from ...blocks.registry import Parameter
from .draft07 import draft07
from .sections import SpecModel

Schema = dict[str, Any]

REF = "#/definitions/"
#: What an assembled model has beside the attributes of every module (a test holds them together).
MODEL_ATTRIBUTES = (
    "config", "device", "dtype", "encode", "encoder_names", "first_position", "generate", "generation",
    "generation_config", "heads", "inputs", "kept_config", "labels", "load_report", "longest_text", "new_cache",
    "num_parameters", "part_names", "resize_token_embeddings", "runs", "save", "separate", "spec", "training",
    "wants_choices", "writes",
)  # fmt: skip
SWITCH: Schema = {"if": {"$ref": f"{REF}interpolation"}, "else": {"type": "boolean"}}
LANGUAGE: dict[str, Schema] = {  # what the language itself says in nodes, beside the arguments of blocks
    "interpolation": {
        "description": "Computed from the hparams: ${name} or ${calc:…}.", "type": "string", "pattern": r"\$\{"
    },
    "when": {"description": "Whether the node is there at all.", **SWITCH},
    "fresh": {"description": "Whether it may start untrained when a checkpoint lacks it.", **SWITCH},
    "side": {
        "description": "`encoder`: the part works on the encoder's inputs, and what the last such part makes is what "
        "cross-attention in the others sees.",
        "enum": ["encoder", None],
    },
    "tie": {
        "description": "Parameters that are another's: own name -> its path, or {to, when, where}, or a list of such "
        "whose first that holds counts.",
        "type": "object",
        "additionalProperties": {
            "if": {"type": "array"}, "then": {"items": {"$ref": f"{REF}target"}}, "else": {"$ref": f"{REF}target"}
        },
    },
    "target": {
        "if": {"type": "object"},
        "then": {
            "properties": {
                "to": {"type": "string", "description": "Path of the parameter that is shared."},
                "when": {"description": "Whether it is shared.", **SWITCH},
                "where": {
                    "description": "For each {i}, whether it is shared.",
                    "if": {"$ref": f"{REF}interpolation"},
                    "else": {"type": "array", "items": SWITCH},
                },
            },
            "x-required": ["to"],
            "additionalProperties": False,
        },
        "else": {"type": "string"},
    },
    "combined heads": {
        "description": "Several heads run as one; their losses are added.",
        "type": "object",
        "properties": {
            "combine": {
                "description": "Head -> {its output or label: the name it gets here}.",
                "type": "object",
                "additionalProperties": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
            }
        },
        "additionalProperties": False,
    },
}  # fmt: skip


def build_schema() -> Schema:
    """The schema of a spec file, with a definition for each block, category and section."""
    sections = draft07(SpecModel.model_json_schema(ref_template=REF + "{model}"))
    definitions = {name: mergeable(section) for name, section in sections.pop("definitions").items()} | LANGUAGE
    sections = mergeable(sections)
    for section in sections["properties"].values():
        section.pop("x-present", None)  # a section may be left empty
    for name, cls in registry.blocks():
        definitions[f"block {name}"] = block_schema(cls)
    for category in categories():
        definitions[category.__name__] = category_schema(category)
    head = {
        "if": {"type": "object", "required": ["combine"]},
        "then": {"$ref": f"{REF}combined heads"},
        "else": {"$ref": f"{REF}Head"},
    }
    parts = named({"$ref": f"{REF}Part"}, nn.Module, MODEL_ATTRIBUTES)
    sections["properties"]["model"] |= parts | {"type": ["object", "null"]}
    sections["properties"]["heads"] |= named(head, nn.ModuleDict) | {"type": ["object", "null"]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **sections,
        "x-inputs": list(INPUTS),
        "definitions": dict(sorted(definitions.items())),
    }


def write_schema(path: Path) -> None:
    """Write the schema, in an order that only changes with its content."""
    path.write_text(json.dumps(build_schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def block_schema(cls: type[nn.Module]) -> Schema:
    """A node that names the block `cls`: its arguments, and the keys the language itself gives nodes of its kind."""
    arguments = registry.parameters(cls)
    schema: Schema = {
        "description": summary(cls),
        "properties": {"block": {"const": cls.block, "description": summary(cls)}}
        | {name: argument_schema(argument, cls) for name, argument in arguments.items()}
        | {key: {"$ref": REF + key} for key in language_keys(cls)},
        "x-required": [name for name, argument in arguments.items() if argument.required],
        "additionalProperties": False,
    }
    if cls.constraints:
        schema["x-divides"] = [asdict(constraint) for constraint in cls.constraints]
    for keyword, names in (("x-reads", cls.reads), ("x-provides", cls.provides)):
        if names:
            schema[keyword] = sorted(names)
    return schema


def language_keys(cls: type[nn.Module]) -> tuple[str, ...]:
    """What a node of this block may say beside the block's arguments."""
    if issubclass(cls, Head):
        return "tie", "fresh"
    return ("when", "tie", "fresh", "side") if issubclass(cls, Part) else ("when",)


def categories() -> list[type[nn.Module]]:
    """What slots can hold, by name."""
    found: set[type[nn.Module]] = {Head, Part}
    for _, cls in registry.blocks():
        found |= {argument.annotation for argument in registry.parameters(cls).values() if argument.slot}
    return sorted(found, key=lambda category: category.__name__)


def category_schema(category: type[nn.Module]) -> Schema:
    """A node whose block is of this category; null in a spec that takes away what the spec it extends has."""
    names = [name for name, _ in registry.blocks(category)]
    about = {"description": summary(category)}
    one = {
        "type": ["object", "null"],
        "properties": {"block": {"enum": names}},
        "x-required": ["block"],
        "allOf": [
            {
                "if": {"type": "object", "properties": {"block": {"const": name}}, "required": ["block"]},
                "then": {"$ref": f"{REF}block {name}"},
            }
            for name in names
        ],
    }
    if issubclass(category, Part | Head):  # these are in no layer
        return about | one
    table = {
        "description": "Kind of layer -> the block it has here; in the layers of a stack that has `kinds`.",
        "type": "object",
        "additionalProperties": {"allOf": [{"$ref": REF + category.__name__}], "x-present": "entry"},
    }
    return about | {
        "if": {"type": "object", "required": ["by_kind"]},
        "then": {"properties": {"by_kind": table}, "additionalProperties": False},
        "else": one,
    }


def argument_schema(argument: Parameter, owner: type[nn.Module]) -> Schema:
    """The value or the blocks an argument takes. Any value may be an interpolation instead."""
    schema: Schema = {"description": argument.doc} if argument.doc else {}
    if argument.default not in (inspect.Parameter.empty, None):
        schema["default"] = argument.default
    if argument.slot is None:
        kind = argument.annotation | None if argument.optional else argument.annotation
        bounds = {} if argument.range is None else {"minimum": argument.range.low, "maximum": argument.range.high}
        return schema | interpolable(draft07(TypeAdapter(kind).json_schema()) | bounds)
    category = {"$ref": REF + argument.annotation.__name__}
    if argument.slot == "named":
        return schema | named(category, owner, registry.parameters(owner))
    return schema | {"allOf": [category]} | ({} if argument.optional else {"x-present": "always"})


def named(node: Schema, owner: type[nn.Module], taken: Iterable[str] = ()) -> Schema:
    """Nodes by name. The names become names of modules inside an `owner`, whose own attributes they must not hide; an
    entry may be switched off, but not be null."""
    reserved = attributes(owner) | set(taken)
    return {
        "type": "object",
        "propertyNames": {"pattern": r"^[A-Za-z][A-Za-z0-9_]*$", "not": {"enum": sorted(reserved)}},
        "additionalProperties": {"allOf": [node], "x-present": "entry"},
    }


def attributes(owner: type) -> set[str]:
    """Public attributes that a class and its bases define themselves; not what other libraries have patched in."""

    def root(thing: Any, default: str) -> str:
        return str(getattr(thing, "__module__", None) or default).partition(".")[0]

    return {
        name
        for cls in owner.__mro__
        for name, value in vars(cls).items()
        if not name.startswith("_") and root(value, cls.__module__) in (root(cls, ""), "builtins", "typing")
    }


def mergeable(section: Schema) -> Schema:
    """A section for a file that may extend another: nothing is required, and null takes away what the other has."""
    out = dict(section)
    if "required" in out:
        out["x-required"] = out.pop("required")
    if isinstance(out.get("items"), dict):
        out["items"] = mergeable(out["items"])
    if isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = removable(mergeable(out["additionalProperties"]))
    if "properties" in out:
        out["properties"] = {name: removable(mergeable(child)) for name, child in out["properties"].items()}
    return out


def removable(schema: Schema) -> Schema:
    """`schema`, or null where that takes something away."""
    if not {"$ref", "type", "allOf"} & set(schema) or "null" in schema.get("type", ()):
        return schema  # null is a value like others
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        return schema | {"type": [*types, "null"], "x-present": "entry"}
    return {"if": {"type": "null"}, "else": schema, "x-present": "entry"}


def interpolable(schema: Schema) -> Schema:
    """`schema`, or an interpolation; so for what a list or a mapping holds."""
    if schema.get("type") == "string" and "enum" not in schema:
        return schema
    holds = (key for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict))
    return {"if": {"$ref": f"{REF}interpolation"}, "else": schema | {key: interpolable(schema[key]) for key in holds}}


def summary(cls: type) -> str:
    """The first paragraph of the docstring, on one line."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def block_reference() -> str:
    """All blocks with their arguments, as Markdown."""
    lines = [
        "# Blocks", "",
        "What a spec can name as `block:`, by the kind of slot it fits. Generated from the signatures; do not edit.",
    ]  # fmt: skip
    for category in categories():
        lines += ["", f"## {category.__name__}", "", summary(category)]
        for name, cls in registry.blocks(category):
            lines += ["", f"### `{name}`", "", description(cls)]
            arguments = registry.parameters(cls)
            if arguments:
                lines += ["", "| argument | takes | default | meaning |", "|---|---|---|---|"]
                lines += [reference_row(argument) for argument in arguments.values()]
            facts = [f"`{c.divisor}` divides `{c.number}`" + (f" unless `{c.unless}` is given" if c.unless else "")
                     for c in cls.constraints]  # fmt: skip
            for verb, names in (("reads", cls.reads), ("provides", cls.provides)):
                facts += [f"{verb} " + ", ".join(f"`{name}`" for name in sorted(names))] if names else []
            if facts:
                lines += ["", "; ".join(facts) + "."]
    return "\n".join(lines) + "\n"


def reference_row(argument: Parameter) -> str:
    """One line of a block's table."""
    kind = argument.annotation
    if argument.slot:
        takes = f"[{kind.__name__}](#{kind.__name__.lower()})"
        takes = f"names -> {takes}" if argument.slot == "named" else takes
    else:
        takes = takes_of(kind) + (" or null" if argument.optional else "")
    default = "required" if argument.required else ""
    if not argument.required and argument.default is not None:
        default = f"`{json.dumps(argument.default)}`"
    return f"| `{argument.name}` | {takes} | {default} | {argument.doc} |".replace("  ", " ")


def takes_of(kind: Any) -> str:
    """A type in words."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(takes_of, get_args(kind)))
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def description(cls: type) -> str:
    """The docstring up to its `Args:`."""
    return (inspect.getdoc(cls) or "").split("Args:")[0].strip()
