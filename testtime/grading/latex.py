"""Answers in one spelling: what models and people write for the same mathematics, before anything
is parsed.

math-verify reads a clean LaTeX expression well; most of its false negatives are spellings (a
Unicode fraction, digits of another alphabet, a thousands space, `1e3`, a repeating decimal), and
these are mended here, in linear time.
"""

from __future__ import annotations

import re
from fractions import Fraction

from testtime.grading.numbers import to_ascii

_FRACTIONS = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5",
    "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_SIGNS = {
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ", "÷": r"\div ", "±": r"\pm ", "°": r"^\circ ", "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ",
    "φ": r"\phi ",
    "∅": r"\emptyset ", "′": "'", "“": '"', "”": '"', "，": ",", "。": ". ", "；": ";", "：": ":",
}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_WRAPPERS = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"), ("**", "**"), ("`", "`"))
_GROUPED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:(?:\{,\}|,|\s|\\[,;! ])+\d{3})+(?![\d])")
_EU_GROUPED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){2,}(?![\d.,])")
_EXPONENT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,4})(?![\w.])")
_REPEATING = re.compile(r"(?<![\d.])(\d*)\.(\d{0,12})\\(?:overline|bar)\s*\{(\d{1,12})\}")
_CJK = "\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"


def mend(text: str) -> str:
    """The text with one spelling for digits, signs, fractions, roots and powers. Words around the
    mathematics stay.
    """
    if not text.isascii():
        text = _plain_signs(text)
    text = to_ascii(text)
    text = text.replace("\\left", "").replace("\\right", "") if "\\left" in text else text
    text = re.sub(r"\^\s*\{?((?:\s*\\prime)+)\s*\}?", lambda m: "'" * m[1].count("prime"), text)
    text = _python(text) if "**" in text or "sqrt(" in text else text
    text = _EXPONENT.sub(r"\1 \\times 10^{\2}", text)
    return _REPEATING.sub(_repeating, text) if "\\overline" in text or "\\bar" in text else text


def _plain_signs(text: str) -> str:
    text = re.sub(rf"(?<=\d)([{''.join(_FRACTIONS)}])", r" \1", text)
    for sign, plain in _FRACTIONS.items():
        top, bottom = plain.split("/")
        text = text.replace(sign, rf"\frac{{{top}}}{{{bottom}}}")
    text = re.sub(r"√\s*\(([^()]{1,200})\)", r"\\sqrt{\1}", text)
    text = re.sub(r"√\s*(\d+|[A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+", lambda m: "^{" + m.group().translate(_RAISED) + "}", text)
    text = re.sub(r"[₀₁₂₃₄₅₆₇₈₉]+", lambda m: "_{" + m.group().translate(_LOWERED) + "}", text)
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    return re.sub(rf"(?<=[{_CJK}])(?=[A-Za-z0-9\\$(.-])|(?<=[A-Za-z0-9$)%])(?=[{_CJK}])", " ", text)


def _python(text: str) -> str:
    """Powers and roots as a program writes them, in LaTeX."""
    text = re.sub(r"(?<=[\w)])\*\*\(([^()]{1,60})\)", r"^{\1}", text)
    text = re.sub(r"(?<=[\w)])\*\*(-?\w{1,10})", r"^{\1}", text)
    return re.sub(r"(?<![\\A-Za-z])sqrt\(([^()]{1,200})\)", r"\\sqrt{\1}", text)


def _repeating(match: re.Match[str]) -> str:
    whole, fixed, period = match.groups()
    scale = 10 ** len(fixed)
    value = Fraction(int(whole or 0)) + Fraction(int(fixed or 0), scale)
    value += Fraction(int(period), scale * (10 ** len(period) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def unwrap(text: str) -> str:
    """The expression without its dollar signs, brackets of LaTeX, bold marks, full stop and
    surrounding spaces.
    """
    before = None
    while before != text:
        before = text
        text = (
            text.strip().rstrip(".,;:").strip()
            if not text.rstrip().endswith("\\,")
            else text.strip()[:-2]
        )
        for left, right in _WRAPPERS:
            inner = text[len(left) : -len(right)]
            if (
                text.startswith(left)
                and text.endswith(right)
                and len(text) > len(left) + len(right)
                and left not in inner
            ):
                text = inner
    return text


def one_spelling(text: str) -> str:
    """A mended expression alone: also joins digit groups, drops redundant outer brackets and runs
    of minus signs.
    """
    text = unwrap(text)
    text = (
        _GROUPED.sub(lambda m: re.sub(r"\D", "", m.group()), text) if _is_one_number(text) else text
    )
    text = _EU_GROUPED.sub(lambda m: m.group().replace(".", ""), text)
    text = re.sub(r"-{2,}", lambda m: "-" if len(m.group()) % 2 else "", text)
    depth = _redundant_depth(text)
    return text[depth : len(text) - depth].strip() if depth else text


def _is_one_number(text: str) -> bool:
    """Whether commas and spaces can only be separators: every group after the first has three
    digits, nothing else.
    """
    return (
        re.fullmatch(
            r"[-+]?\s*(?:\\?\$)?\s*[1-9]\d{0,2}(?:(?:\{,\}|,\\!|,|\s|\\[,;! ])\d{3})+(?:\.\d+)?\D*",
            text,
        )
        is not None
    )


def unnested(text: str) -> str:
    """A text without brackets around the whole of it and with at most one sign before it, in linear
    time: however deep somebody nests a number, it is no longer than that number.
    """
    text = text.strip()
    depth = _redundant_depth(text)
    text = text[depth : len(text) - depth].strip()
    minuses = len(text) - len(text.lstrip("-"))
    return ("-" * (minuses % 2) + text[minuses:]).strip() if minuses > 1 else text


def _redundant_depth(text: str) -> int:
    """How many pairs of round brackets enclose the whole text, when nothing but one value is inside
    them.
    """
    opening, closing = len(text) - len(text.lstrip("(")), len(text) - len(text.rstrip(")"))
    if not opening or not closing or "," in text or ";" in text:
        return 0
    depth = least = opening
    for char in text[opening : len(text) - closing]:
        depth += (char == "(") - (char == ")")
        least = min(least, depth)
    return max(0, min(least, closing)) if depth == closing else 0


def as_percent(text: str) -> str:
    """`25\\%` as the fraction of a hundred."""
    return re.sub(r"(-?\d+(?:\.\d+)?)\s*\\?%", r"\\frac{\1}{100}", text)


def letter_e(gold: str, given: str) -> tuple[str, str]:
    """Both with another letter for `e` where it is a variable: among others, and never raised to a
    power.
    """
    both = f"{gold} {given}"
    letters = set("".join(run for run in _RUNS.findall(both) if _is_product(run)))
    if "e" not in letters or not letters - set("eixyt") or re.search(r"e\s*\^|\\ln|\\exp", both):
        return gold, given
    spare = next(letter for letter in "wvuqkhgz" if letter not in letters)

    def renamed(match: re.Match[str]) -> str:
        run = match.group()
        return run.replace("e", spare) if _is_product(run) else run

    return _RUNS.sub(renamed, gold), _RUNS.sub(renamed, given)


_RUNS = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")


def _is_product(run: str) -> bool:
    """Whether a run of letters is variables side by side, not a command or a word."""
    return len(run) < 4 and not run.startswith("\\")


_TEXT = re.compile(
    r"\\(?:text|mbox|textbf|textit|textrm|mathrm|mathbf|mathit|textnormal|operatorname)\s*\{([^{}]*)\}"
)


def words_of(text: str) -> str | None:
    """The words of an answer that is words (a name, yes, a day), in small letters; None for
    mathematics.

    Bare letters are words from four letters on with a vowel among them: shorter ones may be a
    product of variables.
    """
    marked = _TEXT.sub(r" \1 ", text)
    plain = re.sub(r"[\"'`*]|\\[,;! ]|^[(\[]|[)\]]$", " ", marked).strip(" .,;:$")
    plain = re.sub(r"^[(\[]|[)\]]$", "", plain).strip()
    words = plain.split()
    if (
        not words
        or re.search(r"[\\^_=<>{}|+*/$]|\d\.\d", plain)
        or not re.fullmatch(r"[A-Za-z(]", plain[0])
    ):
        return None
    long_word = any(
        len(word) > 3 and re.search("[aeiouyAEIOUY]", word) and word.isalpha() for word in words
    )
    if marked != text or long_word:
        return " ".join(words).lower()
    return None
