"""Names of selectors and rules: what is read, and what is refused in one line."""

from __future__ import annotations

import pytest

from testtime.errors import UserError
from testtime.grammar import PROBES, RULES, SELECTORS, parse, selector


def test_a_kind_a_column_and_numbers():
    name = selector("filtered:logprob_mean:0.25")
    assert (name.kind, name.column, name.numbers) == ("filtered", "logprob_mean", (0.25,))
    assert selector("best:a:b").column == "a:b", "a column's own name may hold colons"
    assert selector("filtered:a:0.5:0.5").column == "a:0.5"
    assert parse("beta", RULES).numbers == (0.95,) and parse("beta:0.9", RULES).numbers == (0.9,)
    assert parse("deepconf:w:0.5", RULES).numbers == (0.5, 16, 0.95)
    assert parse("deepconf:w:0.5:3", RULES).numbers == (0.5, 3, 0.95)
    assert parse("bar:logprob:-0.5", RULES).numbers == (-0.5,)


@pytest.mark.parametrize(
    ("text", "forms", "words"),
    [
        ("majorty", SELECTORS, "did you mean 'majority'"),
        ("majority:x", SELECTORS, "write majority"),
        ("best", SELECTORS, "write best:COLUMN"),
        ("best:", SELECTORS, "write best:COLUMN"),
        ("filtered:w", SELECTORS, "write filtered:COLUMN:SHARE"),
        ("filtered:w:0", SELECTORS, "above 0 and up to 1, got '0'"),
        ("filtered:w:1.5", SELECTORS, "above 0 and up to 1"),
        ("shortest:2.5", SELECTORS, "a whole number from 1"),
        ("shortest:x", SELECTORS, "a whole number from 1, got 'x'"),
        ("beta:1", RULES, "above 0 and below 1"),
        ("beta:nan", RULES, "above 0 and below 1"),
        ("esc:0", RULES, "a whole number from 1"),
        ("agree:-1", PROBES, "a whole number from 1"),
        ("", RULES, "does not exist"),
    ],
)
def test_mistakes_are_said_in_one_line(text, forms, words):
    with pytest.raises(UserError, match=words) as error:
        parse(text, forms, "rule")
    assert "\n" not in str(error.value)
