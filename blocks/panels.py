"""A weight in panels of a few outputs: the order in which products with few rows read it fastest on a processor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WIDTH = 16  # outputs of a panel: two vector registers of AVX2, one of AVX-512
ROWS = range(4, 33)  # of which products are faster so: fewer read the weight itself as fast, more repay repacking


class Panels:
    """A copy of a weight [out, in] as [panels, in, WIDTH].

    A product with few rows reads it from one end to the other, and nothing is repacked first as in a general product.
    Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", section 5.
    """

    def __init__(self, weight: Tensor) -> None:
        self.source = state_of(weight)
        self.outputs = weight.shape[0]
        padded = F.pad(weight.detach(), (0, 0, 0, -self.outputs % WIDTH))
        self.panels = padded.unflatten(0, (-1, WIDTH)).transpose(1, 2).contiguous()

    def current(self, weight: Tensor) -> bool:
        """Whether the weight is still the tensor that was copied, and was not written to."""
        return self.source == state_of(weight)

    def serve(self, hidden: Tensor, weight: Tensor) -> bool:
        """Whether a product [..., in] with the weight may and should be one with the panels. Compiled code cannot ask
        whether they are current."""
        if not only_values(hidden) or torch.compiler.is_exporting() or hidden.dtype != self.panels.dtype:
            return False
        rows = hidden.numel() // hidden.shape[-1]
        return 1 < rows < ROWS.stop and (torch.compiler.is_compiling() or self.current(weight))

    def multiply(self, hidden: Tensor, bias: Tensor | None) -> Tensor:
        """*Shape:* [..., in], [out] -> [..., out]."""
        rows = hidden.reshape(1, -1, hidden.shape[-1])
        product = torch.bmm(rows.expand(self.panels.shape[0], -1, -1), self.panels)
        product = product.transpose(0, 1).flatten(1)[:, : self.outputs]
        product = product if bias is None else product.add_(bias)
        return product.unflatten(0, hidden.shape[:-1])


def only_values(hidden: Tensor) -> bool:
    """Whether nothing but the values of a product counts: on the CPU, without gradients, in the types as they are, and
    nobody traces which operations make it."""
    more = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.jit.is_tracing()
    return hidden.is_cpu and not more


def state_of(weight: Tensor) -> tuple[int, int, torch.dtype]:
    """What changes when a tensor is replaced or written to."""
    version = 0 if weight.is_inference() else weight._version  # tensors of inference mode count no writes
    return weight.data_ptr(), version, weight.dtype
