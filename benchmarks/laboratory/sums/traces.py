"""How a problem is worked out in writing: the thinking text for each task.

Representation decides what a tiny model can learn. Two choices carry these traces:
- numbers inside the thinking stand in reversed digits and fixed width, so every digit depends only
  on digits already written;
- negative totals are ten's complements with the sign written last (-5 is `599-`), so adding and
  subtracting stay digit by digit, with no comparison of sizes.

Prompts and answers are ordinary text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WAIT = "Wait"
"""A token of the vocabulary that no trace of the quickstart writes; extensions append it."""


def written(value: int, width: int) -> str:
    """`value` in `width` reversed digits, 17 as `710`; negative values as ten's complements."""
    return f"{value % 10**width:0{width}d}"[::-1]


def chain_sum(meta: dict[str, Any]) -> str:
    """`12 + 5 - 30` as `+12=210+`, `+5=710+`, `-30=789-`: term, running total in three digits,
    sign.
    """
    words = ("+ " + meta["expression"]).split()
    steps, total = [], 0
    for sign, digits in zip(words[::2], words[1::2], strict=True):
        total += int(sign + digits)
        steps.append(f"{sign}{digits}={written(total, 3)}{'-' if total < 0 else '+'}")
    return "".join(steps)


TRACES: dict[str, Callable[[dict[str, Any]], str]] = {"chain_sum": chain_sum}
