"""How long a problem waits: the longest of its samples, parts side by side and tools included."""

from __future__ import annotations

import pandas as pd
import pytest

from testtime.compute.costs import with_costs
from testtime.config.schema import Rates
from testtime.estimators.cells import cells

ROWS = pd.DataFrame(
    {
        "problem_id": "p",
        "sample": [0, 1],
        "score": [1.0, 0.0],
        "answer_key": ["a", "b"],
        "prompt_tokens": 10,
        "thinking_tokens": [40, 20],
        "answer_tokens": 10,
        "path_tokens": [30, 30],  # of the first, two parts of 20 are drawn side by side
        "tool_calls": [0, 2],
        "tool_failures": [0, 1],
        "tool_seconds": [0.0, 5.0],
    }
)


def test_parts_side_by_side_count_once_and_tool_seconds_join_both_clocks() -> None:
    table = with_costs(ROWS, rates=Rates(prefill=100, decode=10, concurrency=4))
    # The share of the engine: 10 tokens read, 50 or 30 drawn; four requests are in flight.
    assert table["seconds"].tolist() == pytest.approx([0.1 + 5.0, 0.1 + 3.0 + 5.0])
    assert table["path_seconds"].tolist() == pytest.approx([12.0, 12.0 + 5.0])
    one, two = cells(table, [1, 2], ["majority"], resamples=100).to_dict("records")
    assert (one["latency"], two["latency"]) == (30.0, 30.0)
    assert (one["latency_seconds"], two["latency_seconds"]) == pytest.approx((14.5, 17.0))
    assert (one["tool_calls"], two["tool_calls"]) == (1.0, 2.0)
    assert two["tool_failures"] == 1.0 and two["tool_seconds"] == 5.0


def test_a_table_without_tools_or_rates_has_no_such_columns() -> None:
    plain = ROWS.drop(columns=["path_tokens", "tool_calls", "tool_failures", "tool_seconds"])
    grid = cells(plain, [1, 2], ["majority"], resamples=100)
    assert not {"latency_seconds", "tool_calls", "tool_seconds", "fallbacks"} & set(grid)
    assert grid["latency"].tolist() == [40.0, 50.0]
