"""What a pickle of `torch.save` says, as inert data.

A pickle is a program. This interpreter knows the few instructions that describe tensors, calls nothing that the pickle
names (`rebuild.py` has our own stand-ins) and bounds what it builds. Tensors come out as descriptions: which storage,
where in it. So names and shapes are known before a byte of the tensors is read.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any, BinaryIO

from .base import Refused
from .rebuild import RESAVE, StoredStorage, StoredTensor, call, fill, look_up, storage_of

INSTRUCTIONS = 4_000_000  # about 90 000 tensors; also bounds the objects one pickle can make
BYTES = 2**26  # of one pickle, storages not included
ITEM = 2**24  # bytes of one text in it


class PickleStream:
    """A window of a file as `pickletools.genops` reads it. Refuses lengths that it does not hold instead of trying."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        file.seek(start)
        self._file, self._end = file, end
        self._limit = min(end, start + BYTES)
        self.position = start

    def read(self, count: int) -> bytes:
        if count > ITEM or self.position + count > self._limit:
            self._refuse(count)
        self.position += count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(min(1024, self._limit - self.position))
        self.position += len(line)
        return line

    def _refuse(self, count: int) -> None:
        if self.position + count > self._end:
            raise Refused(f"truncated: its pickle goes on beyond byte {self._end}, where it ends")
        raise Refused(f"its pickle is over {BYTES >> 20} MiB, too large for a state dict")


@dataclass(frozen=True, slots=True)
class Foreign:
    """Stands for a class, a function, or what one of them would make. Nothing is ever asked of it."""

    name: str


def read_pickle(stream: PickleStream, *, foreign: bool = False) -> tuple[object, dict[str, StoredStorage]]:
    """The value of one pickle, and the storages it refers to by their keys; the stream is left behind it.

    Numbers, texts, tuples, lists and dicts come as themselves (sets as lists), tensors as `StoredTensor`. `foreign`:
    other objects are `Foreign` instead of refused. Raises `Refused`.
    """
    storages: dict[str, StoredStorage] = {}
    try:
        return _interpret(stream, storages, foreign), storages
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:  # how a damaged program stumbles
        where = f"near byte {stream.position} of the file"
        raise Refused(f"its pickle is damaged {where} ({type(error).__name__}: {ascii(str(error)[:200])})") from None


def _interpret(stream: PickleStream, storages: dict[str, StoredStorage], foreign: bool) -> object:
    find, apply = (_foreign, _apply_foreign) if foreign else (look_up, call)
    stack: list = []
    outer: list[list] = []  # the stacks below each open mark
    memo: dict[int, object] = {}
    for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
        if count > INSTRUCTIONS:
            raise Refused(f"its pickle has over {INSTRUCTIONS} instructions, too many for a state dict")
        match code.name:
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
            case "BINSTRING" | "SHORT_BINSTRING" | "BINBYTES" | "SHORT_BINBYTES":
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(code.name == "NEWTRUE")
            case "MARK":
                outer.append(stack)
                stack = []
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(_pop(stack, int(code.name[-1]))))
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
            case "GLOBAL":
                stack.append(find(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                stack.append(find(".".join(_pop(stack, 2))))
            case "REDUCE":
                function, arguments = _pop(stack, 2)
                stack.append(apply(function, arguments))
            case "NEWOBJ" if foreign:
                stack.append(apply(*_pop(stack, 2)))
            case "BUILD":
                stack.pop()  # attributes: of an OrderedDict (module versions) or a tensor
                _target(stack, dict, StoredTensor, Foreign)
            case "BINPERSID":
                storage = storage_of(*stack.pop())
                if storages.setdefault(storage.key, storage) != storage:
                    raise ValueError("one storage described in two ways")
                stack.append(storage)
            case "STOP":
                return stack.pop()
            case name:
                raise Refused(f"its pickle uses the instruction {name}, which tensors do not need", RESAVE)
    raise Refused("its pickle does not end")


def _foreign(name: str) -> Foreign:
    return Foreign(name)


def _apply_foreign(function: object, arguments: object) -> object:
    """What a call makes: a dictionary if the kind is one, else a stranger."""
    name = function.name if isinstance(function, Foreign) else ""
    if name in ("collections.OrderedDict", "collections.Counter", "collections.defaultdict", "builtins.dict"):
        return _dictionary(arguments)
    return Foreign(name)


def _dictionary(arguments: object) -> dict:
    """The dictionary made of nothing, of a dictionary, or of pairs; what is said of other arguments does not matter."""
    made: dict = {}
    source = arguments[0] if isinstance(arguments, tuple) and arguments else ()
    pairs = [*source.items()] if isinstance(source, dict) else source if isinstance(source, list) else ()
    fill(made, [item for pair in pairs for item in pair])
    return made


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
