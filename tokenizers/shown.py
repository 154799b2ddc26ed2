"""How a text becomes ids, as a table to read."""

from __future__ import annotations

from typing import Any

from .tokenizer import Tokenizer


def rows_of(
    tokenizer: Tokenizer, text: str, pair: str | None = None, *, add_special_tokens: bool = True
) -> list[dict[str, Any]]:
    """A row a token: itself, its id and type, where it comes from and what stands there (None: nowhere)."""
    texts = (text,) if pair is None else (text, pair)
    encoding = tokenizer(
        *texts, add_special_tokens=add_special_tokens, return_offsets_mapping=True, return_token_type_ids=True
    )
    places = zip(encoding.offset_mapping, encoding.sequence_ids(), strict=True)
    return [
        {"token": token, "id": number, "type": kind, "start": start, "end": end,
         "text": None if sequence is None else texts[sequence][start:end]}
        for token, number, kind, ((start, end), sequence) in zip(
            encoding.tokens(), encoding.input_ids, encoding.token_type_ids, places, strict=True
        )
    ]  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in columns, numbers to the right. What does not print is escaped."""
    cells = [("", "id", "type", "from", "token", "text")] + [
        (str(number), str(row["id"]), str(row["type"]), "" if row["text"] is None else f"{row['start']}-{row['end']}",
         _visible(row["token"]), "" if row["text"] is None else _visible(row["text"]))
        for number, row in enumerate(rows)
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        numbers = "  ".join(f"{cell:>{width}}" for cell, width in zip(row[:3], widths, strict=False))
        texts = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[3:], widths[3:], strict=True))
        lines.append(f"{numbers}  {texts}".rstrip())
    return "\n".join(lines)


def _visible(text: str | None) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text or "")
