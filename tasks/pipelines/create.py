"""`pipeline(task, model=…)`: names to a model and a tokenizer, and these to what does the task."""

from __future__ import annotations

import importlib
import os
from typing import Any

import torch

from ...assembler.build import build, checked_device, checked_dtype
from ...assembler.language.spec import Spec
from ...assembler.model import Model
from ...assembler.tokenizer import load_tokenizer
from ...errors import UsageError
from ...tokenizers import Tokenizer
from .base import Pipeline, kind
from .catalogue import TASKS, find_task, task_of
from .heads import check_built, choose_head, choose_task


def pipeline(
    task: str | None = None,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    tokenizer: str | os.PathLike[str] | Tokenizer | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    spec: str | os.PathLike[str] | Spec | None = None,
    head: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    allow_untrained: bool = False,
    batch_size: int = 8,
    progress: bool | None = None,
    **options: Any,
) -> Pipeline:
    """What does a task with a model: call it with a text, a list of texts, or any iterable of them.

        classify = mw.pipeline("text-classification", model="my-classifier")
        classify(["Well made.", "Never again."])

    Args:
        task: its name (docs/pipelines.md); None: what the model's head is for.
        model: a pretrained name, hub id, folder or file, or a model that has been built.
        tokenizer: its name or folder, or a tokenizer; None: the model's own.
        device: where the model runs; the CPU, or where a built model already is, by default.
        dtype: of the parameters; the checkpoint's own by default.
        spec: whose checkpoint and tokenizer it is; found from them by default.
        head: that does the task, if not one of the usual names.
        cache_dir: instead of the Hugging Face cache.
        revision: branch, tag or commit on the hub.
        allow_untrained: go on with parameters that come from no checkpoint.
        batch_size: rows that run together.
        progress: whether to show a bar; on a terminal, for more than a batch, by default.
        options: of the task, for all calls; each call may give others.
    Raises:
        UsageError: the task is unknown, or the model is not for it. WeightsError: the checkpoint lacks the head.
        What `build` and `load_tokenizer` raise.
    """
    if model is None:
        raise UsageError("a pipeline needs a model", help='model="…": a name, a folder, or a built model')
    found = None if task is None else find_task(task)
    if isinstance(model, Model):
        if tokenizer is None:
            raise UsageError(
                "a built model does not know its tokenizer",
                help='pipeline(task, model=model, tokenizer="…"): a name, a folder, or a tokenizer',
            )
        found = found or find_task(_task_of_built(model))
        check_built(found, model, head, allow_untrained)
        if dtype is not None or device is not None:
            model = model.to(device=checked_device(device) if device is not None else None, dtype=checked_dtype(dtype))
    else:
        chosen = {"spec": spec, "cache_dir": cache_dir, "revision": revision}
        found = found or find_task(choose_task(model, chosen))
        head = head or choose_head(found, model, chosen)
        tokenizer = model if tokenizer is None else tokenizer
        model = build(weights=model, head=head, device=device, dtype=dtype, **chosen)
        check_built(found, model, head, allow_untrained)
    if not isinstance(tokenizer, Tokenizer):
        if not isinstance(tokenizer, str | os.PathLike):
            raise UsageError(f"tokenizer= is {kind(tokenizer)}, no name, folder or tokenizer of modelwright")
        tokenizer = load_tokenizer(tokenizer, spec=spec, cache_dir=cache_dir, revision=revision)
    module, name = found.home
    maker = getattr(importlib.import_module(f".{module}", __package__), name)
    return maker(found, model, tokenizer, batch_size=batch_size, progress=progress, **options)


def _task_of_built(model: Model) -> str:
    tasks = {task for run in model.runs if (task := task_of(run.name))} if model.runs else {task_of(None)}
    if len(tasks) == 1:
        return tasks.pop()
    raise UsageError("the model does not tell what it is for", help=f"name the task: {', '.join(TASKS)}")
