"""What the caller gives to start from, checked, and what the model gets of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...assembler.model import Model
from ...assembler.output import ModelOutput
from ...errors import Diagnostic, UsageError
from .settings import Settings
from .steps import ALONGSIDE

DEFAULT_NEW_TOKENS = 20
#: Inputs that depend on how long the text is, and change while it is written.
_OWN = ("past_key_values", "perm_mask", "target_mapping", "lengths")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Where the texts start. B prompts of L tokens."""

    ids: Tensor  # [B, L], the start of what is returned
    inputs: dict[str, Any]  # of the model, beside the text
    source: Tensor | None  # [B, S], the encoder's text; the prompt where there is no encoder
    mask: Tensor | None  # [B, L] of the prompt; None: all of it counts

    @property
    def padding(self) -> Tensor | None:
        """Tokens before each prompt that do not count, [B]."""
        return None if self.mask is None else (self.mask != 0).int().argmax(dim=1)


def prompts_of(model: Model, ids: Tensor | None, given: Mapping[str, Any], settings: Settings) -> Prompts:
    """Checks ids and masks. UsageError."""
    inputs = {name: value for name, value in given.items() if value is not None}
    own = [name for name in _OWN if name in inputs]
    if own:
        raise UsageError(f"generate says {' and '.join(own)} itself, anew in each step", help="leave it out")
    mems = inputs.get("mems", ())
    if not isinstance(mems, tuple | list) or not all(isinstance(memory, Tensor) for memory in mems):
        raise UsageError(f"mems must be a tensor for each layer, not {_kind(mems)}")
    if model.encoder_names:
        return _of_encoder(model, ids, inputs, settings)
    vectors = inputs.get("inputs_embeds")
    if ids is None and vectors is not None:
        if model.generation.state != "cache":
            raise UsageError(f"{model.spec.name} generates from input_ids only")
        _check_vectors(model, vectors)
        mask = inputs.get("attention_mask")
        if mask is not None:
            _check_mask(mask, vectors.shape[:2], "attention_mask", "the vectors")
            _check_left(mask)
        _check_alongside(inputs, vectors)
        ids = torch.zeros(vectors.shape[0], 0, dtype=torch.long, device=vectors.device)
        return Prompts(ids, inputs, None, None)
    inputs.pop("inputs_embeds", None)
    if ids is None:
        if settings.bos_token_id is None:
            raise UsageError("no prompt, and no bos_token_id to start from", help="give input_ids [batch, length]")
        ids = torch.tensor([[settings.bos_token_id]], device=model.device)
    _check_ids(model, ids, "input_ids")
    mask = _mask(ids, inputs.pop("attention_mask", None), settings)
    if mask is not None:
        _check_left(mask)
        inputs["attention_mask"] = mask
    _check_alongside(inputs, ids)
    return Prompts(ids, inputs, ids, mask)


def _of_encoder(model: Model, ids: Tensor | None, inputs: dict[str, Any], settings: Settings) -> Prompts:
    decoder_ids = inputs.pop("decoder_input_ids", None)
    encoded = inputs.pop("encoder_outputs", None)
    own = {n: inputs.pop(n) for n in list(inputs) if not n.startswith("decoder_") and n != "attention_mask"}
    mask = inputs.pop("attention_mask", None)
    if ids is not None:
        _check_ids(model, ids, "input_ids")
        mask = _mask(ids, mask, settings)
    elif own.get("inputs_embeds") is not None:
        _check_vectors(model, own["inputs_embeds"])
        if mask is not None:
            _check_mask(mask, own["inputs_embeds"].shape[:2], "attention_mask", "the vectors")
    elif encoded is None:
        raise UsageError(f"{model.spec.name} writes about a source: give input_ids [batch, length]")
    if mask is not None:
        inputs["attention_mask"] = mask
    if encoded is None:
        _check_alongside(own, own["inputs_embeds"] if ids is None else ids)
        encoded = model.encode(ids, attention_mask=mask, **own)
    inputs["encoder_outputs"] = encoded
    states = getattr(encoded, "encoder_last_hidden_state", None)
    if states is None and isinstance(encoded, ModelOutput | Mapping | tuple | list):
        states = encoded[0]
    if not isinstance(states, Tensor) or states.dim() != 3 or (ids is not None and len(states) != len(ids)):
        raise UsageError("encoder_outputs must be what model.encode(input_ids) gives: states [batch, length, size]")
    start = _start(settings, states.shape[0], states.device, model)
    decoder_mask = inputs.get("decoder_attention_mask")
    if decoder_mask is not None:
        shape = (len(start), 1) if decoder_ids is None else tuple(decoder_ids.shape)
        _check_mask(decoder_mask, shape, "decoder_attention_mask", "what the decoder starts from")
    if decoder_ids is None:
        decoder_ids = start
    else:
        _check_ids(model, decoder_ids, "decoder_input_ids")
        if len(decoder_ids) != len(start):
            raise UsageError(f"decoder_input_ids has {len(decoder_ids)} rows for {len(start)} sources")
        if bool((decoder_ids[:, :1] != start).all()):
            decoder_ids = torch.cat([start, decoder_ids], dim=1)
            if decoder_mask is not None:
                inputs["decoder_attention_mask"] = torch.nn.functional.pad(decoder_mask, (1, 0), value=1)
    _check_alongside(inputs, decoder_ids)
    return Prompts(decoder_ids, inputs, ids, inputs.get("decoder_attention_mask"))


def _start(settings: Settings, rows: int, device: torch.device, model: Model) -> Tensor:
    """The decoder's first token, [B, 1]."""
    start = settings.decoder_start_token_id
    start = settings.bos_token_id if start is None else start
    if start is None:
        raise UsageError("no decoder_start_token_id and no bos_token_id says what the text starts with")
    ids = torch.tensor(start, device=device).reshape(-1, 1)
    if ids.shape[0] not in (1, rows):
        raise UsageError(f"decoder_start_token_id lists {ids.shape[0]} tokens for {rows} prompts")
    _check_ids(model, ids, "decoder_start_token_id")
    return ids.expand(rows, 1)


def _check_ids(model: Model, ids: Tensor, name: str) -> None:
    if not isinstance(ids, Tensor) or ids.dim() != 2 or ids.dtype not in (torch.int64, torch.int32):
        raise UsageError(f"{name} must be whole numbers [batch, length], not {_kind(ids)}",
                         help='tokenizer(text, return_tensors="pt")["input_ids"]')  # fmt: skip
    if ids.numel() == 0:
        raise UsageError(f"the prompt is empty: {name} has shape {list(ids.shape)}",
                         help="give at least one token, or no input_ids to start from bos_token_id")  # fmt: skip
    low, high = torch.stack([ids.amin(), ids.amax()]).tolist()
    size = model.config.vocab_size
    if low < 0 or high >= size:
        raise UsageError(
            f"{name} has {low if low < 0 else high}, but the vocabulary is 0 to {size - 1}",
            help="is the tokenizer another model's?",
        )


def _kind(value: Any) -> str:
    return f"{value.dtype} of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _check_vectors(model: Model, vectors: Any) -> None:
    """UsageError unless these are [batch, length, size] of the model's size."""
    if not isinstance(vectors, Tensor) or vectors.dim() != 3 or not vectors.is_floating_point() or not vectors.numel():
        raise UsageError(f"inputs_embeds must be vectors [batch, length, size], not {_kind(vectors)}")
    size = getattr(model.config, "embedding_size", None) or model.config.hidden_size
    if vectors.shape[2] != size:
        raise UsageError(f"inputs_embeds has vectors of {vectors.shape[2]} numbers, the model's have {size}")


def _check_mask(mask: Any, shape: tuple[int, ...], name: str, of: str) -> None:
    if not isinstance(mask, Tensor) or mask.is_complex():
        raise UsageError(f"{name} must be a tensor of 1 and 0, not {_kind(mask)}")
    if tuple(mask.shape) != tuple(shape):
        raise UsageError(f"{name} has shape {list(mask.shape)}, {of} {list(shape)}")


def _check_left(mask: Tensor) -> None:
    if bool((mask[:, -1] == 0).any()):
        raise UsageError(
            "prompts are padded on the right, so the text would go on behind the padding",
            help='pad on the left: tokenizer(…, padding=True) with tokenizer.padding_side = "left"',
        )


def _check_alongside(inputs: Mapping[str, Any], prompt: Tensor) -> None:
    """UsageError if an input that has a number for each token of the prompt [B, L, …] has others."""
    rows, length = prompt.shape[:2]
    for name in ALONGSIDE:
        given = inputs.get(name)
        if given is None:
            continue
        if not isinstance(given, Tensor) or given.dtype not in (torch.int64, torch.int32):
            raise UsageError(f"{name} must be a tensor of whole numbers, not {_kind(given)}")
        if tuple(given.shape) not in ((rows, length), (1, length)):
            raise UsageError(f"{name} has shape {list(given.shape)}, the prompt {[rows, length]}")


def _mask(ids: Tensor, mask: Tensor | None, settings: Settings) -> Tensor | None:
    """The caller's; without one, padding tokens are hidden if nothing else can be meant by them. None: all is seen."""
    if mask is None:
        padding = settings.pad_token_id
        if padding is None or padding in settings.ends:
            return None
        mask = (ids != padding).long()
    else:
        _check_mask(mask, ids.shape, "attention_mask", "the ids")
    if bool((mask != 0).all()):
        return None
    if bool((mask == 0).all(dim=1).any()):
        raise UsageError("a prompt is empty: all of it is padding", help="leave that row out")
    return mask


def with_lengths(settings: Settings, model: Model, prompts: Prompts, options: Mapping[str, Any]) -> Settings:
    """Settings whose max_length and min_length are numbers of tokens of what is returned. UsageError.

    A shortest length above the longest is a mistake where the caller says it, among `options`. One that a file says
    for other texts keeps this one from ending before the longest.
    """
    length = prompts.ids.shape[1]
    ahead = 0 if length else prompts.inputs["inputs_embeds"].shape[1]  # vectors are not returned
    limit = model.longest_text
    room = None if limit is None else limit - ahead - (0 if model.generation.append is None else 1)
    if room is not None and length > room:
        raise UsageError(f"the prompt has {length + ahead} tokens, the model {limit} positions",
                         help="shorten it: tokenizer(…, truncation=True, max_length=…)")  # fmt: skip
    if settings.max_new_tokens is not None:
        longest = length + settings.max_new_tokens
    elif settings.max_length is not None:
        longest = settings.max_length - ahead
    else:
        longest = length + DEFAULT_NEW_TOKENS if room is None else min(length + DEFAULT_NEW_TOKENS, room)
    problems = []
    if longest <= length:
        problems.append(Diagnostic(f"max_length = {longest + ahead} leaves no room after a prompt of {length + ahead}",
                                   help="max_new_tokens counts without the prompt"))  # fmt: skip
    if room is not None and longest > room:
        problems.append(Diagnostic(f"{longest + ahead} tokens are asked for, the model has {limit} positions",
                                   help="a smaller max_new_tokens (max_length), or a shorter prompt"))  # fmt: skip
    shortest = max(0, settings.min_length - ahead)
    if settings.min_new_tokens is not None:
        shortest = length + settings.min_new_tokens
    if shortest > longest and any(options.get(name) is not None for name in ("min_length", "min_new_tokens")):
        problems.append(Diagnostic(f"at least {shortest} and at most {longest} tokens are asked for",
                                   help="a smaller min_length (min_new_tokens), or a greater max_length"))  # fmt: skip
    if problems:
        raise UsageError(*problems)
    return replace(settings, max_length=longest, min_length=shortest, max_new_tokens=None, min_new_tokens=None)
