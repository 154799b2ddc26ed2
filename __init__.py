"""modelwright: transformer models from YAML, with the authors' original weights poured in.

    import modelwright as mw

    model = mw.build("bert", weights="bert-base-uncased", head="masked_lm")
    tokenizer = mw.load_tokenizer("bert-base-uncased")
    output = model(**tokenizer("Paris is the [MASK] of France.", return_tensors="pt"))

Nothing is imported before it is used: `import modelwright` costs milliseconds, torch comes with the first model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "arrange": ".assembler.layout",
    "build": ".assembler.build",
    "convert": ".assembler.convert",
    "Model": ".assembler.model",
    "ModelOutput": ".assembler.output",
    "Spec": ".assembler.language.spec",
    "load_spec": ".assembler.language.spec",
    "list_specs": ".assembler.language.spec",
    "load_tokenizer": ".assembler.tokenizer",
    "generate": ".tasks.generation",
    "stream": ".tasks.generation",
    "top_k_top_p_filtering": ".tasks.generation",
    "pipeline": ".tasks.pipelines.create",
    "ModelwrightError": ".errors",
    "SpecError": ".errors",
    "UsageError": ".errors",
    "DownloadError": ".errors",
    "WeightsError": ".errors",
    "TokenizerError": ".errors",
}
_MODULES = ("blocks", "assembler", "tokenizers", "tasks", "errors")

__all__ = [
    "DownloadError", "Model", "ModelOutput", "ModelwrightError", "Spec", "SpecError", "TokenizerError", "UsageError",
    "WeightsError", "__version__", "arrange", "assembler", "blocks", "build", "convert", "errors", "generate",
    "list_specs", "load_spec", "load_tokenizer", "pipeline", "stream", "tasks", "tokenizers", "top_k_top_p_filtering",
]  # fmt: skip

if TYPE_CHECKING:
    from . import assembler, blocks, errors, tasks, tokenizers
    from .assembler.build import build
    from .assembler.convert import convert
    from .assembler.language.spec import Spec, list_specs, load_spec
    from .assembler.layout import arrange
    from .assembler.model import Model
    from .assembler.output import ModelOutput
    from .assembler.tokenizer import load_tokenizer
    from .errors import DownloadError, ModelwrightError, SpecError, TokenizerError, UsageError, WeightsError
    from .tasks.generation import generate, stream, top_k_top_p_filtering
    from .tasks.pipelines.create import pipeline


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module `modelwright` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted(__all__)
