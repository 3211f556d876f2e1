"""Numbers as people and models write them, as exact fractions.

Unicode digits and minus signs, thousands separators, currency and percent signs, exponents,
fractions in LaTeX or with a slash, mixed numbers. A percent sign is dropped here; who cares about
it looks for it first.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from fractions import Fraction

LONGEST = 4000  # digits; Python refuses to convert more, and no answer has them

_SPACES = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)
_DASHES = str.maketrans(
    {"−": "-", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "⁄": "/", "∕": "/"}
)
_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)(?:\.\d*)?|\.\d+"
_NUMBER = re.compile(
    rf"([+-]?)\s*({_DECIMAL})(?:\s*(?:[eE]|(?:\\times|\\cdot|[x×*·])\s*10\s*\^?)\s*\{{?([+-]?\d{{1,4}})\}}?)?"
)
_PLAIN_FRACTION = re.compile(rf"([+-]?)\s*({_DECIMAL})\s*/\s*([+-]?)\s*({_DECIMAL})")
_LATEX_FRACTION = re.compile(
    r"([+-]?)\s*(\d{0,15})\s*\\[dtc]?frac\s*(?:\{\s*([+-]?)(\d+)\s*\}|()(\d))\s*(?:\{\s*([+-]?)(\d+)\s*\}|()(\d))"
)
_INNER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_AFFIXES = re.compile(r"^(?:\\?[$€£¥]|\\text\{\s*\$\s*\})\s*|\s*(?:\\?%|\\?[$€£¥])$|^\+")
_INSIDE = re.compile(
    rf"(?<![\w.,])[+-]?\s?[$€£¥]?(?:{_INNER})(?:[eE][+-]?\d{{1,4}})?(?:\s?/\s?\d+)?"
)


def to_ascii(text: str) -> str:
    """Digits, signs, letters and spaces of other alphabets and widths as plain ones, without
    invisible characters.
    """
    if text.isascii():
        return text if text.isprintable() else _INVISIBLE.sub("", text)
    text = re.sub(f"[{_SPACES}]", " ", _INVISIBLE.sub("", text)).translate(_DASHES)
    return "".join(_plain(char) for char in text)


def _plain(char: str) -> str:
    if char.isascii():
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    folded = unicodedata.normalize("NFKC", char) if "\uff01" <= char <= "\uff5e" else char
    return folded


def parse_number(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else but signs of money and percent; None
    otherwise.
    """
    if len(text) > LONGEST:
        return None
    text = to_ascii(text).strip().strip("$").strip()
    text = (
        text.replace("{,}", ",")
        .replace("\\!", "")
        .replace("\\,", " ")
        .replace("\\ ", " ")
        .rstrip(".")
        .strip()
    )
    sign = 1
    if text[:1] == "-" and text[1:].lstrip()[:1] in {"$", "€", "£", "¥", "\\"}:
        sign, text = -1, text[1:].lstrip()
    for _ in range(2):
        text = _AFFIXES.sub("", text).strip()
    if match := _NUMBER.fullmatch(text):
        value = Fraction(match[2].replace(",", "").replace(" ", ""))
        exponent = int(match[3] or 0)
        return sign * (-value if match[1] == "-" else value) * Fraction(10) ** exponent
    if match := _PLAIN_FRACTION.fullmatch(text):
        top, bottom = (Fraction(match[i].replace(",", "").replace(" ", "")) for i in (2, 4))
        negative = (match[1] == "-") != (match[3] == "-")
        return sign * (-top if negative else top) / bottom if bottom else None
    if match := _LATEX_FRACTION.fullmatch(text):
        numerator, denominator = int(match[4] or match[6]), int(match[8] or match[10])
        if not denominator:
            return None
        negative = ((match[3] or "") == "-") != ((match[7] or "") == "-")
        value = int(match[2] or 0) + Fraction(-numerator if negative else numerator, denominator)
        return sign * (-value if match[1] == "-" else value)
    return None


def last_number(text: str) -> str | None:
    """The last number in a text, as written."""
    numbers = _INSIDE.findall(to_ascii(text[-LONGEST:]))
    return numbers[-1].strip() if numbers else None


def number_key(value: Fraction) -> str:
    """The same text for the same number; one of thousands of digits by its hash."""
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if bits <= 10_000:
        return str(value)
    digest = hashlib.sha256(f"{value.numerator:x}/{value.denominator:x}".encode()).hexdigest()
    return f"number of {bits} bits {digest[:16]}"


def parse_sum(text: str) -> Fraction | None:
    """The value of a sum of at least two plain numbers, however long; None for anything else."""
    if not _SUM.fullmatch(text):
        return None
    return sum((Fraction(term.replace(" ", "")) for term in _TERM.findall(text)), Fraction(0))


_TERM = re.compile(r"[+-]?\s*\d{1,30}(?:\.\d{1,30})?")
_SUM = re.compile(r"\s*[+-]?\s*\d{1,30}(?:\.\d{1,30})?(?:\s*[+-]\s*\d{1,30}(?:\.\d{1,30})?)+\s*")
