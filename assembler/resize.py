"""Another number of words for a model that has been built."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .assemble import assemble
from .language.validate import checked_hparams
from .model import Model
from .weights.load import initialise


def resize_vocabulary(model: Model, size: int) -> None:
    """Give the model's tables, heads and biases `size` words: the first ones are kept, more start untrained.

    The model is assembled anew with that size, and whatever has grown or shrunk by it is copied as far as it goes; all
    other parameters stay the objects they are. SpecError if the blocks do not go with the size.
    """
    hparams = model.config.to_dict()
    if "vocab_size" not in hparams:
        raise UsageError(f"{model.spec.name} has no `vocab_size`")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"a vocabulary has a whole number of words, 1 or more, not {size!r}")
    spec = model.spec.with_overrides({**hparams, "vocab_size": size})
    skeleton = assemble(spec, checked_hparams(spec), [run.name for run in model.runs] or None)
    before = dict(model.named_parameters(remove_duplicate=False))
    resized: dict[str, Tensor] = {}
    for name, parameter in list(skeleton.model.named_parameters(remove_duplicate=False)):
        owner, _, leaf = name.rpartition(".")
        if parameter.shape == before[name].shape:
            skeleton.model.get_submodule(owner)._parameters[leaf] = before[name]
        else:
            resized[name] = before[name]
    initialise(skeleton, device=model.device, dtype=model.dtype)
    with torch.no_grad():
        for name, old in resized.items():
            new = skeleton.model.get_parameter(name)
            common = tuple(slice(0, min(a, b)) for a, b in zip(old.shape, new.shape, strict=True))
            new[common] = old[common].to(new.dtype)
    _take_over(model, skeleton.model)
    model.config.vocab_size = size


def _take_over(model: Model, other: Model) -> None:
    """Make the parts and heads of `other` those of `model`."""
    training = model.training
    for name, module in list(other.named_children()):
        setattr(model, name, module)
    nn.Module.train(model, training)
