"""Numbers as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.grading.numbers import last_number, parse_number, parse_sum


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42), ("-5", -5), ("+7", 7), ("−5", -5), ("1,234,567", 1234567), ("1 234 567", 1234567),
        ("1\u2009234", 1234), ("10{,}000", 10000), ("1,\\!234", 1234), ("$18.00", 18), ("-$3.50", Fraction(-7, 2)),
        (r"\$18", 18), ("25%", 25), (r"25\%", 25), ("1e3", 1000), (r"1.5\times "
                                                                   r"10^{3}", 1500), (".4", Fraction(2, 5)),
        ("12.", 12), ("1/2", Fraction(1, 2)), ("-1/-2", Fraction(1, 2)), (r"\frac{1}{2}", Fraction(1, 2)),
        (r"-\frac12", Fraction(-1, 2)), (r"3\frac{1}{2}", Fraction(7, 2)), ("٤٢", 42), ("４２", 42), ("4\u200b2", 42),
        ("007", 7), ("-0", 0), ("", None), ("x", None), ("1,2", None), ("1,23", None), ("1/0", None), ("1 23", None),
        ("1e99999", None), ("9" * 5000, None), ("--5", None), ("1.2.3", None), ("5 cm", None), ("^2", None),
    ],
)  # fmt: skip
def test_parse_number(text: str, value: Fraction | int | None) -> None:
    assert parse_number(text) == value


@given(st.fractions())
def test_every_fraction_reads_back(value: Fraction) -> None:
    assert parse_number(str(value)) == value


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12
    )
)
def test_every_decimal_reads_back(value: object) -> None:
    assert parse_number(f"{value:f}") == Fraction(f"{value:f}")


@given(st.text(max_size=60))
def test_no_text_breaks_the_parsers(text: str) -> None:
    parse_number(text), parse_sum(text), last_number(text)


def test_sums() -> None:
    assert parse_sum("+".join(map(str, range(1, 5001)))) == 12502500
    assert parse_sum("1 - 2 + 3.5") == Fraction(5, 2)
    assert parse_sum("5") is None and parse_sum("1+x") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 3 + 4 = 7", "7"),
        ("x=-5", "-5"),
        ("cost $1,000.50 in all", "$1,000.50"),
        ("it is 5-3", "3"),
        ("none", None),
    ],
)
def test_last_number(text: str, number: str | None) -> None:
    assert last_number(text) == number
