"""Differences that a comparison of values does not see, and the conventions for them.

A unit that both sides name must be the same one; a missing unit is forgiven. A base that both name
must be the same. A list in braces is a set, one in round brackets is ordered. Derivatives must have
the same number of primes.
"""

from __future__ import annotations

import re

from testtime.grading.numbers import parse_number

_UNITS = {
    "mm": "millimeter "
          "millimetre", "cm": "centimeter "
                              "centimetre", "m": "meter metre", "km": "kilometer kilometre",
    "in": "inch inches", "ft": "foot feet", "yd": "yard", "mi": "mile", "mg": "milligram",
    "g": "gram", "kg": "kilogram", "lb": "pound", "oz": "ounce", "t": "ton tonne",
    "ms": "millisecond", "s": "sec second", "min": "minute", "h": "hr hour", "day": "", "week": "",
    "month": "", "year": "yr", "ml": "milliliter millilitre", "l": "liter litre", "gal": "gallon",
    "mph": "", "km/h": "kph kmh", "m/s": "", "hz": "hertz", "n": "newton", "j": "joule",
    "w": "watt", "v": "volt", "dollar": "usd", "cent": "", "euro": "eur", "degree": "deg",
    "radian": "rad",
}  # fmt: skip
_NAMES = {name: unit for unit, others in _UNITS.items() for name in (unit, *others.split())}
_SHORT = {
    "m",
    "in",
    "g",
    "t",
    "s",
    "h",
    "l",
    "n",
    "j",
    "w",
    "v",
    "min",
}  # a variable's name unless it is marked as text
_MARKED = re.compile(
    r"\\(?:text|mbox|mathrm|textnormal|textbf|textrm|rm|hbox)\s*\{\s*(?P<words>[A-Za-z/ "
    r".]{1,40}?)\s*\}"
    r"(?:\s*\^\s*\{?(?P<power>[23])\}?)?[\s.]*$"
)
_OPEN = re.compile(
    r"(?<=[\d})])\s*(?P<words>[A-Za-z/][A-Za-z/ .]{0,40}?)(?:\s*\^\s*\{?(?P<power>[23])\}?)?[\s.]*$"
)
_COUNTED = re.compile(r"([-+]?[\d.,]*\d)\s+((?:[A-Za-z]{3,15}[\s.]*){1,4})")
_FUNCTIONS = re.compile(
    r"\b(?:sin|cos|tan|cot|sec|csc|log|exp|mod|and|choose|sqrt|percent|inf|infinity|pct|percentage)\b"
)
_BASE = re.compile(r"^\(?([0-9A-Fa-f]+)\)?_\{?(\d{1,2})\}?$")
_PRIMED = re.compile(r"([A-Za-z])\s*((?:'|\^\s*\{?(?:\s*\\prime\s*)+\}?)+)")


def unit_of(text: str, short: bool = False) -> str | None:
    """The unit a value ends with, in one spelling (`cm^2`); None where there is none or it is not
    known. short: letters that may be a variable's name count as units too (25 m).
    """
    match = _MARKED.search(text[-80:]) or _OPEN.search(text[-80:])
    if match is None:
        return None
    words = match["words"].lower().replace(".", "").strip()
    power = match["power"] or ""
    for prefix, exponent in (("square ", "2"), ("sq ", "2"), ("cubic ", "3")):
        if words.startswith(prefix):
            words, power = words.removeprefix(prefix), exponent
    words = (
        words.replace("miles per hour", "mph")
        .replace("kilometers per hour", "km/h")
        .replace("meters per second", "m/s")
    )
    unit = _NAMES.get(words)
    if unit is None or (match.re is _OPEN and words in _SHORT and not short):
        return None
    return f"{unit}^{power}" if power else unit


def without_unit(text: str) -> str:
    """The value alone, where the text ends with a known unit, or is a number followed by plain
    words (7 apples).
    """
    match = _MARKED.search(text) or _OPEN.search(text)
    if match and unit_of(text) and text[: match.start()].strip():
        return text[: match.start()].strip()
    counted = _COUNTED.fullmatch(text)
    return counted[1] if counted and not _FUNCTIONS.search(counted[2]) else text


def base_of(text: str) -> tuple[str, str] | None:
    """(digits, base) of a number with its base as subscript."""
    match = _BASE.fullmatch(text.replace(" ", ""))
    return (match[1].lower(), match[2]) if match else None


def difference(gold: str, found: str) -> str | None:
    """Why two mended expressions differ although their values may compare equal; None where nothing
    says so.
    """
    units = unit_of(gold), unit_of(found)
    if bool(units[0]) != bool(units[1]):
        units = unit_of(gold, short=True), unit_of(found, short=True)
    if units[0] and units[1] and units[0] != units[1]:
        return f"the unit is {units[1]}, not {units[0]}"
    bases = base_of(gold), base_of(found)
    if bases[0] and bases[1] and bases[0] != bases[1]:
        return "another number or base"
    if {_bracket(gold), _bracket(found)} == {"set", "tuple"}:
        return "a set is not an ordered tuple"
    if _primes(gold) != _primes(found):
        return "another order of derivative"
    if parse_number(gold) is not None and _is_equation(found):
        return "an equation, whose right side is no answer"
    return None


def _is_equation(text: str) -> bool:
    """Whether `left = right` is an equation to be solved (x + 1 = 0, 5x - 7y + 4 = 0) and not the
    value of something that has a name ((x+y)^2 = 81, f(2) = 3, x = 5, 2 + 3 = 5).
    """
    left, equals, right = text.rpartition("=")
    left = left.rpartition("=")[2].strip()
    if not equals or re.search(r"[\\<>|]|^[A-Za-z]\s*\(", left):
        return False
    plain = re.sub(r"[_^]\s*(?:\{[^{}]*\}|\w)", "", left)
    variables = set(re.findall(r"[A-Za-z]", plain))
    if not variables or re.search(r"[A-Za-z]{3}", plain):
        return False
    numbers = bool(re.search(r"\d", plain))
    return numbers and (len(variables) == 1 or parse_number(right) == 0)


def _bracket(text: str) -> str | None:
    """set, tuple or None, where one pair of brackets around a list makes up the whole text."""
    text = text.strip()
    if text.startswith("\\{") and text.endswith("\\}") and text.count("\\{") == 1:
        return "set"
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1 and "," in text:
        return "tuple"
    return None


def _primes(text: str) -> list[tuple[str, int]]:
    return sorted(
        (name, marks.count("'") + marks.count("prime")) for name, marks in _PRIMED.findall(text)
    )
