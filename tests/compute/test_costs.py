"""Costs as columns: a cell of n that adds them up costs what n samples sharing a prompt cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.compute.costs import with_costs
from testtime.compute.flops import Flops
from testtime.compute.prices import Prices
from testtime.compute.rates import Rates
from testtime.errors import UserError
from testtime.estimators.cells import cells

FLOPS = Flops.from_config(
    {"model_type": "llama", "vocab_size": 320, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2,
     "intermediate_size": 160}
)  # fmt: skip
PRICES, RATES = Prices(2.0, 8.0, 0.5), Rates(1000.0, 50.0, 4, 100)


def table(samples: int = 4) -> pd.DataFrame:
    rows = [
        (f"p{i}", s, float(s % 2), 100, 30 + i, 3 * (s % 2), 5)
        for i in range(3)
        for s in range(samples)
    ]
    names = [
        "problem_id",
        "sample",
        "score",
        "prompt_tokens",
        "thinking_tokens",
        "forced_tokens",
        "answer_tokens",
    ]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize("name", ["flops", "usd", "seconds"])
def test_a_cell_counts_the_prompt_once_or_each_time(name: str) -> None:
    priced = with_costs(table(), flops=FLOPS, prices=PRICES, rates=RATES)
    counts = [
        table()[c] for c in ("prompt_tokens", "thinking_tokens", "forced_tokens", "answer_tokens")
    ]
    function = {
        "flops": FLOPS.sample_flops,
        "usd": PRICES.sample_usd,
        "seconds": RATES.sample_seconds,
    }[name]
    # Of a prompt of 100 tokens that is there already: its pass, or all but the cached price, or its
    # time is saved.
    saved = {
        "flops": float(FLOPS.prefill(100)),
        "usd": 100 * (2.0 - 0.5) / 1e6,
        "seconds": 100 / 1000,
    }[name]
    for prefill, shared in (("once", 3), ("each", 0)):
        cell = cells(priced, [4], ["oracle"], prefill=prefill, resamples=100).iloc[0]  # type: ignore[arg-type]
        assert cell[name] == pytest.approx(4 * np.mean(function(*counts)) - shared * saved)


def test_samples_without_counts_have_no_cost() -> None:
    missing = table().astype({"thinking_tokens": float})
    missing.loc[0, "thinking_tokens"] = np.nan
    priced = with_costs(missing, flops=FLOPS)
    assert np.isnan(priced["flops"][0]) and priced["flops"][1:].notna().all()
    assert "usd" not in priced


def test_a_table_without_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="neither thinking_tokens nor answer_tokens"):
        with_costs(table()[["problem_id", "sample", "score"]], flops=FLOPS)


def test_where_the_engine_closes_the_thinking_the_ending_is_output_of_one_request() -> None:
    priced = with_costs(table(), prices=PRICES, rates=RATES, whole=True)
    output = table()[["thinking_tokens", "forced_tokens", "answer_tokens"]].sum(axis=1)
    assert priced["usd"].to_numpy() == pytest.approx((100 * 2 + output * 8) / 1e6)
    assert priced["seconds"].to_numpy() == pytest.approx(100 / 1000 + output / 50)
