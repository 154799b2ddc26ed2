"""Parity cases, a file for each family: a new one adds data here, no test code."""

from __future__ import annotations

import importlib
import pkgutil

from parity import Case

CASES: list[Case] = [
    case
    for module in pkgutil.iter_modules(__path__)
    if module.name != "shared"
    for case in importlib.import_module(f"{__name__}.{module.name}").CASES
]
