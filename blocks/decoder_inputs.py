"""What a decoder starts from."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .base import Context, Part
from .losses import IGNORED
from .registry import BlockError, Count, register


@register("shift_right")
class ShiftRight(Part):
    """The decoder's ids, where the caller gives none: the labels, each a position later, behind a start token.

    Labels of -100 become padding.

    Args:
        start_id: token before the first.
        padding_id: token that fills up short rows.
        from_input: whether without labels the encoder's own text is taken in their place.
    """

    output: ClassVar = None
    provides: ClassVar = frozenset()
    reads: ClassVar = frozenset({"input_ids", "inputs_embeds"})

    def __init__(self, *, start_id: Count, padding_id: Count, from_input: bool = False) -> None:
        super().__init__()
        self.start_id = start_id
        self.padding_id = padding_id
        self.from_input = from_input

    def forward(self, hidden: Tensor | None, context: Context) -> None:
        if context.input_ids is not None or context.inputs_embeds is not None:
            return
        text, name = context.target_ids, context.called("target_ids")
        if text is None and self.from_input:
            text, name = context.encoder_input_ids, "input_ids"
        if text is None:
            raise BlockError(
                "the decoder has no input", "input_ids",
                help="give decoder_input_ids (or decoder_inputs_embeds), or labels",
            )  # fmt: skip
        states = context.encoder_hidden_states
        if text.dim() != 2 or (states is not None and text.shape[0] != states.shape[0]):
            texts = "texts" if states is None else states.shape[0]
            raise BlockError(f"{name} of shape {tuple(text.shape)} does not fit: it must be [{texts}, length]", name)
        context.names = {**context.names, "input_ids": name}
        start = torch.full_like(text[:, :1], self.start_id)
        shifted = torch.cat([start, text[:, :-1]], dim=1)
        context.input_ids = shifted.masked_fill(shifted == IGNORED, self.padding_id)
