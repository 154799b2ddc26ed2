"""What is wrong with a merged spec, by the JSON schema and by what its blocks read and provide.

Needs no torch, and knows paths, not places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft7Validator, ValidationError, validators

from ...errors import did_you_mean, nearest, nearest_divisors
from .documents import Path, nodes, shown

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a path of the merged tree."""

    path: Path
    message: str
    label: str = ""
    help: str | None = None
    on_key: bool = False  # it is the key that is wrong
    of_value: bool = False  # `message` is said of the value, whatever that is called: "must be a number"
    chain: tuple[Path, ...] = ()  # values whose origin explains it

    def sentence(self, path: Path) -> str:
        """The whole message, of a value called `path`."""
        return f"`{dotted(path)}` {self.message}" if self.of_value else self.message


def faults(tree: Mapping[str, Any], schema: Schema) -> Iterator[Fault]:
    """Everything wrong with a merged tree, its interpolations replaced as far as they could be, in its order."""
    known = True
    order = {path: index for index, (path, _) in enumerate(nodes(tree))}
    for error in sorted(validator(schema).iter_errors(tree), key=lambda error: order[tuple(error.absolute_path)]):
        for fault in DESCRIBE.get(error.validator, _other)(error, schema):
            known &= fault.path[-1:] != ("block",)
            yield fault
    if known:
        yield from unprovided(tree, schema)
        yield from unsaid_kinds(tree.get("model"), ("model",))
    if not tree.get("model") and not str(tree.get("spec")).startswith("_"):
        help = "write one, or `extends` and what is to change; a spec that only others extend has _ before its name"
        yield Fault((), "the spec has no `model`", help=help)


def validator(schema: Schema) -> Draft7Validator:
    """A draft-07 validator that knows our own keywords. They only find; `DESCRIBE` says what is wrong."""

    def keyword(holds: Any) -> Any:
        def check(_: Any, value: Any, instance: Any, owner: Schema) -> Iterator[ValidationError]:
            if not holds(value, instance, owner):
                yield ValidationError("")

        return check

    own = {
        "x-required": keyword(lambda names, node, _: not isinstance(node, dict) or all(n in node for n in names)),
        "x-present": keyword(_is_present),
        "x-divides": keyword(lambda rules, node, owner: not any(_indivisible(rule, node, owner) for rule in rules)),
    }
    whole = Draft7Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)  # not 768.0
    return validators.extend(Draft7Validator, own, type_checker=whole)(schema)


def _is_present(kind: str, node: Any, _: Schema) -> bool:
    return node is not None and (kind != "always" or not isinstance(node, dict) or node.get("when") is not False)


def _indivisible(rule: Mapping[str, str], node: Any, owner: Schema) -> tuple[int, int] | None:
    """The two numbers, if `rule` is broken."""
    if not isinstance(node, dict) or node.get("when") is False or node.get(rule["unless"]) is not None:
        return None
    defaults = {key: argument.get("default") for key, argument in owner["properties"].items()}
    number, divisor = ((defaults | node)[rule[key]] for key in ("number", "divisor"))
    if type(number) is not int or type(divisor) is not int or (divisor > 0 and number % divisor == 0):
        return None
    return number, divisor


# -- what an error of the validator means ------------------------------------------------------------------------

KINDS = {
    "integer": "an integer", "number": "a number", "boolean": "true or false", "string": "a string", "array": "a list",
    "object": "a mapping", "null": "null",
}  # fmt: skip


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def quoted(value: Any) -> str:
    """A value within a sentence."""
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"the string `{shown(value)}`" if isinstance(value, str) else f"`{shown(value)}`"


def expected(schema: Schema) -> str:
    """What a schema of a value takes, less null: the same value may stand where that does not count as absent."""
    if "else" in schema:
        return expected(schema["else"])
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        return " or ".join(expected(choice) for choice in choices)
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"] if choice is not None)
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return " or ".join(KINDS[name] for name in types if name != "null" or len(types) == 1)


def _owner(node: Any) -> str:
    return f" (block `{node['block']}`)" if isinstance(node, dict) and isinstance(node.get("block"), str) else ""


def _unknown_keys(error: ValidationError, _: Schema) -> Iterator[Fault]:
    path, known = tuple(error.absolute_path), error.schema.get("properties", {})
    where = f"in `{dotted(path)}`{_owner(error.instance)}" if path else "at the top of the spec"
    for key in error.instance:
        if key not in known:
            yield Fault((*path, key), f"unknown key `{key}` {where}", label=did_you_mean(key, known), on_key=True)


def _wrong_value(error: ValidationError, _: Schema) -> Iterator[Fault]:
    path = tuple(error.absolute_path)
    message = f"must be {expected(error.schema)}, but is {quoted(error.instance)}"
    yield Fault(path, message, of_value=True, chain=(path,))


def _not_in_list(error: ValidationError, schema: Schema) -> Iterator[Fault]:
    path, value, choices = tuple(error.absolute_path), error.instance, error.validator_value
    if path[-1:] != ("block",) or not isinstance(value, str):
        yield from _wrong_value(error, schema)
    elif f"block {value}" in schema["definitions"]:
        yield Fault(path, f"block `{value}` does not fit here", help="fitting blocks: " + ", ".join(choices))
    else:
        help = "own blocks come with --plugin MODULE, or with an installed package"
        yield Fault(path, f"unknown block `{value}`", label=did_you_mean(value, choices), help=help)


def _missing_keys(error: ValidationError, schema: Schema) -> Iterator[Fault]:
    path, node, known = tuple(error.absolute_path), error.instance, error.schema["properties"]
    misspelt = {guess for key in node if key not in known for guess in nearest(key, known, 1)}
    for key in error.validator_value:
        if key == "block" and key not in node:
            help = "fitting blocks: " + ", ".join(known[key]["enum"])
            yield Fault((*path, key), f"`{dotted(path)}` does not name its block", help=help, on_key=True)
        elif key not in node and key not in misspelt:
            meaning = known[key].get("description")
            help = f"`{key}`: {meaning}" if meaning else None
            yield Fault(path, f"`{dotted(path)}`{_owner(node)} lacks `{key}`", help=help, on_key=True)


def _absent(error: ValidationError, schema: Schema) -> Iterator[Fault]:
    path = tuple(error.absolute_path)
    if error.validator_value == "always":
        category = next(iter(_references(error.schema)), None)
        definition = schema["definitions"][category] if category else {"properties": {"block": {"enum": []}}}
        choices = definition.get("else", definition)["properties"]["block"]["enum"]
        yield Fault(path, f"`{dotted(path)}` cannot be left out", help="fitting blocks: " + ", ".join(choices))
    else:
        help = "null takes away what `extends` brought"
        yield Fault(path, f"there is nothing to delete at `{dotted(path)}`", help=help)


def _references(schema: Schema) -> Iterator[str]:
    return (part["$ref"].removeprefix("#/definitions/") for part in schema.get("allOf", ()) if "$ref" in part)


def _uneven(error: ValidationError, _: Schema) -> Iterator[Fault]:
    path, node = tuple(error.absolute_path), error.instance
    for rule in error.validator_value:
        broken = _indivisible(rule, node, error.schema)
        if broken is not None:
            number, divisor = broken
            values = tuple((*path, rule[key]) for key in ("number", "divisor") if rule[key] in node)
            message = f"{number} cannot be split into {divisor} {rule['unit']}"
            yield Fault(values[-1] if values else path, message, help=nearest_divisors(number, divisor), chain=values)


def _bad_name(error: ValidationError, schema: Schema) -> Iterator[Fault]:
    if "propertyNames" not in error.absolute_schema_path:
        yield from _other(error, schema)
        return
    path = (*error.absolute_path, error.instance)
    yield Fault(path, f"`{error.instance}` cannot be a name", help="letters, digits and _, no digit first", on_key=True)


def _reserved_name(error: ValidationError, _: Schema) -> Iterator[Fault]:
    path = (*error.absolute_path, error.instance)
    yield Fault(path, f"`{error.instance}` cannot be a name here: modules have an attribute of that name", on_key=True)


def _out_of_bounds(error: ValidationError, _: Schema) -> Iterator[Fault]:
    path, bound = tuple(error.absolute_path), "at least" if error.validator == "minimum" else "at most"
    message = f"must be {bound} {error.validator_value}, but is {quoted(error.instance)}"
    yield Fault(path, message, of_value=True, chain=(path,))


def _other(error: ValidationError, _: Schema) -> Iterator[Fault]:
    path = tuple(error.absolute_path)
    yield Fault(path, f"is not allowed: {error.message}", of_value=True, chain=(path,))


DESCRIBE = {
    "additionalProperties": _unknown_keys, "type": _wrong_value, "anyOf": _wrong_value, "enum": _not_in_list,
    "minimum": _out_of_bounds, "maximum": _out_of_bounds, "x-required": _missing_keys, "x-present": _absent,
    "x-divides": _uneven, "pattern": _bad_name, "not": _reserved_name,
}  # fmt: skip


def unprovided(tree: Mapping[str, Any], schema: Schema) -> Iterator[Fault]:
    """Outputs that a part or head reads but nothing before it makes, and combined heads that are not there."""
    sections = (tree.get("model"), tree.get("heads"))
    parts, heads = (section if isinstance(section, dict) else {} for section in sections)
    provided = set(schema["x-inputs"])
    makers: dict[str, str] = {}
    reads: list[tuple[Path, str]] = []
    for name, part in parts.items():
        nodes = list(_nodes(part, ("model", name), schema))
        own = {output for _, block in nodes for output in block.get("x-provides", ())}
        for path, block in nodes:
            known = provided if len(path) == 2 else provided | own
            reads += [(path, output) for output in block.get("x-reads", ()) if output not in known]
        provided |= own
        makers |= {output: name for output in own}
    for name, head in heads.items():
        nodes = list(_nodes(head, ("heads", name), schema))
        known = provided.union(*(block.get("x-provides", ()) for _, block in nodes))
        reads += [(path, output) for path, block in nodes for output in block.get("x-reads", ()) if output not in known]
        combined = head.get("combine") if isinstance(head, dict) else None
        for other in combined if isinstance(combined, dict) else ():
            if heads.get(other) is None:
                path = ("heads", name, "combine", other)
                yield Fault(path, f"there is no head `{other}` to combine", did_you_mean(other, heads), on_key=True)
    for path, output in reads if parts else ():
        definitions = schema["definitions"].items()
        able = [name.removeprefix("block ") for name, block in definitions if output in block.get("x-provides", ())]
        way = f"blocks that make it: {', '.join(able)}" if able else None
        if output in makers:
            way = f"`model.{makers[output]}` makes it, but comes later"
        yield Fault(path, f"`{dotted(path)}` reads `{output}`, which no part before it makes", help=way)


def unsaid_kinds(node: Any, path: Path, kinds: Any = None, stated: Path = ()) -> Iterator[Fault]:
    """Kinds of layers that a `by_kind` below says nothing for; `kinds` are those that the stack around it states."""
    if not isinstance(node, dict) or node.get("when") is False:
        return
    if "block" in node and "kinds" in node:
        kinds, stated = node["kinds"], (*path, "kinds")
    table, here = node.get("by_kind"), (*path, "by_kind")
    if isinstance(table, dict) and kinds is None:
        help = "give the stack around it `kinds`, or name one block"
        yield Fault(here, f"`{dotted(here)}`, but the layers are all of one kind", help=help, on_key=True)
    elif isinstance(table, dict) and isinstance(kinds, list):
        for kind in dict.fromkeys(map(str, kinds)):
            if kind not in table:
                label, message = did_you_mean(kind, table), f"`{dotted(here)}` says nothing for layers of kind `{kind}`"
                yield Fault(here, message, label, on_key=True, chain=(stated,))
    for key, child in node.items():
        yield from unsaid_kinds(child, (*path, key), kinds, stated)


def _nodes(node: Any, path: Path, schema: Schema) -> Iterator[tuple[Path, Schema]]:
    """The nodes at and below one, with the definitions of their blocks; not those that are switched off."""
    if not isinstance(node, dict) or node.get("when") is False:
        return
    block = node.get("block")
    if isinstance(block, str) and f"block {block}" in schema["definitions"]:
        yield path, schema["definitions"][f"block {block}"]
    for key, child in node.items():
        yield from _nodes(child, (*path, key), schema)
