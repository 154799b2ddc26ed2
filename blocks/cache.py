"""Key/value cache: what attention has computed for earlier positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


class KeyValueCache:
    """Keys and values per layer, [B, heads, P, head size] each, in buffers that grow by doubling.

    A step writes into free space instead of concatenating. Under autograd the buffers are concatenated after all,
    since a later write in place would invalidate what the backward pass has saved.

    Indexes like the tuple of (key, value) pairs it stands for.
    """

    def __init__(self, layers: Sequence[Sequence[Tensor]] = ()) -> None:
        """`layers`: (key, value) each; or (key, value, key, value), the latter of an encoder's positions."""
        self._keys: list[Tensor] = [layer[0] for layer in layers]
        self._values: list[Tensor] = [layer[1] for layer in layers]
        self._lengths: list[int] = [key.shape[-2] for key in self._keys]
        self._cross = {index: (layer[2], layer[3]) for index, layer in enumerate(layers) if len(layer) == 4}

    @property
    def length(self) -> int:
        """P: cached positions."""
        return self._lengths[0] if self._lengths else 0

    def get_seq_length(self) -> int:
        """P, under the name other libraries use."""
        return self.length

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, layer: int) -> tuple[Tensor, Tensor]:
        length = self._lengths[layer]
        return self._keys[layer][..., :length, :], self._values[layer][..., :length, :]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[layer] for layer in range(len(self)))

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append [B, heads, L, head size] of the next positions; returns all, [B, heads, P + L, head size]."""
        if layer == len(self._keys):
            self._keys.append(key)
            self._values.append(value)
            self._lengths.append(key.shape[-2])
            return key, value
        self._keys[layer] = self._append(self._keys[layer], key, self._lengths[layer])
        self._values[layer] = self._append(self._values[layer], value, self._lengths[layer])
        self._lengths[layer] += key.shape[-2]
        return self[layer]

    @staticmethod
    def _append(buffer: Tensor, new: Tensor, length: int) -> Tensor:
        if torch.is_grad_enabled() and (new.requires_grad or buffer.requires_grad):
            return torch.cat([buffer[..., :length, :], new], dim=-2)
        end = length + new.shape[-2]
        if end > buffer.shape[-2]:
            grown = buffer.new_empty(*buffer.shape[:-2], max(64, 2 * end), buffer.shape[-1])
            grown[..., :length, :] = buffer[..., :length, :]
            buffer = grown
        buffer[..., length:end, :] = new
        return buffer

    @property
    def tensors(self) -> tuple[list[tuple[Tensor, Tensor]], dict[int, tuple[Tensor, Tensor]]]:
        """The pairs by layer, and those of the encoder's positions."""
        return list(self), self._cross

    @classmethod
    def of(cls, pairs: Sequence[tuple[Tensor, Tensor]], cross: Mapping[int, tuple[Tensor, Tensor]]) -> KeyValueCache:
        """The inverse of `tensors`."""
        cache = cls(pairs)
        cache._cross = dict(cross)
        return cache

    def cross(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """Keys and values of the encoder's positions, if this layer has computed them already."""
        return self._cross.get(layer)

    def keep_cross(self, layer: int, key: Tensor, value: Tensor) -> None:
        self._cross[layer] = key, value


# torch.export looks inside inputs and outputs through this registration.
pytree.register_pytree_node(
    KeyValueCache,
    lambda cache: (list(cache.tensors), None),
    lambda values, _: KeyValueCache.of(*values),
    serialized_type_name="modelwright.KeyValueCache",
)
