"""The model as a function from what is written to scores of the next word, and what it carries from step to step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...assembler.model import Model
from ...assembler.output import ModelOutput

#: Inputs that have a number for each token of the prompt, and by how much it grows with each token written.
ALONGSIDE = {"token_type_ids": 0, "langs": 0, "position_ids": 1, "decoder_position_ids": 1}


class Steps:
    """Runs the whole text in each step. The base of those that carry something and run what is new."""

    def __init__(self, model: Model, inputs: Mapping[str, Any], *, states: bool = False) -> None:
        """`inputs`: those of the model beside the text, by the names it has for them. `states`: whether the newest
        hidden states are asked for, too."""
        self.model = model
        self.inputs = dict(inputs)
        self.beside = "decoder_" if model.encoder_names else ""
        self.mask: Tensor | None = self.inputs.pop(self.beside + "attention_mask", None)
        self.states = states
        self.times = 1  # rows there are for each prompt
        self.hidden: Tensor | None = None  # [R, new positions, D], if asked for
        self.append = model.generation.append
        self.first = model.first_position
        counted = model.generation.padding == "positions" and self.beside + "position_ids" not in self.inputs
        self.counts = counted and (self.mask is not None or self.first > 0)

    def __call__(self, ids: Tensor) -> Tensor:
        """Logits [R, V] of the word after each row of `ids` [R, L]."""
        extra = 0 if self.append is None else 1
        text = ids if self.append is None else F.pad(ids, (0, 1), value=self.append.token)
        inputs = self.along(ids, text.shape[1], text.shape[1]) | self.named("input_ids", text)
        if self.mask is not None:
            inputs |= self.named("attention_mask", self.visible(ids.shape[1] + extra))
        if extra and self.append.queried:
            rows, length = text.shape
            hides = torch.zeros(1, length, length, device=ids.device)
            hides[:, :, -1] = 1
            target = torch.zeros(1, 1, length, device=ids.device)
            target[:, :, -1] = 1
            inputs |= {"perm_mask": hides.expand(rows, -1, -1), "target_mapping": target.expand(rows, -1, -1)}
        return self.scores(self.run(inputs))

    def named(self, name: str, value: Any) -> dict[str, Any]:
        return {self.beside + name: value}

    def along(self, ids: Tensor, length: int, new: int) -> dict[str, Any]:
        """The other inputs, for the newest of `length` positions. `ids` [R, L]: what is written."""
        inputs = dict(self.inputs)
        for name, growth in ALONGSIDE.items():
            given = inputs.get(name)
            if given is not None:
                given = given.repeat_interleave(ids.shape[0] // given.shape[0], dim=0)
                ahead = torch.arange(1, 1 + max(0, length - given.shape[1]), device=given.device)
                inputs[name] = torch.cat([given, given[:, -1:] + growth * ahead], dim=1)[:, length - new : length]
        for name, value in self.model.generation.fill.items():
            if name not in inputs:
                inputs[name] = ids.new_full((ids.shape[0], new), value)
        if self.counts:
            inputs |= self.named("position_ids", self.places(ids, length)[:, -new:])
        return inputs

    def places(self, ids: Tensor, length: int) -> Tensor:
        """The positions of all tokens so far, [R, length]; padding does not count."""
        if self.mask is None:
            return self.first + torch.arange(length, device=ids.device).expand(ids.shape[0], -1)
        return self.first + (self.visible(length).cumsum(dim=-1) - 1).clamp(min=0)

    def visible(self, length: int) -> Tensor:
        """The mask [R, length]: the prompt's, and everything written."""
        mask = self.mask.repeat_interleave(self.times, dim=0)
        return F.pad(mask, (0, length - mask.shape[1]), value=1)

    def run(self, inputs: Mapping[str, Any]) -> ModelOutput:
        return self.model(**inputs, logits_to_keep=1, output_hidden_states=self.states)

    def scores(self, output: ModelOutput) -> Tensor:
        if self.states:
            states = output.decoder_hidden_states if self.beside else output.hidden_states
            self.hidden = states[-1]
        return output.logits[:, -1].float()

    def repeat(self, times: int) -> None:
        """From now on each prompt has as many rows, in a row."""
        self.times *= times

    def reorder(self, rows: Tensor, texts: Tensor) -> None:
        """Row r goes on from what row `rows[r]` was. `texts` [R, L] is what has been run so far."""


class CachedSteps(Steps):
    """Carries keys and values, in buffers with room for `capacity` positions."""

    def __init__(self, model: Model, inputs: Mapping[str, Any], *, capacity: int, states: bool = False) -> None:
        super().__init__(model, inputs, states=states)
        self.cache = model.new_cache(capacity)
        self.vectors = self.inputs.pop("inputs_embeds", None)  # a prompt of vectors, before all ids
        self.ahead = 0 if self.vectors is None else self.vectors.shape[1]

    def __call__(self, ids: Tensor) -> Tensor:
        return self.scores(self.run(self.step(ids)))

    def step(self, ids: Tensor) -> dict[str, Any]:
        """The model's inputs for what it has not seen yet."""
        past = self.cache.get_seq_length()
        length = self.ahead + ids.shape[1]
        new = length - past
        inputs = self.along(ids, length, new) | {"past_key_values": self.cache}
        if past == 0 and self.ahead:
            inputs["inputs_embeds"] = self.vectors
        else:
            inputs |= self.named("input_ids", ids[:, -new:])
        if self.mask is not None:
            inputs |= self.named("attention_mask", self.shown(self.visible(length)))
        return inputs

    def shown(self, visible: Tensor) -> Tensor:
        """The mask of all positions so far, as the model gets it."""
        return visible

    def repeat(self, times: int) -> None:
        super().repeat(times)
        self.cache.repeat(times)

    def reorder(self, rows: Tensor, texts: Tensor) -> None:
        self.cache.reorder(rows, self.ahead + first_difference(texts, rows))


class MemorySteps(Steps):
    """Carries `mems`. With one, a text step by step is not what it is as a whole: zeros are attended to before it."""

    def __init__(self, model: Model, inputs: Mapping[str, Any], *, states: bool = False) -> None:
        super().__init__(model, inputs, states=states)
        self.mems: tuple[Tensor, ...] | None = self.inputs.pop("mems", None)
        self.seen = 0

    def __call__(self, ids: Tensor) -> Tensor:
        new = ids[:, self.seen :] if self.mems is not None else ids
        output = self.run(self.along(ids, ids.shape[1], new.shape[1]) | {"input_ids": new, "mems": self.mems})
        self.mems = output.mems
        self.seen = ids.shape[1]
        return self.scores(output)

    def repeat(self, times: int) -> None:
        super().repeat(times)
        if self.mems is not None:
            self.mems = tuple(memory.repeat_interleave(times, dim=1) for memory in self.mems)

    def reorder(self, rows: Tensor, texts: Tensor) -> None:
        if self.mems is not None:
            self.mems = tuple(memory.index_select(1, rows) for memory in self.mems)


def steps_of(
    model: Model, inputs: Mapping[str, Any], *, capacity: int, use_cache: bool, states: bool
) -> Steps:
    """What the model's spec says it carries; without `use_cache` never keys and values."""
    state = model.generation.state
    if state == "cache" and use_cache:
        return CachedSteps(model, inputs, capacity=capacity, states=states)
    return (MemorySteps if state == "memory" else Steps)(model, inputs, states=states)


def first_difference(texts: Tensor, rows: Tensor) -> int:
    """The first column in which some row of [R, L] is not what row `rows[r]` has there; L if there is none.

    0 where the answer would have to come from another device, which would be waited for.
    """
    if texts.device.type != "cpu":
        return 0
    differs = (texts[rows] != texts).any(dim=0)
    return int(differs.int().argmax()) if differs.any() else texts.shape[1]
