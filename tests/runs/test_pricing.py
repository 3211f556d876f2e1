"""Dollars and seconds from a config's prices and rates: they reach every table, and never touch the
pool.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import testtime
from tests.test_pipeline import config, rows
from tests.tiny import evaluated
from testtime import pages
from testtime.cli.options import costs
from testtime.compare import comparison as compare
from testtime.compare.inputs import priced
from testtime.compute.costs import seconds, usd
from testtime.config.schema import Prices, Rates
from testtime.errors import UserError
from testtime.report import results as evidence
from testtime.runs import pricing as costing
from testtime.runs.sources import read
from testtime.storage.store import Store

PRICE = {"input": 2.0, "output": 8.0, "cached": 0.5}
RATES = {"prefill": 1000.0, "decode": 50.0, "concurrency": 4}


def small(out: Path, **changes: Any) -> dict[str, Any]:
    return config(out, samples=2, task={"name": "chain_sum", "limit": 3}, **changes)


def sent(scores: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of the requests of a cut chain: sent again with a forced ending, read first, drawn."""
    names = ("prompt_tokens", "thinking_tokens", "forced_tokens", "answer_tokens")
    prompt, thinking, forced, answer = (scores[c].to_numpy(float) for c in names)
    # Where nothing was thought the ending goes with the prompt: one request.
    cached = np.where((forced > 0) & (thinking > 0), prompt + thinking, 0)
    return cached, prompt + forced, thinking + answer


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> testtime.Run:
    (run,) = testtime.run(small(tmp_path_factory.mktemp("runs")))
    return run


def again(run: testtime.Run, **changes: Any) -> testtime.Run:
    (found,) = testtime.run(small(run.path.parent.parent, **changes))
    return found


def test_without_prices_and_rates_the_axes_stay_away_with_the_reason(plain: testtime.Run) -> None:
    assert "usd" not in plain.scores and plain.cells["usd"].isna().all()
    page = (plain.path / "report" / "index.html").read_text()
    assert "compute in dollars: no prices" in page and "compute in seconds: no rates" in page
    with pytest.raises(UserError, match="--price"):
        compare.compare(priced(read([plain.path])), axis="usd", resamples=100)


def test_prices_and_rates_reach_tables_comparison_and_report_and_draw_nothing(
    plain: testtime.Run,
) -> None:
    before = rows(plain, "calls")
    run = again(plain, price=PRICE, rates=RATES)
    assert len(run.manifest.sessions) == 1
    pd.testing.assert_frame_equal(rows(run, "calls"), before)
    cached, fed, drawn = sent(run.scores)
    assert (cached == run.scores["context_tokens"]).all() and 0 < (cached > 0).mean() < 1
    expected = usd(Prices(2.0, 8.0, 0.5), cached, fed, drawn)
    assert run.scores["usd"].to_numpy() == pytest.approx(expected)
    expected = seconds(Rates(1000.0, 50.0, 4, 0), fed, drawn)
    assert run.scores["seconds"].to_numpy() == pytest.approx(expected)
    assert (run.cells[["usd", "seconds"]] > 0).all(axis=None)
    assert evidence.of(run)[0].axes == ["flops", "tokens", "usd", "seconds"]
    for axis in ("usd", "seconds"):
        assert (run.path / "report" / "figures" / f"accuracy-{axis}.csv").is_file()
        found = compare.compare(priced(read([run.path])), axis=axis, resamples=100, bins=0)
        assert found.tables["frontier"]["cost"].max() <= run.cells[axis].max() * 1.0001
    assert "input 2, cached 0.5, output 8" in (run.path / "report" / "index.html").read_text()


def test_a_models_own_price_comes_before_the_runs(plain: testtime.Run) -> None:
    dear = again(plain, price=PRICE)
    own = again(
        plain,
        price=PRICE,
        model={"name": "quickstart", "price": {"input": 4, "output": 16, "cached": 1}},
    )
    assert own.scores["usd"].to_numpy() == pytest.approx(2 * dear.scores["usd"].to_numpy())


def test_rates_are_measured_by_the_run_once_a_concurrency(plain: testtime.Run) -> None:
    before, calls = len(plain.manifest.sessions), rows(plain, "calls")
    run = again(plain, rates={"concurrency": 4})
    held = run.manifest.rates
    assert held["concurrency"] == 4 and held["engine"] == "transformers" and held["context"] > 8
    found = Rates(held["prefill"], held["decode"], 4, held["context"])
    _, fed, drawn = sent(run.scores)
    assert run.scores["seconds"].to_numpy() == pytest.approx(seconds(found, fed, drawn))
    same = again(plain, rates={"concurrency": 4}, price=PRICE)
    assert same.manifest.rates == held and len(same.manifest.sessions) == before + 1
    other = again(plain, rates={"concurrency": 2})
    assert other.manifest.rates["concurrency"] == 2
    pd.testing.assert_frame_equal(rows(other, "calls"), calls)
    with pytest.raises(
        UserError,
        match=r"rates.concurrency: 9 is more than engine transformers keeps in flight \(8\)",
    ):
        again(plain, rates={"concurrency": 9}, engine={"name": "transformers", "max_num_seqs": 8})


def test_rates_of_another_engine_are_measured_anew_once_it_draws(tmp_path: Path) -> None:
    (run,) = evaluated(small(tmp_path, rates={"concurrency": 2}))
    store = Store(run.path)
    elsewhere = {**run.manifest.rates, "engine": "vllm", "decode": 1e9}
    store.write_manifest(store.manifest().changed(rates=elsewhere))
    assert again(run, rates={"concurrency": 2}).manifest.rates == elsewhere  # nothing is drawn
    more = evaluated({**small(tmp_path, rates={"concurrency": 2}), "samples": 3})[0].manifest.rates
    assert more["engine"] == "transformers" and more["decode"] < 1e9


def test_rates_that_cannot_be_told_leave_the_run_without_the_axis(
    plain: testtime.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any, **__: Any) -> Rates:
        raise UserError("too little was timed")

    monkeypatch.setattr(costing, "measure_rates", fails)
    run = again(plain, rates={"concurrency": 3})
    assert run.manifest.rates == {} and "seconds" not in run.scores and len(run.cells)


def test_the_report_of_a_finished_run_takes_prices_and_rates_of_its_own(
    plain: testtime.Run, tmp_path: Path
) -> None:
    prices, rates = costs(["input=1", "output=4"], ["prefill=1000", "decode=100"])
    page = pages.write_report([plain.path], tmp_path, prices, rates)
    assert (tmp_path / "figures" / "accuracy-usd.csv").is_file()
    assert (tmp_path / "figures" / "accuracy-seconds.csv").is_file()
    assert "prefill 1,000, decode 100, with 1 in flight" in page.read_text()
    assert costs(None, None) == (None, None)
    for wrong, said in (
        ("decod=3", "did you mean 'decode'"),
        ("prefill=5", "prefill and decode go together"),
        ("decode=x", "--rate"),
    ):
        with pytest.raises(UserError, match=said):
            costs(None, [wrong])
