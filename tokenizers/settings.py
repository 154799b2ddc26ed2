"""What the calls of a tokenizer fall back on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Settings:
    """`added_apart`: added tokens that do not go through the decoder, `all` of them or the `extra` ones; `python`: in
    detail as the reference's Python tokenizers, where they differ from the Rust ones."""

    model_inputs: list[str] = field(default_factory=lambda: ["input_ids", "token_type_ids", "attention_mask"])
    model_max_length: int = int(1e30)  # the files' way to say that there is no limit
    padding_side: str = "right"
    truncation_side: str = "right"
    clean_up_tokenization_spaces: bool = False
    pad_token_type_id: int = 0
    added_apart: str | None = None
    python: bool = False
