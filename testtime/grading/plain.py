"""Mathematics in plain text, as LaTeX: `sin(x)`, `2pi`, `sqrt 4`, `ln 2`, `3 1/2`, `1(2)`.

Golds of many data sets and answers of small models are written so, and math-verify reads letters
beside each other as a product of variables, or takes the last number of what it cannot read.
"""

from __future__ import annotations

import re

from testtime.grading.latex import words_of

_FUNCTIONS = {
    name: name
    for name in [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "ln",
        "log",
        "lg",
    ]
} | {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
_LETTERS = [
    "pi",
    "theta",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "lambda",
    "mu",
    "sigma",
    "omega",
    "phi",
]
_SYMBOLS = {name: f"\\{name} " for name in _LETTERS} | {
    "infinity": r"\infty ", "inf": r"\infty ", "oo": r"\infty ",
}  # fmt: skip
_FREE = r"(?<![\\A-Za-z])"  # no letter or backslash in front
_BINOMIAL = re.compile(r"(?<![\w\\])C\((\d{1,4}),\s*(\d{1,4})\)")
_APPLIED = re.compile(
    rf"{_FREE}({'|'.join(sorted(_FUNCTIONS, key=len, reverse=True))})"
    r"(?![A-Za-z]{2})(?=[\s(\d^_\\{]|[xyzt](?![A-Za-z]))\s*"
)
_NAMED = re.compile(
    rf"{_FREE}([kmnr]?)({'|'.join(sorted(_SYMBOLS, key=len, reverse=True))})(?![A-Za-z\d])"
)
_ROOT = re.compile(rf"{_FREE}(sqrt|cbrt|exp)\s*(?=[(\d{{A-Za-z\\])")
_OPERATOR = re.compile(r"\\(?:operatorname\*?|mathrm|text)\s*\{\s*([A-Za-z]+)\s*\}")
_ALONE = re.compile(r"\\(?:mathrm|text|operatorname)\s*\{\s*([ie])\s*\}")
_TIMES = re.compile(r"(?<![\w.{_^])(\d+(?:\.\d+)?)\s*\((?=[^(),]*\))")
_MIXED = re.compile(r"(?<![\w.,/^{}])(\d{1,6}) (\d{1,4})\s?/\s?(\d{1,4})(?![\w./^])")
_LABEL = re.compile(
    r"\s*(?:\\text\s*\{\s*)?([A-Za-z][A-Za-z' ]{2,40}?)\s*:\s*\}?\s*(?=[-+]?\s*\\?[$€£]?\s*[\d.])"
)


def as_latex(text: str) -> str:
    """The text with its functions, roots, Greek letters, mixed numbers and products in LaTeX."""
    if not re.search(r"[A-Za-z(/]", text) or (words_of(text) and text.lstrip("+-") not in _SYMBOLS):
        return text
    text = _OPERATOR.sub(lambda m: f"\\{m[1]} " if m[1] in _FUNCTIONS else m.group(), text)
    if not _ALONE.fullmatch(text.strip()):
        text = _ALONE.sub(r"\1", text)
    text = _BINOMIAL.sub(r"\\binom{\1}{\2}", text)
    text = _MIXED.sub(_mixed, text)
    text = _TIMES.sub(r"\1 \\cdot (", text)
    text = _roots(text)
    text = _applied(text)
    return _NAMED.sub(lambda m: m[1] + _SYMBOLS[m[2]], text)


def without_label(text: str) -> str:
    """`Savings: 550 gallons` without its label."""
    return text[match.end() :] if (match := _LABEL.match(text)) else text


def _mixed(match: re.Match[str]) -> str:
    whole, top, bottom = match.groups()
    if int(top) >= int(bottom):
        return match.group()
    return rf"{whole}\frac{{{top}}}{{{bottom}}}"


def _roots(text: str) -> str:
    """Roots and `exp` of a bracket, a number or a letter."""
    heads = {"sqrt": r"\sqrt", "cbrt": r"\sqrt[3]", "exp": "e^"}
    parts, at = [], 0
    while match := _ROOT.search(text, at):
        inner, end = _argument(text, match.end())
        if not inner:
            parts.append(text[at : match.end()])
        else:
            parts.append(f"{text[at : match.start()]}{heads[match[1]]}{{{_roots(inner)}}}")
        at = end
    return "".join(parts) + text[at:]


def _applied(text: str) -> str:
    """Functions as commands; the power of a function's value stands at the function: `sin(x)^2`."""
    parts, at = [], 0
    while match := _APPLIED.search(text, at):
        end = match.end()
        parts.append(f"{text[at : match.start()]}\\{_FUNCTIONS[match[1]]}")
        if text[end : end + 1] == "(":
            inner, after = _argument(text, end)
            power = re.match(r"\s*\^\s*(\{\s*\d+\s*\}|\d)", text[after:])
            if inner and power and after > end:
                parts.append(f"^{power[1]}({_applied(inner)})")
                end = after + power.end()
        elif text[end : end + 1] not in ("^", "_", "{"):
            parts.append(" ")
        at = end
    return "".join(parts) + text[at:]


def _argument(text: str, at: int) -> tuple[str, int]:
    """What a function is applied to without more brackets, and where that ends; empty where
    brackets do not close.
    """
    closing = {"(": ")", "{": "}"}.get(text[at : at + 1])
    if closing is None:
        match = re.compile(r"\d+(?:\.\d+)?|\\?[A-Za-z](?![A-Za-z])").match(text, at)
        return (match.group(), match.end()) if match else ("", at)
    depth = 0
    for end in range(at, len(text)):
        depth += (text[end] == text[at]) - (text[end] == closing)
        if not depth:
            return text[at + 1 : end], end + 1
    return "", at
