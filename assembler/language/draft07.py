"""JSON schemas as pydantic makes them, for the draft of 2020, in terms of draft-07, and so that errors are precise."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_SPELLING = {"$defs": "definitions", "prefixItems": "items"}
_DROPPED = {"title", "discriminator"}


def draft07(schema: Schema) -> Schema:
    """The same schema in draft-07.

    * Definitions and tuples are spelt as there, and `$ref` has no siblings, which draft-07 passes over.
    * Alternatives of different types become one schema with several types: an error then points at what is wrong
      within the one that was meant, instead of saying that none fits.
    * Titles, which repeat the names, and defaults that say nothing are dropped.
    """
    return _Converter(schema.get("$defs", {})).convert(schema)


class _Converter:
    def __init__(self, definitions: Schema) -> None:
        self.definitions = definitions

    def convert(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self.convert(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        out: Schema = {}
        for key, value in schema.items():
            if key in ("properties", "$defs"):
                out[_SPELLING.get(key, key)] = {name: self.convert(child) for name, child in value.items()}
            elif key == "patternProperties" and "additionalProperties" not in schema:
                [(pattern, child)] = value.items()
                out |= {"propertyNames": {"pattern": pattern}, "additionalProperties": self.convert(child)}
            elif key in ("default", "enum", "const"):
                out |= {} if key == "default" and value in (None, [], {}) or isinstance(value, dict) else {key: value}
            elif key not in _DROPPED:
                out[_SPELLING.get(key, key)] = self.convert(value)
        if "anyOf" in out or "oneOf" in out:
            out = union(out.pop("anyOf", None) or out.pop("oneOf"), self.definitions) | out
        if "$ref" in out and len(out) > 1:
            out = {"allOf": [{"$ref": out.pop("$ref")}], **out}
        return out


def union(options: list[Schema], definitions: Schema) -> Schema:
    """Any of `options`. Keywords of JSON schema speak of one type each, so options of different types can be one."""
    types: list[str] = []
    merged: Schema = {}
    branches: list[Schema] = []
    for option in options:
        of = definitions.get(option.get("$ref", "").rpartition("/")[2], option).get("type")
        kinds = [of] if isinstance(of, str) else of or []
        if not kinds or set(kinds) & set(types):
            return {"anyOf": options}
        types += kinds
        if "$ref" in option:
            branches.append({"if": {"type": of}, "then": option})
        else:
            merged |= {key: value for key, value in option.items() if key != "type"}
            branches += merged.pop("allOf", [])
    if "enum" in merged:
        return {"enum": [*merged["enum"], None]} if types[1:] == ["null"] else {"anyOf": options}
    return {"type": types, **merged} | ({"allOf": branches} if branches else {})
