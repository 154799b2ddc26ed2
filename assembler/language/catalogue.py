"""What comes with modelwright: specs, their heads and formats, and the names of published checkpoints."""

from __future__ import annotations

from typing import Any

from .compose import compose
from .layers import list_specs
from .releases import places


def catalogue() -> list[dict[str, Any]]:
    """For each spec: `spec`, `title`, `paper`, `reference` (what its numbers are compared with), `extends`, `lines` (of
    its own file), `heads`, `formats`, and `pretrained` (name -> where it is)."""
    entries = []
    for name in list_specs():
        composition = compose(name)
        tree, layers = composition.tree, composition.layers
        own = layers[-1].document.tree
        about = tree.get("about") or {}
        pretrained = {key: _where(targets) for key, targets in (own.get("pretrained") or {}).items()}
        entries.append({
            "spec": name, "title": about.get("title", name), "paper": about.get("paper"),
            "reference": about.get("reference"), "extends": layers[-2].file.stem if len(layers) > 1 else None,
            "lines": len(layers[-1].file.read_text(encoding="utf-8").splitlines()),
            "heads": list(tree.get("heads") or {}), "formats": list(tree.get("weights") or {}),
            "pretrained": pretrained,
        })  # fmt: skip
    return entries


def family_reference() -> str:
    """All families with their heads, formats and what they are compared with, as Markdown."""
    lines = [
        "# Families", "",
        "What `specs/` builds. Generated from the specs (`modelwright list --reference`); do not edit.", "",
        "Parity: the body and every head give what the reference gives, outputs, hidden states, attentions, loss and",
        "gradients within 2e-5 in float32 (scaled by the size of values above one), and a checkpoint that modelwright",
        "saves is one that the reference loads. `tests/specs` holds the cases.", "",
        "| family | spec | heads | formats | parity with |", "|---|---|---|---|---|",
    ]  # fmt: skip
    names = ["", "## Names of published checkpoints", "", "| name | spec | where |", "|---|---|---|"]
    for entry in catalogue():
        heads = ", ".join(f"`{head}`" for head in entry["heads"]) or "body only"
        source = f"`{entry['spec']}`, {entry['lines']} lines, extends `{entry['extends']}`"
        reference = entry["reference"]
        reference = ", ".join(reference) if isinstance(reference, list) else reference or "nothing yet"
        lines.append(f"| {entry['title']} | {source} | {heads} | {', '.join(entry['formats'])} | {reference} |")
        names += [f"| `{name}` | `{entry['spec']}` | {where} |" for name, where in entry["pretrained"].items()]
    return "\n".join([*lines, *names]) + "\n"


def _where(targets: dict[str, Any]) -> str:
    return ", ".join(place.target for place in places("", targets))
