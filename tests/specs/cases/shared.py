"""What the cases of several families share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

B, L = 3, 9


def ids(vocab: int, *shape: int, low: int = 5, seed: int = 1) -> Tensor:
    return torch.randint(low, vocab, shape or (B, L), generator=torch.Generator().manual_seed(seed))


def right_padding() -> Tensor:
    mask = torch.ones(B, L, dtype=torch.long)
    mask[1, 6:] = 0
    mask[2, 4:] = 0
    return mask


def left_padding() -> Tensor:
    return right_padding().flip(1)


def texts(vocab: int, **more: Tensor) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"input_ids": ids(vocab), **more}


def embeds() -> dict[str, Tensor]:
    return {"inputs_embeds": torch.randn(B, L, 32, generator=torch.Generator().manual_seed(4))}


def lm_labels(vocab: int) -> Callable[[], dict[str, Tensor]]:
    labels = ids(vocab, seed=7)
    labels[0, :3] = -100
    labels[2, 4:] = -100
    return lambda: {"labels": labels}


def classes(count: int, *shape: int) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"labels": ids(count, *(shape or (B,)), low=0, seed=3)}


def spans() -> dict[str, Tensor]:
    """Of an answer; the second begins at the first token, one end lies outside the text."""
    return {"start_positions": torch.tensor([1, 0, 40]), "end_positions": torch.tensor([3, 5, 2])}


def real_rows(inputs: dict[str, Tensor]) -> Tensor:
    return inputs["attention_mask"].bool()


#: States of an encoder's positions, for cross-attention over vectors of 32.
encoder = {"encoder_hidden_states": torch.randn(B, 5, 32, generator=torch.Generator().manual_seed(5)),
           "encoder_attention_mask": right_padding()[:, 2:7]}  # fmt: skip

#: What an encoder-decoder returns beside its logits.
SEQ2SEQ = ("decoder_hidden_states", "decoder_attentions", "cross_attentions", "encoder_last_hidden_state",
           "encoder_hidden_states", "encoder_attentions")  # fmt: skip


def target_padding() -> Tensor:
    """Of a target of 6, beside a source of `right_padding`; of other lengths."""
    mask = torch.ones(B, 6, dtype=torch.long)
    mask[0, 5:] = 0
    mask[2, 2:] = 0
    return mask


def target_labels(vocab: int) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"labels": ids(vocab, B, 6, seed=7).masked_fill(target_padding() == 0, -100)}
