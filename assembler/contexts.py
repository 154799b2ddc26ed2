"""What the parts of a call share: contexts of encoders and decoders, from what the caller gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..blocks import INPUTS, Context, KeyValueCache
from ..errors import UsageError
from .output import ModelOutput

#: What blocks of a decoder know under a name that, beside an encoder, means the encoder's to the caller.
OF_DECODER = {
    "input_ids": "decoder_input_ids",
    "attention_mask": "decoder_attention_mask",
    "inputs_embeds": "decoder_inputs_embeds",
    "position_ids": "decoder_position_ids",
    "encoder_hidden_states": "encoder_outputs",
    "encoder_attention_mask": "attention_mask",
}
#: Of these an encoder and a decoder both have some.
STATES = ("hidden_states", "attentions")
#: What a decoder gets from the encoder beside it, and not from the caller.
CROSS = ("encoder_hidden_states", "encoder_attention_mask")


def context_of(
    given: Mapping[str, Any], asked: Mapping[str, bool], *, encodes: bool = False, choices: bool = False
) -> Context:
    """The context of parts that read the caller's inputs. `choices`: whether there may be several rows [B, choices, L]
    for each text; `encodes`: whether another call's states could have been given. UsageError."""
    if ("input_ids" in given) == ("inputs_embeds" in given):
        raise UsageError(
            "give either input_ids or inputs_embeds", help="or encoder_outputs of an earlier call" if encodes else None
        )
    given = _with_cache(given)
    tokens, dims = (given["input_ids"], 2) if "input_ids" in given else (given["inputs_embeds"], 3)
    if tokens.dim() <= dims:
        return Context(**given, **asked)
    if not choices:
        raise UsageError(
            "inputs of three dimensions [batch, choices, length] are for heads that choose",
            help="flatten them to [batch, length], or build with such a head",
        )
    flat = {name: v.flatten(0, 1) if isinstance(v, Tensor) and v.dim() > 1 else v for name, v in given.items()}
    return Context(choices=tokens.shape[1], **flat, **asked)


def decoder_context(given: Mapping[str, Any], asked: Mapping[str, bool], encoded: ModelOutput) -> Context:
    """The context of a decoder, which attends to what the encoder beside it made of the inputs. UsageError."""
    own = {
        ours: given[theirs] for ours in INPUTS if (theirs := OF_DECODER.get(ours, ours)) in given and ours not in CROSS
    }
    if {"input_ids", "inputs_embeds"} <= own.keys():
        raise UsageError("give either decoder_input_ids or decoder_inputs_embeds")
    context = Context(**_with_cache(own), **asked, names=OF_DECODER)
    context.encoder_input_ids = given.get("input_ids")
    context.encoder_hidden_states = encoded.last_hidden_state
    context.encoder_attention_mask = given.get("attention_mask")
    return context


def inputs_of(modules: Iterable[nn.Module]) -> tuple[str, ...]:
    """The inputs that modules, and those within them, read."""
    read = {name for module in modules for inner in module.modules() for name in getattr(inner, "reads", ())}
    return tuple(name for name in INPUTS if name in read)


def encoded_before(earlier: ModelOutput | Sequence[Tensor] | Tensor) -> ModelOutput:
    """What an earlier call found out: its whole output, an encoder's, a tuple that begins as one, or the states."""
    if isinstance(earlier, Tensor):
        return ModelOutput(last_hidden_state=earlier)
    if getattr(earlier, "encoder_last_hidden_state", None) is not None:
        states = {name: getattr(earlier, f"encoder_{name}") for name in STATES}
        return ModelOutput(last_hidden_state=earlier.encoder_last_hidden_state, **states)
    if hasattr(earlier, "last_hidden_state"):
        states = {name: getattr(earlier, name, None) for name in STATES}
        return ModelOutput(last_hidden_state=earlier.last_hidden_state, **states)
    return ModelOutput(**dict(zip(("last_hidden_state", *STATES), earlier, strict=False)))


def _with_cache(given: Mapping[str, Any]) -> dict[str, Any]:
    """Pairs of tensors, as older code keeps them, made a cache."""
    past = given.get("past_key_values")
    if past is None or isinstance(past, KeyValueCache):
        return dict(given)
    return {**given, "past_key_values": KeyValueCache(past)}
