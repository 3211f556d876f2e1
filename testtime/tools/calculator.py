"""Arithmetic without eval: exact on integers, fractions and decimals, bounded in size.

An expression is parsed and walked. Before a power or factorial is computed its size is known, so
`9**9**9` is refused and never begun.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from testtime.tools.base import Result, Tool

Number = Fraction | float
LONGEST = 2_000  # characters of an expression
BITS = 10_000  # of the largest number: some 3,000 digits
DECIMALS = 30  # digits up to which a number with an end is written out
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "·": "*", "^": "**"})


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, float) or isinstance(exponent, float) or exponent.denominator != 1:
        result = float(base) ** float(exponent)
        if isinstance(result, complex):
            raise ValueError("the root of a negative number")
        return float(result)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size > 1 and size * abs(exponent.numerator) > BITS:
        raise OverflowError
    return Fraction(base**exponent.numerator)


def _factorial(n: Number) -> Number:
    if n > 1_000:
        raise OverflowError
    return Fraction(math.factorial(_whole(n)))


def _root(x: Number) -> Number:
    if isinstance(x, Fraction) and x >= 0:
        top, bottom = math.isqrt(x.numerator), math.isqrt(x.denominator)
        if top * top == x.numerator and bottom * bottom == x.denominator:
            return Fraction(top, bottom)
    return math.sqrt(x)


def _whole(x: Number) -> int:
    if int(x) != x:
        raise ValueError(f"{_shown(x)} is not whole")
    return int(x)


def _combinations(n: Number, k: Number) -> Number:
    if n > 1_000:
        raise OverflowError
    return Fraction(math.comb(_whole(n), _whole(k)))


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "sqrt": _root,
    "factorial": _factorial,
    "comb": _combinations,
    "gcd": lambda *ns: math.gcd(*map(_whole, ns)),
    "lcm": lambda *ns: math.lcm(*map(_whole, ns)),
    **{name: getattr(math, name) for name in ("exp", "log", "log2", "log10", "sin", "cos", "tan")},
}
_CONSTANTS = {"pi": math.pi, "e": math.e}


class Calculator(Tool):
    """+ - * / // % **, parentheses, pi, e and common functions."""

    argument: ClassVar[str] = "expression"
    name: str = "calculator"
    about: str = "the value of an arithmetic expression, exact: (3/4 + 2**10) * sqrt(2)"

    def run(self, call: str, before: Sequence[str], seconds: float) -> Result:
        text = call.strip().translate(_SIGNS)
        if len(text) > LONGEST:
            return Result(f"error: an expression has at most {LONGEST:,} characters", "failed")
        try:
            return Result(_shown(_value(ast.parse(text, mode="eval").body, text)))
        except SyntaxError:
            return Result("error: not an arithmetic expression", "failed")
        except ZeroDivisionError:
            return Result("error: division by zero", "failed")
        except OverflowError:
            return Result("error: the number is too large", "failed")
        except (ValueError, TypeError) as error:
            return Result(f"error: {error}", "failed")
        except (RecursionError, MemoryError):
            return Result("error: nested too deeply", "failed")


def _value(node: ast.expr, text: str) -> Number:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError("True and False are no numbers")
        case ast.Constant(value=int(number)):
            return _bounded(Fraction(number))
        case ast.Constant(value=float(number)) if math.isfinite(number):
            written = (ast.get_source_segment(text, node) or "").replace("_", "")
            return Fraction(written) if number else Fraction(0)
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return _bounded(_BINARY[type(op)](_value(left, text), _value(right, text)))
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            return _bounded(_UNARY[type(op)](_value(operand, text)))
        case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(one, text) for one in arguments)))
        case ast.Name(name) if name in _CONSTANTS:
            return _CONSTANTS[name]
    raise ValueError(f"{ast.unparse(node)[:40]!r} is not arithmetic")


def _bounded(x: Any) -> Number:
    """The number, if it may still be computed with."""
    if isinstance(x, float):
        if not math.isfinite(x):
            raise OverflowError
        return x
    exact = Fraction(x)
    if max(exact.numerator.bit_length(), exact.denominator.bit_length()) > BITS:
        raise OverflowError
    return exact


def _shown(x: Number) -> str:
    if isinstance(x, float):
        return f"{x:.15g}"
    if x.denominator == 1:
        return str(x.numerator)
    for digits in range(1, DECIMALS + 1):
        if 10**digits % x.denominator == 0:
            whole, rest = divmod(abs(x.numerator) * 10**digits // x.denominator, 10**digits)
            return f"{'-' if x < 0 else ''}{whole}.{rest:0{digits}d}"
    return f"{x.numerator}/{x.denominator} = {float(x):.15g}"
