"""Numbers too large to write out: whether two of them differ by their size alone.

`9^{9^{9}}` has 370 million digits and `9^{9^{9^9}}` more than the universe has atoms, but neither
is 42, and their logarithms say so.
"""

from __future__ import annotations

import math
from typing import Any

MOST_BITS = (
    10_000_000  # of a power that sympy is let to write out: seconds, and memory, grow with them
)
_APART = 4.0  # bits by which two sizes must differ, so that no rounding of a logarithm decides
_LARGEST = 1000.0  # bits of an exponent; a larger one makes a power larger than anything finite
Bounds = tuple[float, float]


def huge(found: list[Any]) -> bool:
    """Whether a parsed answer holds a power of a fraction that would be too long written out."""
    from sympy import Basic, Pow, preorder_traversal

    nodes = (node for tree in found if isinstance(tree, Basic) for node in preorder_traversal(tree))
    return any(_bits(node) > MOST_BITS for node in nodes if isinstance(node, Pow))


def differ(one: list[Any], other: list[Any]) -> bool:
    """Whether two parsed answers are numbers of different size; False where that is not known."""
    if not (one and other):
        return False
    left, right = _size(one[0]), _size(other[0])
    if left is None or right is None:
        return False
    return left[0] > right[1] + _APART or right[0] > left[1] + _APART


def _bits(node: Any) -> float:
    """About log2 of a number made of integers and powers, 0 for anything else; infinite for
    towers.
    """
    if node.is_Rational:
        return float(max(abs(node.p), node.q).bit_length())
    if not node.is_Pow:
        return 0.0
    base, exponent = _bits(node.base), node.exp
    return base * (
        abs(float(exponent))
        if exponent.is_Float or exponent.is_Rational
        else 2.0 ** min(_bits(exponent), _LARGEST)
    )


def _size(node: Any) -> Bounds | None:
    """Bounds of log2 of a number's absolute value; (-inf, -inf) for 0, None where it is not known
    to be made of numbers, products and powers alone.
    """
    from sympy import Basic

    if not isinstance(node, Basic):
        return None
    if node.is_Rational:
        if not node.p:
            return -math.inf, -math.inf
        near = abs(node.p).bit_length() - node.q.bit_length()
        return near - 1.0, near + 1.0
    if node.is_Float or node.is_NumberSymbol:
        value = abs(float(node))
        near = math.log2(value) if 0 < value < math.inf else math.nan
        return None if math.isnan(near) else (near - 0.01, near + 0.01)
    if node.is_Mul:
        sizes = [_size(factor) for factor in node.args]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes) or any(math.isinf(low) for low, _ in known):
            return None
        return sum(low for low, _ in known), sum(high for _, high in known)
    if node.is_Pow:
        base, exponent = _logarithm(node.base), _value(node.exp)
        if base is None or exponent is None:
            return None
        corners = [b * e for b in base for e in exponent]
        return None if any(map(math.isnan, corners)) else (min(corners), max(corners))
    return None


def _logarithm(node: Any) -> Bounds | None:
    """log2 of a base that is a plain number; close, because an exponent multiplies its error."""
    if node.is_Rational and node.p:
        near = math.log2(abs(int(node.p))) - math.log2(int(node.q))
        return near - 1e-9, near + 1e-9
    return _size(node)


def _value(node: Any) -> Bounds | None:
    """Bounds of an exponent: a plain number, or a positive power whose size is known."""
    if node.is_Rational or node.is_Float:
        try:
            return float(node), float(node)
        except OverflowError:
            return (2.0**_LARGEST, math.inf) if node > 0 else (-math.inf, -(2.0**_LARGEST))
    sign = 1.0
    if node.is_Mul and node.args and node.args[0].is_Rational and node.args[0] < 0:
        sign, node = -1.0, -node
    size = _size(node)
    if size is None or not (node.is_Pow and node.base.is_Rational and node.base > 0):
        return None
    low = 2.0 ** max(min(size[0], _LARGEST), -_LARGEST)
    high = 2.0 ** size[1] if size[1] < _LARGEST else math.inf
    return (low, high) if sign > 0 else (-high, -low)
