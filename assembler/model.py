"""The assembled model: parts in a row, heads on top."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..blocks import Context, Embedding, Head, KeyValueCache, Part
from ..errors import Diagnostic, UsageError, did_you_mean
from .contexts import OF_DECODER, STATES, context_of, decoder_context, encoded_before, inputs_of
from .heads import HeadRun, check_labels, give_target, run_heads
from .output import ModelOutput

if TYPE_CHECKING:
    from .language.sections import Generation
    from .language.spec import Spec
    from .weights.report import LoadReport

#: How a call runs; every model takes these.
SWITCHES = ("use_cache", "output_hidden_states", "output_attentions", "return_dict", "logits_to_keep")


class Config(SimpleNamespace):
    """The model's hparams, as attributes and by name."""

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


class Model(nn.Module):
    """Parts and heads assembled from a spec.

    Each part and head is found under its name in the spec: `encoder.layers.3.attention.query.weight`,
    `heads.masked_lm.dense.weight`. Call it with the inputs and labels its blocks read; `inputs` and `labels` list them.
    """

    def __init__(
        self,
        *,
        parts: Mapping[str, Part],
        heads: Mapping[str, Head],
        runs: tuple[HeadRun, ...],
        separate: bool,
        encoder: Collection[str] = (),
        spec: Spec,
        config: Mapping[str, Any],
        generation: Mapping[str, Any],
    ) -> None:
        """`encoder`: the parts that encode, on inputs of their own, what the others attend to. `separate`: the heads
        were chosen by the caller one by one, so each keeps its outputs to itself."""
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.heads = nn.ModuleDict(heads)
        self.part_names = tuple(parts)
        self.encoder_names = tuple(name for name in parts if name in encoder)
        self.runs = runs
        self.separate = separate
        self.spec = spec
        self.config = Config(**config)
        self._generation = generation
        self.load_report: LoadReport | None = None
        self.kept_config: dict[str, Any] = {}  # what the checkpoint's config says of tokenizers and tasks
        self.generation_config = Config()  # defaults of `generate`
        self.inputs = self._inputs()
        self.labels = tuple(dict.fromkeys(run.named(own) for run in runs for own in self.heads[run.name].labels))
        self.wants_choices = any(self.heads[run.name].wants_choices for run in runs)
        self._target = next(((run, target) for run in runs if (target := self.heads[run.name].target)), None)

    def forward(
        self,
        input_ids: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        langs: Tensor | None = None,
        lengths: Tensor | None = None,
        perm_mask: Tensor | None = None,
        target_mapping: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        mems: Sequence[Tensor] | None = None,
        past_key_values: KeyValueCache | Sequence[tuple[Tensor, Tensor]] | None = None,
        mc_token_ids: Tensor | None = None,
        cls_index: Tensor | None = None,
        p_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        encoder_outputs: ModelOutput | Sequence[Tensor] | Tensor | None = None,
        use_cache: bool = False,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        return_dict: bool = True,
        logits_to_keep: int | Tensor = 0,
        **labels: Any,
    ) -> ModelOutput | tuple[Any, ...]:
        """Run the model on `input_ids` [B, L] (or `inputs_embeds` [B, L, D]) and whatever else its blocks read.

        Shapes of the inputs: see `blocks.Context`. `self.inputs` lists those this model takes; an input that it does
        not take is an error, unless it is None. Beside an encoder the plain names are the encoder's inputs and
        `decoder_…` the decoder's; `encoder_outputs` are those of an earlier call, used instead of encoding again.

        Args:
            use_cache: return `past_key_values`, to be given with the next positions.
            output_hidden_states: return what each layer got and gave.
            output_attentions: return attention probabilities (slower: no fused kernels).
            return_dict: False for a plain tuple.
            logits_to_keep: positions that heads are run on: so many at the end, or those of a tensor [K]; 0 for all.
            labels: what the heads are to predict, named as in `self.labels`.
        """
        given = {
            "input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids,
            "position_ids": position_ids, "inputs_embeds": inputs_embeds, "langs": langs, "lengths": lengths,
            "perm_mask": perm_mask, "target_mapping": target_mapping, "encoder_hidden_states": encoder_hidden_states,
            "encoder_attention_mask": encoder_attention_mask, "mems": mems, "past_key_values": past_key_values,
            "mc_token_ids": mc_token_ids, "cls_index": cls_index, "p_mask": p_mask,
            "decoder_input_ids": decoder_input_ids, "decoder_attention_mask": decoder_attention_mask,
            "decoder_inputs_embeds": decoder_inputs_embeds, "decoder_position_ids": decoder_position_ids,
            "encoder_outputs": encoder_outputs,
        }  # fmt: skip
        given |= {name: labels.pop(name) for name in list(labels) if name not in self.labels}
        given = {name: value for name, value in given.items() if value is not None}
        unknown = [name for name in given if name not in self.inputs]
        if unknown:
            raise UsageError(*(self._unknown(name) for name in unknown))
        asked = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}

        encoded = self._encode(given, asked) if self.encoder_names else None
        context = self._context(given, asked) if encoded is None else decoder_context(given, asked, encoded)
        check_labels(labels, self.runs, separate=self.separate)
        if self._target is not None:
            give_target(context, self._target, labels, separate=self.separate)
        if use_cache and context.past_key_values is None:
            if "past_key_values" not in self.inputs:
                raise UsageError(f"{self.spec.name} has no key/value cache to use")
            context.past_key_values = KeyValueCache()
        outputs = self._run((name for name in self.part_names if name not in self.encoder_names), context)

        if isinstance(logits_to_keep, Tensor) or logits_to_keep:
            kept = logits_to_keep if isinstance(logits_to_keep, Tensor) else slice(-logits_to_keep, None)
            outputs = {name: v[:, kept] if v.dim() == 3 else v for name, v in outputs.items()}
        if self.runs:
            result = run_heads(self.heads, self.runs, outputs, context, labels, separate=self.separate)
        else:
            result = ModelOutput(**outputs)
        for name, values in context.collected.items():
            setattr(result, name if encoded is None or name not in STATES else f"decoder_{name}", tuple(values))
        result.past_key_values = context.past_key_values
        if encoded is not None:
            result.encoder_last_hidden_state = encoded.last_hidden_state
            for name in STATES:
                setattr(result, f"encoder_{name}", getattr(encoded, name))
        return result if return_dict else result.to_tuple()

    def encode(self, input_ids: Tensor | None = None, **inputs: Tensor | None) -> ModelOutput:
        """What the encoder makes of its inputs: to be given as `encoder_outputs` instead of encoding again."""
        if not self.encoder_names:
            raise UsageError(f"{self.spec.name} has no encoder beside a decoder")
        given = {"input_ids": input_ids} | inputs
        return self._encode({name: value for name, value in given.items() if value is not None}, {})

    def new_cache(self, capacity: int = 0) -> KeyValueCache:
        """An empty cache with room for so many positions, to be given as `past_key_values`."""
        return KeyValueCache(capacity=capacity)

    def generate(self, input_ids: Tensor | None = None, **options: Any) -> Any:
        """Write on from `input_ids` [B, L]: see `modelwright.generate`, of which this is a short form."""
        from .. import generate

        return generate(self, input_ids, **options)

    def _run(self, names: Iterable[str], context: Context) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        for name in names:
            part = getattr(self, name)
            value = part(outputs.get("last_hidden_state"), context)
            if part.output is not None:
                outputs[part.output] = value
        return outputs

    def _encode(self, given: Mapping[str, Any], asked: Mapping[str, bool]) -> ModelOutput:
        """What the encoder makes of the caller's inputs, or has made of them in an earlier call."""
        if "encoder_outputs" in given:
            return encoded_before(given["encoder_outputs"])
        context = self._context({name: given[name] for name in self._encoder_inputs if name in given}, asked)
        outputs = self._run(self.encoder_names, context)
        return ModelOutput(**outputs, **{name: tuple(values) for name, values in context.collected.items()})

    def _context(self, given: Mapping[str, Any], asked: Mapping[str, bool]) -> Context:
        return context_of(given, asked, encodes=bool(self.encoder_names), choices=self.wants_choices)

    def _inputs(self) -> tuple[str, ...]:
        """What the blocks read, by the names that a caller gives it."""
        encoder = [getattr(self, name) for name in self.encoder_names]
        others = [getattr(self, name) for name in self.part_names if name not in self.encoder_names]
        read = inputs_of([*others, *self.heads.values()])
        if not encoder:
            return read
        self._encoder_inputs = tuple(name for name in inputs_of(encoder) if name != "past_key_values")  # the decoder's
        return tuple(dict.fromkeys((*self._encoder_inputs, *(OF_DECODER.get(name, name) for name in read))))

    def _unknown(self, name: str) -> Diagnostic:
        known = (*self.inputs, *self.labels, *SWITCHES)
        return Diagnostic(
            f"{self.spec.name} takes no input `{name}`", label=did_you_mean(name, known),
            help=f"it takes {', '.join(known)}",
        )  # fmt: skip

    @cached_property
    def generation(self) -> Generation:
        """How the spec says that text is generated."""
        from .language.sections import Generation  # which takes longer to import than a model to be built

        return Generation.model_validate(self._generation)

    def save(self, folder: str | Path, format: str = "huggingface") -> list[Path]:
        """Write weights and config to `folder` in one of the spec's formats; returns the files written."""
        from .weights.save import save

        return save(self, Path(folder), format)

    def resize_token_embeddings(self, size: int) -> None:
        """Give the model a vocabulary of `size` words, in place. The first words keep their vectors; more start
        untrained. Hand an optimizer the parameters again afterwards. SpecError, UsageError."""
        from .resize import resize_vocabulary

        resize_vocabulary(self, size)

    @property
    def writes(self) -> bool:
        """Whether the model's head scores next words, and the model is one that can go on with them."""
        fits = all(self.config[name] == value for name, value in self.generation.requires.items())
        return fits and len(self.runs) == 1 and self.runs[0].name in self.generation.heads

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def longest_text(self) -> int | None:
        """Tokens of the longest text that there are positions for; None if there is no such limit."""
        found = [limit for module in self.modules() if (limit := getattr(module, "longest", None)) is not None]
        return min(found, default=None)

    @property
    def first_position(self) -> int:
        """What `position_ids` call the first token of a text."""
        return max((module.offset for module in self.modules() if isinstance(module, Embedding)), default=0)

    def num_parameters(self) -> int:
        """Number of values in all parameters, shared ones once."""
        return sum(parameter.numel() for parameter in self.parameters())
