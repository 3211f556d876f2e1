"""How amounts, settings and intervals are said, everywhere."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from testtime import labels

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (250, "250"),
        (1500, "1.5k"),
        (20000, "20k"),
        (99_951, "100k"),
        (3.2e6, "3.2M"),
        (9.32e6, "9.32M"),
        (999_999_000.0, "10⁹"),
        (2e9, "2·10⁹"),
        (9.99e10, "10¹¹"),
        (1e-5, "10⁻⁵"),
        (0.004, "0.004"),
        (1e10, "10¹⁰"),
        (NAN, "-"),
    ],
)
def test_amounts_are_written_as_people_write_them(value: float, text: str) -> None:
    assert labels.amount(value) == text


def test_costs_are_said_in_units_that_can_be_read() -> None:
    assert labels.cost("usd", 0.00041) == "$0.41 per 1,000 problems"
    assert labels.cost("tokens", 250.0) == "250 tokens a problem"
    assert labels.cost("flops", 9.32e6) == "9.32M FLOPs a problem"
    assert labels.cost("seconds", NAN) == "-"


def test_an_interval_is_left_out_where_there_is_none() -> None:
    assert labels.interval(0.481, 0.41, 0.552) == "48.1% (95% interval 41.0 to 55.2)"
    assert labels.interval(0.5, NAN, NAN) == "50.0% (one problem, no interval)"
    assert labels.interval(NAN, NAN, NAN) == "-"
    assert labels.brackets(0.481, 0.41, 0.552) == "48.1 [41.0, 55.2]"
    assert labels.points(0.031, -0.004, 0.066) == "+3.1 [-0.4, +6.6]"


def test_settings_and_cells_have_one_name() -> None:
    row = pd.Series({"setting": "", "budget": 512, "n": 16, "selector": "majority"})
    assert labels.cell(row) == "budget 512 tokens, majority vote of 16"
    told = {"setting": "effort=high", "budget": pd.NA, "n": 1, "selector": "mean"}
    assert labels.cell(told) == "effort=high, one sample"
    assert labels.level(("wait=1", 1024.0), unit=True) == "wait=1, 1,024 tokens"
    assert labels.level(("", NAN)) == "as it comes"
    assert labels.selector("best:reward", 8) == "best by reward of 8"
    assert labels.selector("oracle", 8) == "oracle (pass@8)"
    assert (labels.counted(1, "sample"), labels.counted(2000, "sample")) == (
        "1 sample",
        "2,000 samples",
    )
    assert [labels.short_model(m) for m in ("Qwen/Qwen3-8B", "ladder/3")] == [
        "Qwen3-8B",
        "ladder/3",
    ]
    assert len(labels.short_level(("a setting with a very long name", 4096.0))) <= labels.LONGEST
