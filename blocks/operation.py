"""Functions of ours as operations of torch's, which compiled code and transforms take as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.library import Library
from torch.nn import functional as F

_LIBRARY = Library("modelwright", "DEF")


def operation(
    name: str, signature: str, run: Callable[..., Tensor], shape: Callable[..., Tensor], like: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """A function that computes values on the CPU, without gradients. `shape` makes an empty result for compilers, and
    `like` is torch's function, for `vmap`.

    It is registered without the safeguards of `torch.library.custom_op`, which cost 60 microseconds a call. Compiled
    code hands it tensors that lie in memory as they do in eager code.
    """
    _LIBRARY.define(f"{name}({signature}) -> Tensor", tags=torch.Tag.needs_exact_strides)
    _LIBRARY.impl(name, run, "CPU")
    _LIBRARY.impl(name, like, "FuncTorchBatched")
    torch.library.register_fake(f"modelwright::{name}", shape, lib=_LIBRARY)
    return getattr(torch.ops.modelwright, name).default


def product_operation(name: str, product: Callable[[Tensor, Tensor, Tensor | None], Tensor]) -> Callable[..., Tensor]:
    """hidden · weightᵀ + bias. *Shape:* [..., in], [out, in], [out] -> [..., out]."""
    return operation(name, "Tensor hidden, Tensor weight, Tensor? bias", product, _product_shape, F.linear)


def _product_shape(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return hidden.new_empty(*hidden.shape[:-1], weight.shape[0])


def only_values(*tensors: Tensor) -> bool:
    """Whether nothing but the values of a result counts: on the CPU, without gradients, of plain tensors in the types
    as they are, and nobody asks which operations make it."""
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.jit.is_tracing():
        return False
    for tensor in tensors:
        if type(tensor) not in (Tensor, nn.Parameter) or not tensor.is_cpu:
            return False
    return not torch.compiler.is_exporting()
