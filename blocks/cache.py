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

    def __init__(self, layers: Sequence[Sequence[Tensor]] = (), *, capacity: int = 0) -> None:
        """`layers`: (key, value) each; or (key, value, key, value), the latter of an encoder's positions. `capacity`:
        positions that there shall be room for at once."""
        self._keys: list[Tensor] = [layer[0] for layer in layers]
        self._values: list[Tensor] = [layer[1] for layer in layers]
        self._lengths: list[int] = [key.shape[-2] for key in self._keys]
        self._cross = {index: (layer[2], layer[3]) for index, layer in enumerate(layers) if len(layer) == 4}
        self._capacity = capacity

    @property
    def length(self) -> int | Tensor:
        """P: cached positions."""
        return self._lengths[0] if self._lengths else 0

    def get_seq_length(self) -> int | Tensor:
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
            self._keys.append(self._begin(key))
            self._values.append(self._begin(value))
            self._lengths.append(key.shape[-2])
            return key, value
        self._keys[layer] = self._append(self._keys[layer], key, self._lengths[layer])
        self._values[layer] = self._append(self._values[layer], value, self._lengths[layer])
        self._lengths[layer] += key.shape[-2]
        return self[layer]

    def _begin(self, new: Tensor) -> Tensor:
        return new if self._capacity <= new.shape[-2] else _roomier(new, new.shape[-2], self._capacity)

    @staticmethod
    def _append(buffer: Tensor, new: Tensor, length: int) -> Tensor:
        if torch.is_grad_enabled() and (new.requires_grad or buffer.requires_grad):
            return torch.cat([buffer[..., :length, :], new], dim=-2)
        end = length + new.shape[-2]
        if end > buffer.shape[-2]:
            buffer = _roomier(buffer, length, max(64, 2 * end))
        buffer[..., length:end, :] = new
        return buffer

    def repeat(self, times: int) -> None:
        """Let every row be there `times` times in a row. What is known of an encoder stays one row a source."""
        for buffers in (self._keys, self._values):
            for layer, buffer in enumerate(buffers):
                length = self._lengths[layer]
                rows = buffer[..., :length, :].repeat_interleave(times, dim=0)
                buffers[layer] = _roomier(rows, length, buffer.shape[-2])

    def reorder(self, rows: Tensor, start: int = 0) -> None:
        """Let row b be what row `rows[b]` was, in place. In positions before `start` they are known to be the same.

        Rows of one source stay among themselves, so what is known of an encoder stays as it is.
        """
        end = self._lengths[0] if self._lengths else 0
        for buffer in (*self._keys, *self._values) if start < end else ():
            part = buffer[..., start:end, :]
            part.copy_(part.index_select(0, rows))

    def fixed(self) -> FixedCache:
        """The same buffers for compiled code, which writes into them as far as they reach."""
        return FixedCache(self)

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


class FixedCache(KeyValueCache):
    """The same buffers, seen by compiled code: their shapes never change, and where the next position is written
    stands in a tensor. Attention gets all places and hides those that are not filled yet.

    Whoever steps calls `advance` after each pass, and sees to it that there is room.
    """

    def __init__(self, cache: KeyValueCache) -> None:
        super().__init__()
        self._keys, self._values, self._lengths = cache._keys, cache._values, cache._lengths
        self._cross = cache._cross
        self.position = torch.tensor(cache.length, device=self._keys[0].device)

    @property
    def length(self) -> Tensor:
        return self.position

    @property
    def capacity(self) -> int:
        """Places for positions."""
        return self._keys[0].shape[-2]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write [B, heads, L, head size]; returns the whole buffers, [B, heads, capacity, head size]."""
        places = torch.arange(key.shape[-2], device=key.device) + self.position
        self._keys[layer].index_copy_(2, places, key)
        self._values[layer].index_copy_(2, places, value)
        return self._keys[layer], self._values[layer]

    def advance(self, count: int = 1) -> None:
        """What was written in the last pass counts from now on."""
        self.position += count
        self._lengths[:] = [length + count for length in self._lengths]


def _roomier(tensor: Tensor, length: int, capacity: int) -> Tensor:
    """A buffer of that many positions, the first `length` of them filled. Never read before it is written: zeros, so
    that what is hidden is a number."""
    buffer = tensor.new_zeros(*tensor.shape[:-2], capacity, tensor.shape[-1])
    buffer[..., :length, :] = tensor[..., :length, :]
    return buffer


# torch.export looks inside inputs and outputs through this registration.
pytree.register_pytree_node(
    KeyValueCache,
    lambda cache: (list(cache.tensors), None),
    lambda values, _: KeyValueCache.of(*values),
    serialized_type_name="modelwright.KeyValueCache",
)
