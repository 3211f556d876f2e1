"""How axes, settings, budgets, selectors, amounts and intervals are said, in one place.

The terminal, the figures, the page and the exported tables all take their words from here, so that
one thing has one name. Nothing is imported but the standard library: every room may use it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from testtime import grammar

Level = tuple[str, float]  # (setting, thinking budget or NaN): what a pool of answers was drawn at
LONGEST = 18  # letters of a level under an axis


@dataclass(frozen=True)
class Axis:
    """A compute axis. unit: "tokens"; per: what one unit of the axis is counted over; scale: what a
    mean a problem is multiplied by, so that the numbers on the axis are ones that people can read.
    """

    unit: str
    per: str = "a problem"
    scale: float = 1.0

    @property
    def title(self) -> str:
        """What stands under the axis: `dollars per 1,000 problems`."""
        return f"{self.unit} {self.per}"


AXES = {  # column of the cells table -> how it is said; the first known is the main one everywhere
    "flops": Axis("FLOPs"),
    "tokens": Axis("tokens"),
    "usd": Axis("dollars", "per 1,000 problems", 1000.0),
    "seconds": Axis("seconds"),
}


def axis(name: str) -> Axis:
    """The axis of a column; one that is not in AXES is called by its name, and n is samples."""
    return AXES.get(name) or Axis("samples" if name == "n" else name.replace("_", " "))


def cost(name: str, value: float) -> str:
    """A mean cost in words: `250 tokens a problem`, `$0.41 per 1,000 problems`; `-` where there is
    none.
    """
    of = axis(name)
    if math.isnan(value):
        return "-"
    return spent(name, value) if name == "usd" else f"{spent(name, value)} {of.per}"


def spent(name: str, value: float) -> str:
    """`cost` without what it is counted over, where that is said already: `250 tokens`,
    `1 sample`; dollars keep it, because theirs is another.
    """
    of, number = axis(name), scaled(name, value)
    if name == "usd":
        return f"${number} {of.per}"
    return f"{number} {of.unit[:-1] if number == '1' and of.unit.endswith('s') else of.unit}"


def scaled(name: str, value: float) -> str:
    """The number alone, as it stands on the axis."""
    return amount(value * axis(name).scale)


_SUPER = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def amount(value: float, digits: int = 3) -> str:
    """A number as people write it: 250, 1.5k, 20k, 3M, 2·10⁹, 0.004; `-` where there is none."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "-"
    size = abs(value)
    if size >= 0.9995e9 or size < 1e-4:
        return power_of_ten(value)
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if size >= unit * 0.9995:
            return _plain(value / unit, digits) + letter
    return _plain(value, digits)


def power_of_ten(value: float) -> str:
    """`2·10⁹`, `10⁻⁵`; `0` is itself."""
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)) + 1e-9)
    factor = f"{value / 10.0**power:.2g}"
    if factor in ("10", "-10"):
        factor, power = factor[:-1], power + 1
    return ("" if factor == "1" else f"{factor}·") + f"10{str(power).translate(_SUPER)}"


def _plain(value: float, digits: int) -> str:
    """So many significant digits, never in powers of ten."""
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{round(value, places):.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def counted(number: int, noun: str) -> str:
    """`1 sample`, `2,000 samples`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(value: float, digits: int = 1) -> str:
    """A share in percent, without the sign; `-` where there is none."""
    return "-" if math.isnan(value) else f"{100 * value:.{digits}f}"


def interval(value: float, lo: float, hi: float, level: float = 0.95) -> str:
    """`48.1% (95% interval 41.0 to 55.2)`.

    One problem has no interval, and no other problem to judge a choice on.
    """
    if math.isnan(lo):
        return "-" if math.isnan(value) else f"{percent(value)}% (one problem, no interval)"
    return f"{percent(value)}% ({level:.0%} interval {percent(lo)} to {percent(hi)})"


def brackets(value: float, lo: float, hi: float) -> str:
    """`48.1 [41.0, 55.2]`, in percent: how tables and terminals write an interval."""
    return percent(value) + ("" if math.isnan(lo) else f" [{percent(lo)}, {percent(hi)}]")


def points(value: float, lo: float, hi: float) -> str:
    """A difference of accuracies in points: `+3.1 [-0.4, +6.6]`."""
    if math.isnan(lo):
        return f"{100 * value:+.1f}"
    return f"{100 * value:+.1f} [{100 * lo:+.1f}, {100 * hi:+.1f}]"


def level(of: Level, unit: bool = False) -> str:
    """`512`, `512 tokens`, `high`, `wait=1, 512`; `as it comes` where nothing was asked for."""
    setting, budget = of
    number = "" if math.isnan(budget) else f"{budget:,.0f}" + (" tokens" if unit else "")
    return ", ".join(part for part in (setting, number) if part) or "as it comes"


def where(of: Level) -> str:
    """`level` in a sentence: `budget 512 tokens`, `effort=high`."""
    return ("budget " if not math.isnan(of[1]) and not of[0] else "") + level(of, unit=True)


def short_level(of: Level) -> str:
    """`level`, cut to what fits under an axis."""
    name = level(of)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def row_level(row: Any, prefix: str = "") -> Level:
    """The (setting, budget) of a row of a table; prefix: of its columns, such as "a_"."""
    budget = row[f"{prefix}budget"]
    known = str(budget) not in ("None", "nan", "<NA>")  # pandas has three words for it
    return str(row[f"{prefix}setting"]), float(budget) if known else math.nan


def selector(name: str, n: int | None = None) -> str:
    """A selector in words: `majority vote`; with n: `majority vote of 16`, `one sample`."""
    read = grammar.selector(name)
    by = f" by {read.column.replace('_', ' ')}"
    amount = f"{read.numbers[0]:g}" if read.numbers else ""
    told = {
        "mean": "one sample",
        "majority": "majority vote",
        "oracle": "oracle (pass@n)",
        "best": "best" + by,
        "genselect": f"GenSelect by {read.column.rpartition('_')[0]}",
        "filtered": f"vote of the best {float(amount or 1):.0%}{by}",
        "shortest": f"vote of the {amount} shortest",
        "longest": f"vote of the {amount} longest",
    }.get(read.kind, "weighted vote" + by)
    if n is None:
        return told
    if read.kind == "oracle":
        return f"oracle (pass@{n})"
    return "one sample" if n == 1 else f"{told} of {n}"


def cell(row: Any) -> str:
    """`budget 512 tokens, majority vote of 16` for a row with setting, budget, n and selector."""
    return f"{where(row_level(row))}, {selector(str(row['selector']), int(row['n']))}"


def short_model(name: str) -> str:
    """A model without its owner or folder: `Qwen3-8B` for `Qwen/Qwen3-8B`; `ladder/3` stays."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return last if len(last) > 3 else name


def sentence(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]
