"""The structure the house plan promises: arrows point one way, no family name in Python, imports stay lazy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import modelwright as mw

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("blocks", "assembler", "tokenizers", "tasks")
MAY_IMPORT = {
    "blocks": set(), "tokenizers": set(), "assembler": {"blocks", "tokenizers"}, "tasks": {"assembler", "tokenizers"},
}  # fmt: skip
FAMILIES = [
    "bert", "gpt", "gpt2", "transfo_xl", "transformer_xl", "xlnet", "xlm", "roberta", "distilbert", "bart", "t5",
    "ctrl", "reformer", "albert", "electra", "llama", "mistral", "mixtral", "qwen", "gemma", "opt", "modernbert",
    "deberta", "neox",
]  # fmt: skip


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module or "").split(".")]
            names = [target[0]] if target and target[0] else [alias.name for alias in node.names]
            found.update(names)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found.update(m.split(".")[1] for m in modules if m.startswith("modelwright."))
    return found & {*ROOMS, "cli", "training"}


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_one_way(room: str) -> None:
    wrong = {str(path): bad for path in files(room) if (bad := imported_rooms(path) - MAY_IMPORT[room] - {room})}
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_no_family_name_in_python(room: str) -> None:
    word = re.compile(rf"(?<![A-Za-z])({'|'.join(FAMILIES)})(?![a-z])", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files(room)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if word.search(line)
    ]
    assert not found


def run(code: str) -> subprocess.CompletedProcess[str]:
    bootstrap = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('modelwright', {str(ROOT / '__init__.py')!r}, "
        f"submodule_search_locations=[{str(ROOT)!r}])\n"
        "sys.modules['modelwright'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(sys.modules['modelwright'])\n"
    )
    return subprocess.run([sys.executable, "-P", "-c", bootstrap + code], capture_output=True, text=True, cwd=ROOT)


def test_import_is_lazy() -> None:
    heavy = "{'torch', 'numpy', 'pydantic', 'omegaconf', 'requests', 'transformers', 'yaml'}"
    result = run(f"print(sorted({heavy} & set(sys.modules)))")
    assert result.stdout == "[]\n", result.stdout + result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["validate", "specs/bert.yaml"], ["render", "gpt2"], ["diff", "bert", "gpt2"],
     ["inspect", "tests/golden/releases/gpt2/release"]],
    ids=lambda a: a[0],
)
def test_commands_that_need_no_torch_import_none(arguments: list[str]) -> None:
    code = (
        "from modelwright import cli\n"
        "import contextlib\n"
        f"with contextlib.suppress(SystemExit): cli.main({arguments})\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    result = run(code)
    assert result.stderr.endswith("False\n"), result.stderr


def test_building_imports_no_compiler() -> None:
    small = "vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4"
    code = f"import modelwright as mw; mw.build('bert', {small}); print('torch._dynamo' in sys.modules)"
    assert run(code).stdout == "False\n"


def test_every_public_name_is_there() -> None:
    assert {name for name in mw.__all__ if getattr(mw, name) is None} == set()
    assert set(mw.__all__) == {"__version__", *mw._HOME, *mw._MODULES} == set(dir(mw))
    with pytest.raises(AttributeError, match="no attribute `biuld`"):
        mw.biuld  # noqa: B018


def test_packaging_lists_every_package() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {"modelwright", "modelwright.specs"}
    for room in ROOMS:
        for path in (ROOT / room).rglob("__init__.py"):
            there.add(".".join(["modelwright", *path.parent.relative_to(ROOT).parts]))
    assert listed == there
