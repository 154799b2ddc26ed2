"""The arithmetic of `${calc:…}`: exact where it can be, bounded always, and nothing but arithmetic."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import nearest_divisors
from .documents import shown

MAX_LENGTH = 500  # characters of an expression
MAX_DEPTH = 40
MAX_BITS = 64  # of a whole number

_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add), ast.Sub: ("-", operator.sub), ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv), ast.FloorDiv: ("//", operator.floordiv), ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("==", operator.eq), ast.NotEq: ("!=", operator.ne), ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le), ast.Gt: (">", operator.gt), ast.GtE: (">=", operator.ge),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "len": len}
_CONSTANTS = {"true": True, "false": False, "null": None}


class CalcError(ValueError):
    """An expression that is none, or has no value."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """The value of `expression`, in which `names` may occur. CalcError if it has none.

    Numbers, quoted strings, true, false, null; + - * / // % ** == != < <= > >= and or not, `a if c else b`,
    parentheses, min, max, len. Between whole numbers `/` is exact: it is an error unless it comes out even.
    """
    if len(expression) > MAX_LENGTH:
        raise CalcError(f"an expression of {len(expression)} characters; {MAX_LENGTH} is the most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python's parser, about spellings like `1if`
            tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise CalcError(f"`{expression.strip()}` is not an expression") from error
    _check_depth(tree)
    return _value(tree, names)


def _check_depth(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise CalcError(f"an expression nested more than {MAX_DEPTH} levels deep")


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return _bounded(value)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.Name(id=name):
            raise CalcError(f"unknown name `{name}`", f"an hparam is written ${{{name}}}")
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(_value(operand, names))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(_value(operand, names), "-")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _arithmetic(type(op), _value(left, names), _value(right, names))
        case ast.BoolOp(op=op, values=values):
            stop = isinstance(op, ast.Or)
            return stop if any(_truth(_value(value, names)) is stop for value in values) else not stop
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _truth(_value(test, names)) else orelse, names)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _comparison(ops, [_value(operand, names) for operand in (left, *comparators)])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _call(name, [_value(argument, names) for argument in args])
    raise CalcError(
        f"`{ast.unparse(node)}` is more than arithmetic",
        "allowed are + - * / // % ** comparisons, and, or, not, `a if c else b`, min, max, len",
    )


def _arithmetic(op: type[ast.operator], left: Any, right: Any) -> int | float:
    sign, apply = _ARITHMETIC[op]
    _number(left, sign)
    _number(right, sign)
    whole = isinstance(left, int) and isinstance(right, int)
    if right == 0 and op in (ast.Div, ast.FloorDiv, ast.Mod):
        raise CalcError(f"{left} {sign} {right}: division by zero")
    if op is ast.Div and whole:
        if left % right:
            raise CalcError(f"{left} cannot be split evenly by {right}", nearest_divisors(left, right))
        apply = operator.floordiv
    if op is ast.Pow and whole and abs(left) > 1 and right * abs(left).bit_length() > 2 * MAX_BITS:
        raise CalcError(f"{left} ** {right} is too large")
    try:
        return _bounded(apply(left, right))
    except (OverflowError, ZeroDivisionError) as error:
        raise CalcError(f"{left} {sign} {right} has no value") from error


def _bounded(value: Any) -> Any:
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        raise CalcError("the result is not a finite number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise CalcError(f"a whole number of more than {MAX_BITS} bits")
    return value


def _comparison(ops: list[ast.cmpop], values: list[Any]) -> bool:
    for op, left, right in zip(ops, values, values[1:], strict=False):
        if type(op) not in _COMPARISONS:
            raise CalcError("`in` and `is` are not among the comparisons", "use == and !=")
        sign, compare = _COMPARISONS[type(op)]
        try:
            if not compare(left, right):
                return False
        except TypeError as error:
            raise CalcError(f"{_repr(left)} {sign} {_repr(right)} cannot be compared") from error
    return True


def _call(name: str, arguments: list[Any]) -> Any:
    try:
        return _FUNCTIONS[name](*arguments)
    except (TypeError, ValueError) as error:
        raise CalcError(f"{name}({', '.join(map(_repr, arguments))}) has no value") from error


def _number(value: Any, sign: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CalcError(f"{_repr(value)} is not a number, as `{sign}` needs")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CalcError(f"{_repr(value)} is neither true nor false", "compare it: `… > 0`, `… != null`")
    return value


def _repr(value: Any) -> str:
    return shown(repr(value) if isinstance(value, str) else value)
