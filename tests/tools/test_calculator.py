"""The calculator: exact where it can be, refusing what is too large before it is begun."""

from __future__ import annotations

import pytest

from testtime.tools.calculator import Calculator


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("2**64 + 1", "18446744073709551617"),
        ("0.1 + 0.2", "0.3"),
        ("1/3", "1/3 = 0.333333333333333"),
        ("-7/4", "-1.75"),
        ("-(1/3) + 1/3", "0"),
        ("2^10 × 3 ÷ 4 − 1", "767"),
        ("sqrt(144)", "12"),
        ("sqrt(2)", "1.4142135623731"),
        ("2**-2", "0.25"),
        ("7 // 2 + 7 % 3", "4"),
        ("comb(10, 3) + factorial(5) + gcd(12, 18)", "246"),
        ("1**(10**9)", "1"),
        ("cos(0) + 2*pi - 2*pi", "1"),
        (" 1_000 ", "1000"),
    ],
)
def test_values(call: str, value: str) -> None:
    result = Calculator().run(call, (), 1)
    assert result.status == "ok"
    assert result.text == value or abs(float(result.text) - float(value)) < 1e-12


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("9**9**9", "too large"),
        ("9**(9**9)", "too large"),
        ("factorial(10**6)", "too large"),
        ("comb(10**9, 10**8)", "too large"),
        ("2**9999 * 2**9999", "too large"),
        ("1e308 * exp(700) * exp(700)", "too large"),
        ("1e999", "not arithmetic"),
        ("1/0", "division by zero"),
        ("1 +", "not an arithmetic"),
        ("", "not an arithmetic"),
        ("__import__('os').system('true')", "not arithmetic"),
        ("(lambda: 1)()", "not arithmetic"),
        ("sqrt(x=4)", "not arithmetic"),
        ("True + 1", "no numbers"),
        ("gcd(1.5, 2)", "not whole"),
        ("sqrt(-1)", "error"),
        ("(-8) ** 0.5", "negative"),
        ("min()", "error"),
        ("round(2, 3, 4)", "error"),
        ("(" * 900 + "1" + ")" * 900, "error"),
        ("-" * 1900 + "1", "error"),
        ("1+" * 5000 + "1", "at most"),
        ("1\x00", "error"),
    ],
)
def test_what_it_cannot_do_is_a_text(call: str, said: str) -> None:
    result = Calculator().run(call, (), 1)
    assert result.status == "failed" and said in result.text
