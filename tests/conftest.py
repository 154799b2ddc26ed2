"""Shared fixtures. The repository root is the package `modelwright`, so it must never stand on sys.path itself:
its folder `tokenizers/` would hide the wheel of that name."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or os.curdir).resolve() != ROOT]
if importlib.util.find_spec("modelwright") is None:  # not installed: use this checkout
    spec = importlib.util.spec_from_file_location(
        "modelwright", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["modelwright"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["modelwright"])

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches for the network


@pytest.fixture(scope="session")
def originals() -> Path:
    """Tiny releases in the authors' own formats, with expected outputs; they do not travel with the package."""
    folder = Path(os.environ.get("MODELWRIGHT_TEST_ORIGINALS", ROOT.parent / "shared" / "fixtures" / "original"))
    if not folder.is_dir():
        pytest.skip("the releases are not here (set MODELWRIGHT_TEST_ORIGINALS to their folder)")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real vocabularies and texts; they do not travel with the package."""
    folder = Path(os.environ.get("MODELWRIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real test data is not here (set MODELWRIGHT_TEST_DATA to its folder)")
    return folder
