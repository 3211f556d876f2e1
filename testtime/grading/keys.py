"""Which answers are the same vote: a key that depends on the answer alone, never on the gold.

Symbolic comparison of every pair of answers would be slow and not transitive. Instead an answer is
evaluated once: exactly where it is rational, else to ten digits. Variables get fixed values, so
equal expressions get equal keys whatever their form (x+1 and 1+x; two different ones collide by
chance only). What cannot be read votes by its spelling.
"""

from __future__ import annotations

import hashlib
import math
import re
from fractions import Fraction

from testtime.grading.numbers import number_key, parse_number

LONGEST = 300  # characters of an answer that is evaluated
_BITS = 10_000  # of an exact power; larger ones become floats
_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|\\[A-Za-z]+|[A-Za-z]|\S)")
_FUNCTIONS = {
    r"\sin": math.sin,
    r"\cos": math.cos,
    r"\tan": math.tan,
    r"\ln": math.log,
    r"\log": math.log10,
    r"\exp": math.exp,
    r"\arctan": math.atan,
    r"\arcsin": math.asin,
    r"\arccos": math.acos,
}
_STARTS = re.compile(r"[\d.A-Za-z(]|\\(?:frac|sqrt|pi|sin|cos|tan|ln|log|exp|theta|alpha|beta|arc)")
Number = Fraction | float


def answer_key(text: str) -> str:
    """The vote of a cleaned answer: `1/2`, `~0.7071067812`, `(1,2)`, or its spelling."""
    if (number := parse_number(text)) is not None:
        return number_key(number)
    spelled = spelling(text)
    if len(spelled) > LONGEST:
        return spelled[:LONGEST] + hashlib.sha256(spelled.encode()).hexdigest()[:12]
    sides = spelled.split("=")
    if len(sides) > 1 and re.fullmatch(r"[A-Za-z](?:_\{?\w\}?)?|[A-Za-z]\([A-Za-z]\)", sides[0]):
        spelled = sides[-1]
    opening, inner, closing = _bracketed(spelled)
    parts = [_part(part) for part in _split(inner)]
    if any(part is None for part in parts):
        return spelled
    known = [part for part in parts if part is not None]
    if opening == r"\{" or not opening:  # a set, however it is written
        return ",".join(sorted(known))
    return f"{opening}{','.join(known)}{closing}"


def spelling(text: str) -> str:
    """The text without what never matters: spaces, size and kind of fraction commands."""
    text = re.sub(r"\\[dtc]frac", r"\\frac", text)
    return re.sub(r"\\[,;!: ]|\\q?quad\b|[\s$]|\\text\{\s*\}", "", text)


def _bracketed(text: str) -> tuple[str, str, str]:
    """Brackets around a list, and the list; no brackets where none enclose the whole."""
    for opening, closing in ((r"\{", r"\}"), ("(", ")"), ("(", "]"), ("[", ")"), ("[", "]")):
        if text.startswith(opening) and text.endswith(closing) and len(_split(text)) == 1:
            inner = text[len(opening) : len(text) - len(closing)]
            if len(_split(inner)) > 1:
                return opening, inner, closing
    return "", text, ""


def _split(text: str) -> list[str]:
    """Parts between commas that stand in no brackets."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _part(text: str) -> str | None:
    if (number := parse_number(text)) is not None:
        return number_key(number)
    try:
        reader = _Reader(text)
        value = reader.sum()
        if reader.token is not None:
            return None
        if isinstance(value, float):
            whole = round(value)
            shown = (
                str(whole)
                if abs(value - whole) < 1e-10 * max(1, abs(value)) < 1
                else f"~{value:.10g}"
            )
        elif reader.variables:
            shown = hashlib.sha256(str(value).encode()).hexdigest()[:16]
        else:
            shown = number_key(value)
    except (ValueError, ZeroDivisionError, OverflowError, RecursionError, TypeError):
        return None
    return f"{''.join(sorted(reader.variables))}:{shown}" if reader.variables else shown


class _Reader:
    """Recursive descent over an expression, evaluating as it reads. Raises ValueError for what it
    does not know.
    """

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0
        self.variables: set[str] = set()

    @property
    def token(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, wanted: str | None = None) -> str:
        token = self.token
        if token is None or (wanted is not None and token != wanted):
            raise ValueError
        self.at += 1
        return token

    def sum(self) -> Number:
        value: Number = Fraction(0)
        sign = 1
        if self.token in ("+", "-"):
            sign = -1 if self.take() == "-" else 1
        while True:
            value = value + sign * self.product()
            if self.token not in ("+", "-"):
                return value
            sign = -1 if self.take() == "-" else 1

    def product(self) -> Number:
        value = self.power()
        while (token := self.token) is not None:
            if token in ("*", r"\cdot", r"\times"):
                self.take()
                value = value * self.signed()
            elif token in ("/", r"\div"):
                self.take()
                value = value / self.signed()
            elif _STARTS.match(token):
                whole = self.tokens[self.at - 1]
                right = self.power()
                mixed = token == r"\frac" and whole.isdigit() and isinstance(value, Fraction)
                value = value + right if mixed else value * right
            else:
                break
        return value

    def signed(self) -> Number:
        if self.token == "-":
            self.take()
            return -self.power()
        return self.power()

    def power(self) -> Number:
        base = self.atom()
        if self.token != "^":
            return base
        self.take()
        return _power(base, self.group())

    def group(self) -> Number:
        """What an argument in braces, or one token, is worth."""
        if self.token == "{":
            self.take()
            value = self.sum()
            self.take("}")
            return value
        if (
            self.token is not None and self.token.isdigit() and len(self.token) > 1
        ):  # \frac12 is one over two
            first, rest = self.token[0], self.token[1:]
            self.tokens[self.at : self.at + 1] = [first, rest]
        return self.signed() if self.token == "-" else self.atom()

    def atom(self) -> Number:
        token = self.take()
        if token[0].isdigit() or token[0] == ".":
            return Fraction(token)
        if token == "(" or token == "{":
            value = self.sum()
            self.take(")" if token == "(" else "}")
            return value
        if token == r"\frac":
            return self.group() / self.group()
        if token == r"\sqrt":
            root: Number = Fraction(2)
            if self.token == "[":
                self.take()
                root = self.sum()
                self.take("]")
            return _power(self.group(), 1 / root)
        if token == r"\pi":
            return math.pi
        if token in _FUNCTIONS:
            argument = self.group() if self.token in ("{", "(") else self.power()
            return _FUNCTIONS[token](float(argument))
        if token == "e":
            return math.e
        if re.fullmatch(r"[A-Za-z]|\\(?:theta|alpha|beta)", token):
            self.variables.add(token)
            return Fraction(3 + int.from_bytes(hashlib.sha256(token.encode()).digest()[:4]), 2**31)
        raise ValueError


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            bits = abs(exponent) * max(base.numerator.bit_length(), base.denominator.bit_length())
            if bits <= _BITS:
                return Fraction(base**exponent.numerator)
        elif exponent == Fraction(1, 2) and base >= 0:
            roots = math.isqrt(base.numerator), math.isqrt(base.denominator)
            if Fraction(*roots) ** 2 == base:
                return Fraction(*roots)
    return math.pow(base, exponent)
