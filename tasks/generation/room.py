"""Memory for what is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import UsageError


@contextmanager
def room_for(prompts: int, rows: int, option: str) -> Iterator[None]:
    """UsageError where there is no memory for the texts of so many rows a prompt, which an option asks for."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise UsageError(
            f"no memory for {option} = {rows} with {prompts} prompt{'s' * (prompts > 1)}",
            help=f"a smaller {option}, or fewer prompts at once",
        ) from error
