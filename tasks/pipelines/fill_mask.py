"""Words for gaps in texts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from .base import Pipeline
from .batching import Batch, Row
from .options import whole


@dataclass(frozen=True, kw_only=True)
class FillMaskOptions:
    top_k: int = 5
    targets: str | list[str] | Tensor | None = None  # the only words to choose from; prepared, their ids
    truncation: bool | str = False
    max_length: int | None = None


class FillMask(Pipeline):
    """A text with mask tokens to `{"score", "token", "token_str", "sequence"}`, the best first; with several masks a
    list for each of them. A list of one text gives what the text alone gives."""

    options_class = FillMaskOptions

    def __call__(self, inputs: Any, **options: Any) -> Any:
        result = super().__call__(inputs, **options)
        return result[0] if isinstance(inputs, list) and len(inputs) == 1 else result

    def prepared(self, options: FillMaskOptions) -> FillMaskOptions:
        if self.tokenizer.mask_token_id is None:
            raise UsageError("the tokenizer has no mask token", help='choose one: tokenizer.mask_token = "…"')
        whole("top_k", options.top_k)
        if options.targets is None:
            return options
        if isinstance(options.targets, Tensor):  # ids: the caller's, or those of words found before
            self._check_ids(options.targets)
            return options
        ids = torch.tensor(self._target_ids(options.targets), device=self.model.device)
        return replace(options, targets=ids)

    def rows(self, items: list[str], first: int, options: FillMaskOptions) -> list[list[Row]]:
        encoding = self.encoded(items, first, truncation=options.truncation, max_length=options.max_length)
        mask, rows = self.tokenizer.mask_token_id, []
        for index, ids in enumerate(encoding["input_ids"]):
            places = [place for place, number in enumerate(ids) if number == mask]
            if not places:
                raise UsageError(
                    f"input {first + index} has no {self.tokenizer.mask_token}", help="write it where the gap is"
                )
            rows.append([self.made(encoding, index, places)])
        return rows

    def run(self, batch: Batch, options: FillMaskOptions) -> list[Any]:
        """Words are scored only where some row has a gap."""
        pairs = zip(batch.rows, batch.spans, strict=True)
        gaps = [[span.start + place for place in row.about] for row, span in pairs]
        scored = sorted({place for of_row in gaps for place in of_row})
        keep = torch.tensor(scored, device=self.model.device)
        logits = self.output(self.forward(batch, logits_to_keep=keep), "logits")
        columns = {place: column for column, place in enumerate(scored)}
        return [self._best(logits[index, [columns[place] for place in of_row]], options.targets, options.top_k)
                for index, of_row in enumerate(gaps)]  # fmt: skip

    def result(self, item: str, rows: list[Row], kept: list[Any], options: FillMaskOptions) -> Any:
        ids, places = rows[0].inputs["input_ids"], rows[0].about
        alone = len(places) == 1
        found = [
            [self._filled(ids, place, score, token, alone) for score, token in choices]
            for place, choices in zip(places, kept[0], strict=True)
        ]
        return found[0] if alone else found

    def _best(self, logits: Tensor, targets: Tensor | None, top_k: int) -> list[list[tuple[float, int]]]:
        """[masks, vocabulary] -> for each mask its best words, with their scores."""
        scores = logits.float().softmax(dim=-1)
        if targets is not None:
            scores = scores[:, targets]
        values, tokens = scores.topk(min(top_k, scores.shape[-1]))
        if targets is not None:
            tokens = targets[tokens]
        return [list(zip(*pair, strict=True)) for pair in zip(values.tolist(), tokens.tolist(), strict=True)]

    def _filled(self, ids: list[int], place: int, score: float, token: int, alone: bool) -> dict[str, Any]:
        filled = [one for one in (*ids[:place], token, *ids[place + 1 :]) if one != self.tokenizer.pad_token_id]
        return {
            "score": score,
            "token": token,
            "token_str": self.tokenizer.decode([token]),
            # other masks are special tokens too, and stay
            "sequence": self.tokenizer.decode(filled, skip_special_tokens=alone),
        }

    def _check_ids(self, ids: Tensor) -> None:
        size = self.model.config.vocab_size
        if ids.dim() != 1 or ids.dtype != torch.int64 or not len(ids) or ids.min() < 0 or ids.max() >= size:
            raise UsageError(
                f"targets is a tensor of shape {list(ids.shape)}, {ids.dtype}, not a list of ids from 0 to {size - 1}",
                help='targets=["…", "…"] takes words',
            )

    def _target_ids(self, targets: Any) -> list[int]:
        """Ids of words. One that is not in the vocabulary stands for its first piece, with a warning."""
        words = [targets] if isinstance(targets, str) else targets
        if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
            raise UsageError(f"targets={targets!r} must be words, one at least")
        vocabulary, found = self.tokenizer.get_vocab(), []
        for word in words:
            number = vocabulary.get(word)
            if number is None:
                pieces = self.tokenizer.encode(word, add_special_tokens=False)
                if not pieces:
                    raise UsageError(f"the target {word!r} has no tokens")
                number = pieces[0]
                piece = self.tokenizer.convert_ids_to_tokens(number)
                warnings.warn(f"the target `{word}` is not in the vocabulary; `{piece}` stands for it", stacklevel=6)
            found.append(number)
        return list(dict.fromkeys(found))
