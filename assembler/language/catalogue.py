"""What comes with modelwright: specs, their heads, and the names of published checkpoints."""

from __future__ import annotations

from typing import Any

from .compose import compose
from .layers import list_specs


def catalogue() -> list[dict[str, Any]]:
    """For each spec: `spec`, `title`, `paper`, `heads`, and `pretrained` (name -> where it is)."""
    entries = []
    for name in list_specs():
        composition = compose(name)
        tree, own = composition.tree, composition.layers[-1].document.tree
        about = tree.get("about") or {}
        pretrained = {key: _where(targets) for key, targets in (own.get("pretrained") or {}).items()}
        entries.append({
            "spec": name, "title": about.get("title", name), "paper": about.get("paper"),
            "heads": list(tree.get("heads") or {}), "pretrained": pretrained,
        })  # fmt: skip
    return entries


def _where(targets: dict[str, str]) -> str:
    return ", ".join(target for format, target in targets.items() if format != "about")
