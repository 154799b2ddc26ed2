"""What a pickle says, as inert data.

A pickle is a program. This interpreter knows the few instructions that describe tensors and plain values, calls nothing
that the pickle names (`rebuild.py` has our own stand-ins) and bounds what it builds. Tensors and arrays come out as
descriptions: where their bytes are. So names and shapes are known before a byte of them is read.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from .arrays import StoredBytes
from .base import Refused
from .rebuild import RESAVE, StoredStorage, build, call, fill, instance, look_up, refuse_global, storage_of

INSTRUCTIONS = 4_000_000  # about 90 000 tensors; also bounds the objects one pickle can make
BYTES = 2**26  # of one pickle, storages and what is left in the file not included
ITEM = 2**24  # bytes of one text in it
LEFT = 4096  # a run of bytes from this length on is an array's: left in the file
# Instructions that carry bytes, and the width of the length before them.
CARRY_BYTES = {b"C": 1, b"B": 4, b"\x8e": 8}


class PickleStream:
    """A window of a file as the readers of `pickletools` take it. Refuses lengths that it does not hold instead of
    trying."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        file.seek(start)
        self._file, self._end, self._allowed = file, end, BYTES
        self.position = start

    def read(self, count: int) -> bytes:
        if self.position + count > self._end:
            raise Refused(f"truncated: its pickle goes on beyond byte {self._end}, where it ends")
        self._allowed -= count
        if count > ITEM or self._allowed < 0:
            raise Refused(f"its pickle has over {min(count, BYTES) >> 20} MiB of texts, too much for a state dict")
        self.position += count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(min(1024, self._end - self.position))
        self._allowed -= len(line)
        self.position += len(line)
        return line

    def read_bytes(self, width: int) -> bytes | StoredBytes:
        """A run of bytes behind its length; a long one is passed over."""
        size = int.from_bytes(self.read(width), "little")
        if size < LEFT:
            return self.read(size)
        if self.position + size > self._end:
            raise Refused(f"truncated: its pickle goes on beyond byte {self._end}, where it ends")
        found = StoredBytes(self.position, size)
        self.position += size
        self._file.seek(self.position)
        return found

    def instructions(self) -> Iterator[tuple[str, Any]]:
        """Name and argument of each, `STOP` last."""
        while True:
            code = self.read(1)
            opcode = pickletools.code2op.get(code.decode("latin-1"))
            if opcode is None:
                raise ValueError(f"no instruction {code!r}")
            if code in CARRY_BYTES:
                yield opcode.name, self.read_bytes(CARRY_BYTES[code])
            else:
                yield opcode.name, opcode.arg.reader(self) if opcode.arg else None
            if code == b".":
                return


@dataclass(frozen=True, slots=True)
class Foreign:
    """Stands for a class, a function, or what one of them would make. Nothing is ever asked of it."""

    name: str


def read_pickle(stream: PickleStream, *, foreign: bool = False) -> tuple[object, dict[str, StoredStorage]]:
    """The value of one pickle, and the storages it refers to by their keys; the stream is left behind it.

    Numbers, texts, tuples, lists and dicts come as themselves (sets as lists), the attributes of a namespace as a
    dict, tensors as `StoredTensor`, arrays as `StoredArray`. `foreign`: other objects are `Foreign` instead of refused.
    Raises `Refused`.
    """
    storages: dict[str, StoredStorage] = {}
    try:
        return _interpret(stream, storages, foreign), storages
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:  # how a damaged program stumbles
        where = f"near byte {stream.position} of the file"
        raise Refused(f"its pickle is damaged {where} ({type(error).__name__}: {ascii(str(error)[:200])})") from None


def _interpret(stream: PickleStream, storages: dict[str, StoredStorage], foreign: bool) -> object:
    stack: list = []
    outer: list[list] = []  # the stacks below each open mark
    memo: dict[int, object] = {}
    spent = 0
    for name, argument in stream.instructions():
        spent += 1
        if spent > INSTRUCTIONS:
            raise Refused(f"its pickle has over {INSTRUCTIONS} instructions, too many for a state dict")
        match name:
            case "PROTO" | "FRAME":
                pass
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING" | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8":
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "MARK":
                outer.append(stack)
                stack = []
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(_pop(stack, int(name[-1]))))
            case "TUPLE":
                items, stack = stack, outer.pop()
                stack.append(tuple(items))
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "APPEND":
                item = stack.pop()
                _target(stack, list).append(item)
            case "APPENDS" | "ADDITEMS":
                items, stack = stack, outer.pop()
                _target(stack, list).extend(items)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                items = _pop(stack, 2)
                fill(_target(stack, dict), items)
            case "SETITEMS":
                items, stack = stack, outer.pop()
                fill(_target(stack, dict), items)
            case "GLOBAL" | "STACK_GLOBAL":
                parts = _pop(stack, 2) if name == "STACK_GLOBAL" else argument.split(" ", 1)
                # The object that the whole pickle is; torch says what is a module before it in its old format.
                whole = not any(outer) and stack in ([], ["module"])
                stranger = Foreign(".".join(parts)) if foreign else None
                stack.append(look_up(".".join(parts)) or stranger or refuse_global(".".join(parts), whole))
            case "REDUCE":
                function, arguments = _pop(stack, 2)
                stack.append(_made_by(function) if isinstance(function, Foreign) else call(function, arguments))
            case "NEWOBJ":
                kind, arguments = _pop(stack, 2)
                stack.append(kind if isinstance(kind, Foreign) else instance(kind, arguments))
            case "BUILD":
                state = stack.pop()
                spent += 0 if isinstance(stack[-1], Foreign) else build(stack[-1], state)
            case "BINPERSID":
                storage = storage_of(*stack.pop())
                if storages.setdefault(storage.key, storage) != storage:
                    raise ValueError("one storage described in two ways")
                stack.append(storage)
            case "STOP":
                return stack.pop()
            case _:
                raise Refused(f"its pickle uses the instruction {name}, which tensors do not need", RESAVE)
    raise Refused("its pickle does not end")


def _made_by(function: Foreign) -> object:
    """An empty dictionary if that is what it makes, to be filled; else a stranger again."""
    return {} if function.name in ("collections.defaultdict", "builtins.dict") else function


def _pop(stack: list, count: int) -> list:
    if len(stack) < count:
        raise IndexError("empty stack")
    items = stack[-count:]
    del stack[-count:]
    return items


def _target(stack: list, *kinds: type) -> Any:
    if not isinstance(stack[-1], kinds):
        raise TypeError(f"not for {type(stack[-1]).__name__}")
    return stack[-1]
