"""What docs/families.md says: the body and every head of every spec are compared with a reference."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cases import CASES
from test_golden import FOLDERS, spec_of

import modelwright as mw
from modelwright import cli
from modelwright.assembler.language.catalogue import catalogue


def compared(spec: str) -> set[str | None]:
    """The heads that some case runs, None for the body."""
    alike = {spec, *(base for base in mw.list_specs() if _same_network(spec, base))}
    heads = {case.head for case in CASES if case.spec in alike}
    for folder in FOLDERS:
        if spec_of(folder) in alike:
            heads |= {call["head"] for call in json.loads((folder / "case.json").read_text())["calls"]}
    combined = mw.load_spec(spec).sections["heads"]
    return heads | {part for head in heads if head for part in combined[head].get("combine", ())}


def _same_network(spec: str, other: str) -> bool:
    """Whether two specs differ only in what files they read."""
    one, another = (mw.load_spec(name).composition.tree for name in (spec, other))
    return all(one.get(part) == another.get(part) for part in ("hparams", "model", "heads"))


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry["spec"])
def test_body_and_every_head_are_compared(entry: dict) -> None:
    assert entry["reference"], "about.reference must say with what"
    assert {None, *entry["heads"]} <= compared(entry["spec"])


@pytest.mark.parametrize("spec", mw.list_specs())
def test_loss_and_gradients_are_compared(spec: str) -> None:
    alike = {spec, *(base for base in mw.list_specs() if _same_network(spec, base))}
    golden = (json.loads((folder / "case.json").read_text()) for folder in FOLDERS if spec_of(folder) in alike)
    trained = [call for case in golden for call in case["calls"] if call["train"]]
    has_heads = bool(mw.load_spec(spec).sections["heads"])
    assert trained or not has_heads or any(case.spec in alike and case.labels for case in CASES)


def blocks_of(node: object) -> set[str]:
    """The blocks that a node of a spec, or anything below it, names."""
    if isinstance(node, list):
        return set().union(*map(blocks_of, node))
    if not isinstance(node, dict):
        return set()
    own = {node["block"]} if isinstance(node.get("block"), str) else set()
    return own.union(*map(blocks_of, node.values()))


def test_blocks_of_one_family_are_listed() -> None:
    """A spec that extends another family's and changes only parts of it is not another family."""
    families: dict[str, set[str]] = {}
    for spec in mw.list_specs():
        tree = mw.load_spec(spec).composition.tree
        for block in blocks_of([tree["model"], tree.get("heads")]):
            families.setdefault(block, set()).add(spec.removesuffix("_encoder").removesuffix("_generator"))
    text = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Blocks of one family")[2].partition("\n## ")[0]
    listed = {
        block: family
        for blocks, family in re.findall(r"^\| (`.*?) \| `(\w+)` \|", table, re.MULTILINE)
        for block in re.findall(r"`(\w+)`", blocks)
    }
    assert listed == {block: next(iter(names)) for block, names in families.items() if len(names) == 1}


@pytest.mark.parametrize("spec", mw.list_specs())
def test_the_command_line_takes_it(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In its published size, of which nothing is allocated."""
    assert cli.main(["validate", spec]) == cli.main(["diff", "bert", spec]) == cli.main(["describe", spec]) == 0
    assert re.search(rf"^{spec}: [\d,]+ parameters, .* in float32\none pass .* GFLOP$", capsys.readouterr().out, re.M)
