"""How a problem is worked out in writing: the thinking text for each task.

Representation decides what a tiny model can learn. Three choices carry these traces: - numbers
inside the thinking stand in reversed digits and fixed width, so every digit depends only on digits
already written; - negative totals are ten's complements with the sign written last (-5 is `599-`),
so adding and subtracting stay digit by digit, with no comparison of sizes; - Euclid's algorithm
goes by subtraction (of ten times the smaller number where that fits), so a step is one subtraction.

A problem can be worked *another way* (terms from the last to the first, the two numbers swapped):
that is the second pass which follows a "Wait". Prompts and answers are ordinary text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WAIT = "Wait"
"""The marker that a second pass follows; one token of the vocabulary."""


def written(value: int, width: int) -> str:
    """`value` in `width` reversed digits, e.g. 17 as `710`; negative values as ten's
    complements.
    """
    return f"{value % 10**width:0{width}d}"[::-1]


def chain_sum(meta: dict[str, Any], again: bool) -> str:
    """`12 + 5 - 30` as `+12=210+`, `+5=710+`, `-30=789-`: term, running total in three digits,
    sign.
    """
    words = ("+ " + meta["expression"]).split()
    terms = list(zip(words[::2], words[1::2], strict=True))
    steps, total = [], 0
    for sign, digits in reversed(terms) if again else terms:
        total += int(sign + digits)
        steps.append(f"{sign}{digits}={written(total, 3)}{'-' if total < 0 else '+'}")
    return "".join(steps)


def gcd(meta: dict[str, Any], again: bool) -> str:
    """`[36, 27]` as `63,72;` `90,72;` `90,81;` `90,90;`: pairs until both numbers are equal."""
    a, b = reversed(meta["numbers"]) if again else meta["numbers"]
    steps = [(a, b)]
    while a != b:
        if a > b:
            a -= 10 * b if a > 10 * b else b
        else:
            b -= 10 * a if b > 10 * a else a
        steps.append((a, b))
    return "".join(f"{written(a, 2)},{written(b, 2)};" for a, b in steps)


def products(meta: dict[str, Any], again: bool) -> str:
    """`34 * 27` as `7*34=8320;` `20*34=0860;` `=8190`: partial products in four digits, then their
    sum.
    """
    left, right = meta["expression"].split(" * ")
    if again:
        left, right = right, left
    parts = [digit + "0" * place for place, digit in enumerate(reversed(right))]
    steps = [f"{part}*{left}={written(int(part) * int(left), 4)};" for part in parts]
    return "".join(steps) + f"={written(int(left) * int(right), 4)}"


TRACES: dict[str, Callable[[dict[str, Any], bool], str]] = {
    "chain_sum": chain_sum,
    "gcd": gcd,
    "products": products,
}
