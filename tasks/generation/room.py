"""Memory for what is written."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import UsageError

#: What torch says where there is no memory, or no such size; only on some devices is that an exception of its own.
NO_ROOM = re.compile(
    "can't allocate memory|not enough memory|out of memory|size calculation overflowed|multiplication overflow"
)


@contextmanager
def room_for(prompts: int, rows: int, option: str) -> Iterator[None]:
    """UsageError where there is no memory for the texts of so many rows a prompt, which an option asks for."""
    none = UsageError(
        f"no memory for {option} = {rows} with {prompts} prompt{'s' * (prompts > 1)}",
        help=f"a smaller {option}, or fewer prompts at once",
    )
    if prompts * rows > sys.maxsize:  # no size of anything
        raise none
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or NO_ROOM.search(str(error)):
            raise none from error
        raise
