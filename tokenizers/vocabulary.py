"""Tokens and their ids: the model's vocabulary, added tokens, and the roles special tokens play."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import TokenizerError, did_you_mean
from .added_tokens import AddedToken, AddedVocabulary

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
EXTRA = ("extra_special_tokens", "additional_special_tokens")  # the name for others, and its older one


class Vocabulary:
    """`ids` are those of the model's tokens, `size` the number from which others get theirs."""

    def __init__(
        self, ids: Mapping[str, int], normalize: Callable[[str], str], size: int = 0, python: bool = False
    ) -> None:
        self.ids = ids
        self.tokens = {number: piece for piece, number in ids.items()}
        self.size = max(size, max(self.tokens, default=-1) + 1)
        self.added = AddedVocabulary(normalize, python)
        self.roles: dict[str, str | None] = dict.fromkeys(ROLES)
        self.extra_special: list[str] = []

    def __len__(self) -> int:
        return len(self.ids) + sum(token not in self.ids for token in self.added.ids)

    def id_of(self, token: str) -> int | None:
        number = self.added.ids.get(token)
        return self.ids.get(token) if number is None else number

    def token_of(self, number: int) -> str | None:
        added = self.added.by_id.get(number)
        return self.tokens.get(number) if added is None else added.content

    def all_ids(self) -> dict[str, int]:
        return {**self.ids, **self.added.ids}

    def add(self, tokens: Iterable[AddedToken], numbers: Mapping[str, int] | None = None) -> int:
        """Adds tokens and returns how many were new or changed. A token of the vocabulary keeps its id; others get
        the id in `numbers`, or the next free one."""
        changed: list[tuple[int, AddedToken]] = []
        free = max(self.size, *(number + 1 for number in self.added.by_id), 0)
        fresh: dict[str, int] = {}
        given: set[int] = set()
        for token in tokens:
            number = fresh.get(token.content, self.id_of(token.content))
            if not token.content or (number is not None and self.added.by_id.get(number) == token):
                continue
            if number is None:
                number = (numbers or {}).get(token.content, free)
                if number in self.tokens or number in self.added.by_id or number in given:
                    raise TokenizerError(
                        f"the added token `{token.content}` cannot have the id {number}: "
                        f"it belongs to `{self.token_of(number)}`"
                    )
                free = max(free, number + 1)
                fresh[token.content] = number
                given.add(number)
            changed.append((number, token))
        self.added.add(changed)
        return len(changed)

    def set_role(self, role: str, token: str | None) -> None:
        if token is not None and self.id_of(token) is None:
            raise TokenizerError(
                f"`{token}` cannot be the {role}: it is not in the vocabulary",
                help=f"add_special_tokens({{'{role}': '{token}'}}) adds it",
            )
        self.roles[role] = token

    def role_id(self, role: str) -> int | None:
        token = self.roles[role]
        return None if token is None else self.id_of(token)

    def add_special(self, tokens: Mapping[str, Any]) -> int:
        """Adds special tokens by role; `extra_special_tokens` (or `additional_special_tokens`) is a list of others,
        which replaces the one before. Returns how many were new or changed."""
        for key in tokens:
            if key not in (*ROLES, *EXTRA):
                raise TokenizerError(
                    f"`{key}` is no role of a special token", help=did_you_mean(key, (*ROLES, EXTRA[0]))
                )
        added: list[AddedToken] = []
        for key, value in tokens.items():
            if key in ROLES:
                added.append(special := replace(AddedToken.of(value, special=True), special=True))
                self.roles[key] = special.content
            else:
                extra = [replace(AddedToken.of(token, special=True), special=True) for token in value]
                added += extra
                self.extra_special = [token.content for token in extra]
        return self.add(added)

    def special_tokens(self) -> list[str]:
        """Those with a role, then the others, each once."""
        named = [token for token in self.roles.values() if token is not None]
        return list(dict.fromkeys(named + self.extra_special))
