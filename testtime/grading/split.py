"""Tests taken apart, so that success is judged where the program cannot reach.

`assert call(args) == expected` becomes a call, which runs in the sandbox, and a comparison, which
runs here with the plain value that came back. The program never sees what is expected, so it can
fake a success only by knowing the answer. What cannot be taken apart (loops, random inputs, a
helper of the test's own) is None, and runs as a whole beside the program.
"""

from __future__ import annotations

import ast
import builtins
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_PURE: dict[str, Callable[..., Any]] = {
    name: getattr(builtins, name)
    for name in [
        "abs",
        "tuple",
        "list",
        "set",
        "frozenset",
        "sorted",
        "len",
        "round",
        "sum",
        "min",
        "max",
        "str",
        "int",
        "float",
        "bool",
    ]
} | {"math.fabs": math.fabs, "math.isclose": math.isclose, "isclose": math.isclose}
_PURE["a list for a tuple"] = lambda value: list(value) if isinstance(value, tuple) else value
_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_COMPARED: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b, ast.Is: lambda a, b: type(a) is type(b) and a == b,
    ast.IsNot: lambda a, b: not (type(a) is type(b) and a == b),
}  # fmt: skip
_CALL = "call "  # begins a name no source can hold: where a call's result goes
_LARGEST = 1_000_000  # bits of a power, or entries of a repeated sequence


class _WholeError(Exception):
    """This test cannot be taken apart."""


@dataclass(frozen=True)
class Split:
    """A test in two parts. setup: statements that run in the sandbox before the calls; calls:
    expressions to evaluate there; checks: (the assert as written, its condition over the results).
    """

    setup: str
    calls: tuple[str, ...]
    checks: tuple[tuple[str, ast.expr], ...]

    def failure(self, results: Sequence[Any]) -> str | None:
        """The first check that does not hold, or "" where a result it needs has not come; None
        where all hold.
        """
        waiting = False
        for source, condition in self.checks:
            needed = [int(n.id[len(_CALL) :]) for n in _places(condition)]
            if any(number >= len(results) for number in needed):
                waiting = True
                continue
            try:
                holds = bool(_value(condition, results))
            except Exception as error:  # of types that do not compare, overflows, recursion
                return f"{source[:120]}: {type(error).__name__}"
            if not holds:
                gave = ", ".join(repr(results[number])[:80] for number in needed)
                return f"{source[:120]}: gave {gave}"
        return "" if waiting else None


def of_check(test: str, entry_point: str) -> Split | None:
    """HumanEval's form: a function `check(candidate)` whose body is asserts."""
    try:
        module = ast.parse(test)
        functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
        plain = (ast.FunctionDef, ast.Assign, ast.Import, ast.ImportFrom, ast.Expr)
        if [f.name for f in functions] != ["check"] or not all(
            isinstance(node, plain) for node in module.body
        ):
            return None
        setup = [ast.unparse(node) for node in module.body if node not in functions]
        argument = functions[0].args.args[0].arg
        lines = [*setup, f"{argument} = {entry_point}"]
        return _asserts(functions[0].body, {argument, entry_point}, "\n".join(lines))
    except (SyntaxError, ValueError, IndexError, RecursionError, _WholeError):
        return None


def of_asserts(tests: str, setup: str) -> Split | None:
    """MBPP's form: lines of asserts after a setup."""
    try:
        return _asserts(ast.parse(tests).body, None, setup)
    except (SyntaxError, ValueError, RecursionError, _WholeError):
        return None


def of_pairs(pairs: Sequence[tuple[str, Any]]) -> Split:
    """(call, plain value that it must give) each; a tuple counts as a list."""
    checks: list[tuple[str, ast.expr]] = []
    for number, (call, wanted) in enumerate(pairs):
        place = ast.Call(ast.Name("a list for a tuple"), [ast.Name(f"{_CALL}{number}")], [])
        same = ast.Compare(place, [ast.Eq()], [ast.Constant(wanted)])
        checks.append((f"{call[:100]} == {wanted!r:.60}", same))
    return Split("", tuple(call for call, _ in pairs), tuple(checks))


def _asserts(body: Sequence[ast.stmt], callable_names: set[str] | None, setup: str) -> Split:
    calls: list[str] = []
    checks = []
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Pass):
            continue
        if not isinstance(node, ast.Assert):
            raise _WholeError
        source = ast.unparse(node)
        apart = _Apart(calls, callable_names)
        before = len(calls)
        condition = apart.visit(node.test)
        if len(calls) == before and not isinstance(node.test, ast.Constant):
            # the tested function is called like a builtin: def sum(a, b)
            left = node.test.left if isinstance(node.test, ast.Compare) else node.test
            if not isinstance(left, ast.Call):
                raise _WholeError
            apart.forced = ast.unparse(left)
            condition = apart.visit(ast.parse(source).body[0].test)  # type: ignore[attr-defined]
        checks.append((source, condition))
    return Split(setup, tuple(calls), tuple(checks))


class _Apart(ast.NodeTransformer):
    """Puts a name in place of every call of the program's functions; refuses whatever could not be
    evaluated here.
    """

    def __init__(self, calls: list[str], callable_names: set[str] | None) -> None:
        self.calls, self.callable_names, self.forced = calls, callable_names, ""

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if ast.unparse(node) != self.forced and name in _PURE:
                node.args = [self.visit(argument) for argument in node.args]
                for keyword in node.keywords:
                    keyword.value = self.visit(keyword.value)
                return node
            known = self.callable_names
            if not isinstance(node.func, ast.Name) or (known is not None and name not in known):
                raise _WholeError
            self.calls.append(ast.unparse(node))
            return ast.Name(f"{_CALL}{len(self.calls) - 1}")
        allowed = (
            ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Compare, ast.BoolOp,
            ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Load,
        )  # fmt: skip
        if not isinstance(node, allowed):
            raise _WholeError
        return self.generic_visit(node)


def _places(node: ast.AST) -> list[ast.Name]:
    return [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id.startswith(_CALL)]


def _value(node: ast.AST, results: Sequence[Any]) -> Any:
    """The value of a condition. It holds only what `_Apart` lets pass."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return results[int(node.id[len(_CALL) :])]
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind: Any = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind([_value(one, results) for one in node.elts])
    if isinstance(node, ast.Dict):
        keys = [_value(key, results) for key in node.keys if key is not None]
        return dict(zip(keys, (_value(one, results) for one in node.values), strict=True))
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_value(node.operand, results))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, results), _value(node.right, results)
        if isinstance(node.op, (ast.Mult, ast.Pow)) and _size(node.op, left, right) > _LARGEST:
            raise OverflowError
        return _BINARY[type(node.op)](left, right)
    if isinstance(node, ast.BoolOp):
        values = (_value(one, results) for one in node.values)
        return all(values) if isinstance(node.op, ast.And) else any(values)
    if isinstance(node, ast.Compare):
        left = _value(node.left, results)
        for op, other in zip(node.ops, node.comparators, strict=True):
            right = _value(other, results)
            if not _COMPARED[type(op)](left, right):
                return False
            left = right
        return True
    assert isinstance(node, ast.Call)
    arguments = [_value(one, results) for one in node.args]
    named = {keyword.arg or "": _value(keyword.value, results) for keyword in node.keywords}
    return _PURE[ast.unparse(node.func)](*arguments, **named)


def _size(op: ast.operator, left: Any, right: Any) -> float:
    """About how large a product or power is: bits of a number, entries of a sequence."""
    if isinstance(op, ast.Pow):
        return (
            left.bit_length() * abs(right)
            if isinstance(left, int) and isinstance(right, int)
            else 0
        )
    for sequence, times in ((left, right), (right, left)):
        if hasattr(sequence, "__len__") and isinstance(times, int):
            return float(len(sequence) * times)
    return 0
