"""Prompts as text -> the model's inputs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...assembler.model import Model


def inputs_of(model: Model, tokenizer: Any, prompts: list[str]) -> dict[str, Tensor]:
    """What `generate` takes for these prompts, on the model's device.

    A text to be continued gets no special tokens, which would end it, and padding on its left; one that an encoder
    reads gets both as the tokenizer has them.
    """
    encoded = tokenizer(
        prompts, add_special_tokens=bool(model.encoder_names), padding=len(prompts) > 1, return_tensors="pt",
        padding_side=tokenizer.padding_side if model.encoder_names else "left", return_attention_mask=True,
    )  # fmt: skip
    known = {"input_ids", "attention_mask"}
    return {name: value.to(model.device) for name, value in encoded.items() if name in known}
