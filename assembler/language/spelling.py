"""Names of one library as another spells them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_KEPT = re.compile(r"(\$\{[^}]*\})")  # values of hparams
_NUMBER = re.compile(r"\.(\{[a-z](?::[^{}]*)?\}|\{\d+(?:,\d+)*\}|\d+)(?=[.,}/ ]|$)")


def _slashes(text: str) -> str:
    return _NUMBER.sub(r"_._\1", text).replace("_._", "\0").replace(".", "/").replace("\0", "_._")


#: `encoder.layer.3.output` -> `encoder/layer_._3/output`, as Keras has it.
SPELLINGS: dict[str, Callable[[str], str]] = {"slashes": _slashes}


def respelt(section: Mapping[str, Any]) -> dict[str, Any]:
    """A format whose stored names are spelt as its `spelling` says; leaves and operations are left as they are."""
    spell = SPELLINGS[section["spelling"]]

    def name(text: str) -> str:
        stored, bar, ops = text.partition("|")
        pieces = _KEPT.split(stored)
        return "".join(piece if _KEPT.fullmatch(piece) else spell(piece) for piece in pieces) + bar + ops

    def source(value: Any) -> Any:
        if isinstance(value, str):
            return name(value)
        if isinstance(value, list):
            return [source(one) for one in value]
        return {**value, "from": name(value["from"])} if isinstance(value, Mapping) else value

    ignore = section.get("ignore") or {}
    reasons = ignore if isinstance(ignore, Mapping) else dict.fromkeys(ignore, "")
    return {
        **section,
        "prefix": [name(text) for text in section.get("prefix") or []],
        "rules": {left: source(value) for left, value in (section.get("rules") or {}).items()},
        "duplicates": {name(twin): name(of) for twin, of in (section.get("duplicates") or {}).items()},
        "ignore": {name(text): reason for text, reason in reasons.items()},
    }
