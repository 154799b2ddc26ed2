"""The closed registry of blocks: short name -> `nn.Module` class. A spec can name nothing else.

A block's keyword-only, typed constructor is the single source of its YAML keys, JSON schema and reference
documentation. Three kinds of annotation are slots, filled with built blocks instead of values:

* `norm: Norm`               one block of that category
* `norm: Factory[Norm]`      a function that builds a new one at each call (one per layer, one per sublayer)
* `sublayers: dict[str, Sublayer]`   named blocks
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import nn

from ..errors import UsageError, nearest_divisors

T = TypeVar("T", bound=nn.Module)
B = TypeVar("B", bound=type)

SlotKind = Literal["one", "factory", "named"]


class Factory(Generic[T]):
    """Annotation of a slot that wants a function `() -> T`, because the block builds several. Where layers are of
    several kinds, the function takes the kind."""

    def __call__(self, kind: str | None = None) -> T: ...


class BlockError(UsageError, ValueError):
    """Arguments that cannot make a block, or inputs it cannot take. `arguments` names the ones at fault."""

    def __init__(self, message: str, *arguments: str, help: str | None = None) -> None:
        super().__init__(message, help=help)
        self.message = message
        self.arguments = arguments
        self.help = help


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both included."""

    low: float
    high: float


Size = Annotated[int, Range(1, 2**28)]  # of a dimension
Count = Annotated[int, Range(0, 2**28)]
Probability = Annotated[float, Range(0, 1)]
Epsilon = Annotated[float, Range(0, 1)]  # of a norm


@dataclass(frozen=True, slots=True)
class Parameter:
    """One constructor argument of a block."""

    name: str
    annotation: Any  # for values: the Python type; for slots: the category (an nn.Module subclass)
    default: Any  # inspect.Parameter.empty if required
    slot: SlotKind | None
    optional: bool  # None is allowed
    doc: str
    range: Range | None = None

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Divides:
    """`divisor` must divide `number` exactly, unless it is absent, or the argument `unless` is given."""

    number: str
    divisor: str
    unit: str  # "heads": 768 cannot be split into 10 heads
    unless: str | None = None

    def check(self, arguments: dict[str, Any]) -> None:
        """Raise BlockError if it does not."""
        if self.unless is not None and arguments.get(self.unless) is not None:
            return
        number, divisor = arguments[self.number], arguments[self.divisor]
        if divisor is not None and (divisor < 1 or number % divisor):
            raise BlockError(
                self.message(number, divisor), self.number, self.divisor, help=nearest_divisors(number, divisor)
            )

    def message(self, number: int, divisor: int) -> str:
        return f"{number} cannot be split into {divisor} {self.unit}"


class Block:
    """What every block class states beside its constructor. A mixin, so that it can stand before any nn.Module."""

    block: ClassVar[str]  # the registered name
    leaf: ClassVar[str]  # of modules that hold parameters: the name by which weight mappings know their layout
    reads: ClassVar[frozenset[str]] = frozenset()  # names of Context fields or of other parts' outputs
    provides: ClassVar[frozenset[str]] = frozenset()  # names of outputs
    constraints: ClassVar[tuple[Divides, ...]] = ()


_BLOCKS: dict[str, type[nn.Module]] = {}


def register(name: str) -> Callable[[B], B]:
    """Class decorator: make the block known to specs under `name`."""

    def decorate(cls: B) -> B:
        if name in _BLOCKS and _BLOCKS[name].__qualname__ != cls.__qualname__:
            raise ValueError(f"block `{name}` is registered already, by {_BLOCKS[name].__qualname__}")
        cls.block = name
        _BLOCKS[name] = cls
        return cls

    return decorate


def get(name: str) -> type[nn.Module]:
    """The class registered under `name`; KeyError if there is none."""
    return _BLOCKS[name]


def blocks(category: type | None = None) -> Iterator[tuple[str, type[nn.Module]]]:
    """Registered (name, class) pairs by name, of one category if given."""
    return ((n, c) for n, c in sorted(_BLOCKS.items()) if category is None or issubclass(c, category))


@cache
def parameters(cls: type[nn.Module]) -> dict[str, Parameter]:
    """The constructor's arguments, in order."""
    hints = get_type_hints(cls.__init__, include_extras=True)
    docs = argument_docs(cls)
    found = {}
    for name, argument in inspect.signature(cls.__init__).parameters.items():
        if argument.kind is inspect.Parameter.KEYWORD_ONLY:
            annotation, optional = _strip_none(hints[name])
            bounds = None
            if get_origin(annotation) is Annotated:
                annotation, bounds = get_args(annotation)
            annotation, slot = _slot(annotation)
            found[name] = Parameter(name, annotation, argument.default, slot, optional, docs.get(name, ""), bounds)
    return found


def argument_docs(cls: type) -> dict[str, str]:
    """The `name: text` lines of the docstring's `Args:` section."""
    docs: dict[str, str] = {}
    inside, name, indent = False, "", 0
    for line in (inspect.getdoc(cls) or "").splitlines():
        if line.strip() == "Args:":
            inside = True
        elif inside and line.strip():
            depth = len(line) - len(line.lstrip())
            if depth == 0:
                break
            indent = indent or depth
            if depth == indent and ":" in line:
                name, _, text = line.strip().partition(":")
                docs[name] = text.strip()
            elif name:
                docs[name] += " " + line.strip()
    return docs


def _strip_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = tuple(a for a in get_args(annotation) if a is not type(None))
        if len(rest) < len(get_args(annotation)):
            return (rest[0] if len(rest) == 1 else Union[rest]), True  # noqa: UP007
    return annotation, False


def _slot(annotation: Any) -> tuple[Any, SlotKind | None]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Factory:
        return args[0], "factory"
    if origin is dict and inspect.isclass(args[1]) and issubclass(args[1], nn.Module):
        return args[1], "named"
    if inspect.isclass(annotation) and issubclass(annotation, nn.Module):
        return annotation, "one"
    return annotation, None
