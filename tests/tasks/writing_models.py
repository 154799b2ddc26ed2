"""Tiny models that write, and texts for them to go on from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import modelwright as mw

NEVER = float("-inf")
TINY = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 40}  # fmt: skip
QUIET = {"eos_token_id": None, "pad_token_id": 0}


def built(spec: str = "gpt2", head: str = "causal_lm", seed: int = 0, **hparams: Any) -> mw.Model:
    hparams = {name: value for name, value in (TINY | hparams).items() if value is not None}
    model = mw.build(spec, head=head, **hparams)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def ids(rows: int = 2, length: int = 5, seed: int = 1) -> Tensor:
    return torch.randint(5, 50, (rows, length), generator=torch.Generator().manual_seed(seed))


class Letters:
    """A tokenizer of bytes: token n is the byte n, 256 the end."""

    padding_side = "right"

    def __call__(self, text: Any, **options: Any) -> Any:
        rows = [list(one.encode()) for one in ([text] if isinstance(text, str) else text)]
        tensor = torch.tensor(rows)
        return {"input_ids": tensor, "attention_mask": torch.ones_like(tensor)}

    def decode(self, ids: list[int], **options: Any) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


def saying(text: str) -> tuple[mw.Model, Any]:
    """A model and a rule that makes it write this text, byte by byte, and then the end."""
    model = built(vocab_size=257, max_position_embeddings=200)
    letters = list(text.encode()) + [256]

    def rule(written: Tensor, scores: Tensor) -> Tensor:
        forced = torch.full_like(scores, NEVER)
        forced[:, letters[min(written.shape[1] - 1, len(letters) - 1)]] = 0
        return forced

    return model, rule
