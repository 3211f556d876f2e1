"""Costs as columns: a cell of n that adds them up costs what n samples sharing a prompt cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.compute.costs import seconds, usd, with_costs
from testtime.compute.flops import Flops
from testtime.config.schema import Prices, Rates
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
    names = ("prompt_tokens", "thinking_tokens", "forced_tokens", "answer_tokens")
    prompt, thinking, forced, answer = (table()[c] for c in names)
    again = (prompt + thinking) * (forced > 0)  # a forced ending is a second request
    each = {
        "flops": FLOPS.sample_flops(prompt, thinking, forced, answer),
        "usd": usd(PRICES, again, prompt + forced, thinking + answer),
        "seconds": seconds(RATES, prompt + forced, thinking + answer),
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
        assert cell[name] == pytest.approx(4 * np.mean(each) - shared * saved)


def test_samples_without_counts_have_no_cost() -> None:
    missing = table().astype({"thinking_tokens": float})
    missing.loc[0, "thinking_tokens"] = np.nan
    priced = with_costs(missing, flops=FLOPS)
    assert np.isnan(priced["flops"][0]) and priced["flops"][1:].notna().all()
    assert "usd" not in priced


def test_a_table_without_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="neither thinking_tokens nor answer_tokens"):
        with_costs(table()[["problem_id", "sample", "score"]], flops=FLOPS)


def test_dollars_are_those_of_the_requests_and_seconds_of_what_is_computed() -> None:
    """By hand: a prompt of 100, thinking of 30, an ending of 3 fed behind them, an answer of 5."""
    assert float(usd(PRICES, 130, 103, 35)) == pytest.approx(
        (130 * 0.5 + 103 * 2.0 + 35 * 8.0) / 1e6
    )
    assert float(usd(Prices(2.0, 8.0), 130, 0, 0)) == pytest.approx(130 * 2.0 / 1e6)
    assert float(seconds(RATES, 103, 35)) == pytest.approx(103 / 1000 + 35 / 50)
    with pytest.raises(UserError, match="prefill and decode"):
        seconds(Rates(concurrency=4), 103, 35)


def test_where_the_engine_closes_the_thinking_the_ending_is_output_of_one_request() -> None:
    """No request is sent a second time, which a table says by its context tokens."""
    whole = table().assign(context_tokens=0)
    whole["answer_tokens"] += whole.pop("forced_tokens")
    priced = with_costs(whole, prices=PRICES, rates=RATES)
    output = whole[["thinking_tokens", "answer_tokens"]].sum(axis=1)
    assert priced["usd"].to_numpy() == pytest.approx((100 * 2 + output * 8) / 1e6)
    assert priced["seconds"].to_numpy() == pytest.approx(100 / 1000 + output / 50)


def test_stated_context_tokens_come_before_what_a_cut_chain_would_send_again() -> None:
    """A chain cut at 0 is one request: its ending is sent with the prompt."""
    stated = table().assign(context_tokens=[0, 7, np.nan] * 4, forced_tokens=3)
    priced = with_costs(stated, prices=PRICES)
    guessed = with_costs(stated.drop(columns="context_tokens"), prices=PRICES)
    again = 100 + stated["thinking_tokens"]
    saved = (again - stated["context_tokens"].fillna(again)) * 0.5 / 1e6
    assert (guessed["usd"] - priced["usd"]).to_numpy() == pytest.approx(saved)
