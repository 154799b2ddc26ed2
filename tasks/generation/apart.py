"""Prompts of different lengths for models that cannot hide padding: those of one length at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UsageError
from .prompts import Prompts
from .result import GenerateOutput
from .settings import Settings
from .steps import ALONGSIDE


def apart(
    prompts: Prompts, settings: Settings, run: Callable[[Prompts, Settings], GenerateOutput]
) -> GenerateOutput:
    """What `run` makes of the prompts without their padding, put together again as if they had been a batch.

    Each may be written on by as many tokens as if it had been as long as the padded batch.
    """
    if settings.output_scores or settings.output_logits:
        raise UsageError(
            "scores of prompts of different lengths do not make one tensor: this model runs each length apart",
            help="one call for each prompt",
        )
    full, copies = prompts.ids.shape[1], settings.num_return_sequences
    skip = prompts.padding.tolist()
    texts: dict[int, Tensor] = {}
    scores: dict[int, Tensor] = {}
    for padding in sorted(set(skip)):
        rows = [row for row, own in enumerate(skip) if own == padding]
        result = run(_some(prompts, rows, padding), replace(
            settings, max_length=settings.max_length - padding, min_length=max(0, settings.min_length - padding)
        ))  # fmt: skip
        new = result.sequences[:, full - padding :].unflatten(0, (-1, copies))
        texts |= dict(zip(rows, new, strict=True))
        if result.sequences_scores is not None:
            scores |= dict(zip(rows, result.sequences_scores.view(-1, copies), strict=True))
    longest = max(text.shape[1] for text in texts.values())
    new = torch.cat([F.pad(texts[r], (0, longest - texts[r].shape[1]), value=settings.padding) for r in sorted(texts)])
    sequences = torch.cat([prompts.ids.repeat_interleave(copies, dim=0), new], dim=1)
    return GenerateOutput(sequences, torch.cat([scores[r] for r in sorted(scores)]) if scores else None)


def _some(prompts: Prompts, rows: list[int], padding: int) -> Prompts:
    inputs = dict(prompts.inputs)
    inputs.pop("attention_mask", None)
    for name in ALONGSIDE:
        if name in inputs:
            inputs[name] = inputs[name].expand(len(prompts.ids), -1)[rows, padding:]
    ids = prompts.ids[rows, padding:]
    return Prompts(ids, inputs, ids, None)
