"""The tokenizer: text, pairs and batches to what a model takes, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import TokenizerError
from .added_tokens import AddedToken
from .batch import Row
from .call import SIDES, TENSORS, limits, one_of, samples
from .decoder import Decoder, clean_up
from .detokenizer import Detokenizer, checked_id
from .encoding import Encoding, as_tensors
from .parallel import Workers
from .pipeline import Pipeline
from .rows import Rows
from .sequence import EncodedSequence, Source, TextEncoder
from .settings import Settings
from .template import Template
from .vocabulary import ROLES, Vocabulary
from .vocabulary_files import VocabularyData


class Tokenizer:
    """Called like Hugging Face's tokenizers, and gives the same.

    Special tokens are attributes, None if there is none: `cls_token`, `cls_token_id`, `sep_token`, … Setting one
    gives the role to another token of the vocabulary. `section` is the resolved spec section and `data` what the
    vocabulary files held, both kept for `save`.
    """

    def __init__(
        self, vocabulary: Vocabulary, pipeline: Pipeline, template: Template, decoder: Decoder, settings: Settings,
        section: Mapping[str, Any], data: VocabularyData,
    ) -> None:
        self.vocabulary = vocabulary
        self.template = template
        self.decoder = decoder
        self.settings = settings
        self.section = section
        self.data = data
        parts = (pipeline.normalizer, getattr(pipeline, "pre_tokenizer", None))
        lowercase = settings.python and any(getattr(part, "lowercase", False) for part in parts)
        self._encoder = TextEncoder(pipeline, vocabulary.added, lowercase)
        self._workers = Workers(self._encoder)
        self._detokenizer = Detokenizer(vocabulary, decoder, settings.added_apart)

    # Calling -----------------------------------------------------------------------------------------------------

    def __call__(
        self, text: Any, text_pair: Any = None, *, padding: bool | str = False, truncation: bool | str | None = None,
        max_length: int | None = None, stride: int = 0, pad_to_multiple_of: int | None = None,
        padding_side: str | None = None, add_special_tokens: bool = True, is_split_into_words: bool = False,
        return_tensors: str | None = None, return_attention_mask: bool | None = None,
        return_token_type_ids: bool | None = None, return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False, return_overflowing_tokens: bool = False, return_length: bool = False,
        processes: int = 1,
    ) -> Encoding:
        """A text or a batch of texts (or of lists of words, with `is_split_into_words`), each with its pair if there
        is one, to `input_ids` [rows, tokens] and what else the model takes or is asked for.

        One text without `return_tensors` or `return_overflowing_tokens` gives flat lists. With the latter each text
        gives as many rows as it needs, overlapping by `stride` tokens; `overflow_to_sample_mapping` tells whose.
        A batch that is large enough for it to pay is encoded by `processes`, which stay for the next one.
        TokenizerError for inputs of another kind and for options that contradict each other.
        """
        if return_tensors is not None:
            one_of("return_tensors", return_tensors, TENSORS)
        side = one_of("padding_side", padding_side or self.padding_side, SIDES)
        one_of("truncation_side", self.truncation_side, SIDES)
        if not isinstance(stride, int) or stride < 0:
            raise TokenizerError(f"stride={stride!r} is no number of tokens", help="a whole number from 0")
        if not isinstance(processes, int) or processes < 1:
            raise TokenizerError(f"processes={processes!r} is no number of processes", help="a whole number from 1")
        limit = limits(padding, truncation, max_length, self.model_max_length, pad_to_multiple_of)
        inputs, batched = samples(text, text_pair, is_split_into_words, empty_pairs=self.settings.python)
        maker = Rows(
            self.vocabulary, self.template, self.settings, limit, stride=stride, overflow=return_overflowing_tokens,
            special=add_special_tokens,
        )
        inputs_of_model = self.settings.model_inputs
        wanted = {
            name: value for name, value, asked in (
                ("input_ids", Row.ids, True),
                ("token_type_ids", Row.type_ids, return_token_type_ids),
                ("attention_mask", Row.attention_mask, return_attention_mask),
                ("special_tokens_mask", Row.special_tokens_mask, return_special_tokens_mask),
                ("offset_mapping", Row.offsets, return_offsets_mapping),
                ("length", Row.__len__, return_length),
            ) if (name in inputs_of_model if asked is None else asked)
        }
        around = maker.around() if len(wanted) == 1 and all(len(sample) == 1 for sample in inputs) else None
        if around is not None:
            values, rows = self._ids_alone(inputs, maker, around, processes)
            owners = list(range(len(inputs)))
        else:
            rows, owners = maker.make(self._encoded(inputs, return_offsets_mapping, processes))
            if limit.padding is not None:
                maker.pad(rows, owners, pad_to_multiple_of, side)
            values = {name: [value(row) for row in rows] for name, value in wanted.items()}
        if return_overflowing_tokens:
            values["overflow_to_sample_mapping"] = owners
        if return_tensors is not None:
            values = as_tensors(values, return_tensors)
        elif not batched and not return_overflowing_tokens:
            values = {name: value if name == "length" else value[0] for name, value in values.items()}
        return Encoding(values, rows, self.vocabulary.token_of)

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> list[int]:
        """The `input_ids` of a call with the same arguments."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self, text: Any, text_pair: Any = None, *, add_special_tokens: bool = False, **options: Any
    ) -> list[str | None]:
        """The tokens of a text, special ones only if asked for."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options).tokens()

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        return self.template.added(pair)

    def _encoded(
        self, inputs: list[tuple[Source, ...]], detailed: bool, processes: int
    ) -> list[tuple[EncodedSequence, ...]]:
        sources = [source for sample in inputs for source in sample]
        found = iter(self._workers.encode(sources, detailed, processes))
        return [tuple(EncodedSequence(self._encoder, source, next(found)) for source in sample) for sample in inputs]

    def _ids_alone(
        self, inputs: list[tuple[Source, ...]], maker: Rows, around: tuple[list[int], list[int]], processes: int
    ) -> tuple[dict[str, Any], Callable[[], list[Row]]]:
        """The ids of single texts, with those `around` them, and a way to the rows, for those who ask more. Rows cost
        short texts more than all the rest, and a list of ids is most of that, so there is only one of each."""
        found = self._workers.encode([source for source, in inputs], False, processes)
        sizes = list(map(len, found))
        before, after = around
        for ids in found:
            ids[:0] = before
            ids += after

        def rows() -> list[Row]:
            own = [ids[len(before):len(before) + size] for ids, size in zip(found, sizes, strict=True)]
            each = zip(inputs, own, strict=True)
            return maker.make([(EncodedSequence(self._encoder, source, ids),) for (source,), ids in each])[0]

        return {"input_ids": found}, rows

    # Back to text ------------------------------------------------------------------------------------------------

    def decode(
        self, ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = True,
    ) -> Any:
        """Ids (an integer, a list, an array or a tensor) to text, rows of ids to a list of texts. Ids that stand for
        nothing are left out."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        if isinstance(ids, int):
            ids = [ids]
        if not isinstance(ids, (list, tuple)):
            raise TokenizerError(f"cannot decode a {type(ids).__name__}", help="give a list or a tensor of ids")
        if ids and (isinstance(ids[0], (list, tuple)) or getattr(ids[0], "ndim", 0)):
            options = skip_special_tokens, clean_up_tokenization_spaces, spaces_between_special_tokens
            return [self.decode(row, *options) for row in ids]
        text = self._detokenizer.text(ids, skip_special_tokens, spaces_between_special_tokens)
        clean = self.settings.clean_up_tokenization_spaces
        if clean_up_tokenization_spaces is not None:
            clean = clean_up_tokenization_spaces
        return clean_up(text) if clean else text

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that tokens make, added ones among them."""
        return self.decoder.decode(list(tokens), set(self.all_special_tokens))

    def batch_decode(self, rows: Any, **options: Any) -> list[str]:
        """`decode` for each row."""
        return [self.decode(row, **options) for row in rows]

    # Vocabulary --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """With added tokens."""
        return len(self.vocabulary)

    @property
    def continuing_prefix(self) -> str | None:
        """What a piece begins with that goes on with the word of the piece before it; None if pieces do not tell."""
        model = self._encoder.pipeline.model
        return getattr(model, "continuing_prefix", None) or getattr(model, "prefix", None) or None

    @property
    def vocab_size(self) -> int:
        """Without added tokens."""
        return len(self.vocabulary.ids)

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary.all_ids()

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """An id or a list of ids; an unknown token has the id of `unk_token`."""
        if isinstance(tokens, str):
            number = self.vocabulary.id_of(tokens)
            return self.unk_token_id if number is None else number
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """A token or a list of tokens; None for an id that stands for nothing."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        if isinstance(ids, int):
            return self.vocabulary.token_of(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else ()
        return [self.vocabulary.token_of(checked_id(number)) for number in ids if number not in skipped]

    @property
    def all_special_tokens(self) -> list[str]:
        return self.vocabulary.special_tokens()

    @property
    def all_special_ids(self) -> list[int]:
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def add_tokens(self, tokens: Any, special_tokens: bool = False) -> int:
        """Adds a token or several (strings or AddedToken); returns how many were new or changed. The model's
        embedding must grow to `len(tokenizer)`."""
        several = tokens if isinstance(tokens, (list, tuple)) else [tokens]
        added = [AddedToken.of(token, special=special_tokens) for token in several]
        return self.vocabulary.add(replace(token, special=token.special or special_tokens) for token in added)

    def add_special_tokens(self, tokens: Mapping[str, Any]) -> int:
        """Adds tokens by role: `{"pad_token": "<pad>", "extra_special_tokens": [...]}`; returns how many were new or
        changed."""
        return self.vocabulary.add_special(tokens)

    def current_data(self) -> VocabularyData:
        """What vocabulary files would hold now: a whole tokenizer also lists the added tokens."""
        if self.data.json is None:
            return self.data
        added = self.vocabulary.added.by_id
        tokens = [{"id": number, **added[number].as_dict()} for number in sorted(added)]
        return replace(self.data, json={**self.data.json, "added_tokens": tokens})

    def save(self, folder: str | Path) -> list[Path]:
        """Writes the vocabulary and the configuration files; gives their paths."""
        from .files import write_files

        return write_files(self, Path(folder))


def _role(name: str) -> property:
    def get(self: Tokenizer) -> str | None:
        return self.vocabulary.roles[name]

    def put(self: Tokenizer, token: Any) -> None:
        self.vocabulary.set_role(name, None if token is None else str(token))

    return property(get, put, doc=f"The {name}, or None.")


def _role_id(name: str) -> property:
    return property(lambda self: self.vocabulary.role_id(name), doc=f"The id of the {name}, or None.")


def _setting(name: str) -> property:
    return property(
        lambda self: getattr(self.settings, name), lambda self, value: setattr(self.settings, name, value)
    )


for _name in ROLES:
    setattr(Tokenizer, _name, _role(_name))
    setattr(Tokenizer, f"{_name}_id", _role_id(_name))
for _name in ("model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces"):
    setattr(Tokenizer, _name, _setting(_name))
