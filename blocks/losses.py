"""Losses, and whether labels fit the scores that they are for.

Shapes and types are always looked at. Values are not where that would wait for a device or end up in compiled code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .registry import BlockError

#: A label that does not count.
IGNORED = -100


def fitting(labels: Tensor, shape: Sequence[int], name: str, each: str, help: str | None = None) -> Tensor:
    """Labels in a shape [..., n]. `name`: what the caller calls them; `each`: what there is to be one for.

    Leading dimensions may be others that come to the same, as [batch, choices] for rows. BlockError.
    """
    if labels.shape == torch.Size(shape):
        return labels
    if labels.numel() != math.prod(shape) or (len(shape) > 1 and labels.shape[-1] != shape[-1]):
        raise BlockError(
            f"{name} of shape {tuple(labels.shape)} does not fit: it must be {tuple(shape)}, one for each {each}",
            name, help=help,
        )  # fmt: skip
    return labels.reshape(shape)


def classes(labels: Tensor, shape: Sequence[int], name: str, each: str) -> Tensor:
    """The same of labels that are whole numbers, as int64."""
    if labels.is_floating_point() or labels.is_complex():
        raise BlockError(f"{name} must be whole numbers, not {labels.dtype}", name, help=f"{name}.long()")
    return fitting(labels, shape, name, each).long()


def truths(labels: Tensor, scores: Tensor, name: str, each: str, help: str | None = None) -> Tensor:
    """The same of labels that are 1 for yes, 0 for no, or numbers between, in the type and shape of the scores."""
    labels = fitting(labels, scores.shape, name, each, help)
    if labels.is_cpu and not torch.compiler.is_compiling():
        wrong = labels[(labels < 0) | (labels > 1)]
        if wrong.numel():
            raise BlockError(f"{name} has {wrong[0].item()}, but each must be 1, for yes, or 0, for no", name)
    return labels.to(scores.dtype)


def cross_entropy(scores: Tensor, labels: Tensor, name: str, *, shift: bool = False) -> Tensor:
    """Mean cross entropy of scores [..., C] and classes [...], where these are not IGNORED; `shift`: position i scores
    label i + 1. BlockError."""
    targets = classes(labels, scores.shape[:-1], name, "token" if scores.dim() > 2 else "text")
    if shift:
        scores, targets = scores[:, :-1], targets[:, 1:]
    try:
        return F.cross_entropy(scores.flatten(0, -2), targets.flatten(), ignore_index=IGNORED)
    except IndexError:
        within(targets, scores.shape[-1], name)
        raise


def within(labels: Tensor, count: int, name: str) -> None:
    """BlockError for a label that counts and is no class of so many. Waits for the device."""
    wrong = labels[((labels < 0) | (labels >= count)) & (labels != IGNORED)]
    if wrong.numel():
        raise BlockError(
            f"{name} has {wrong[0].item()}, but the head's classes are 0 to {count - 1}", name,
            help=f"{IGNORED} is for what does not count",
        ) from None  # fmt: skip
