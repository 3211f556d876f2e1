"""Dollars: billed as two requests where a chain is cut."""

from __future__ import annotations

import pytest

from testtime.compute.prices import Prices
from testtime.errors import UserError


def test_a_natural_sample_is_one_request() -> None:
    prices = Prices.read({"input": 2, "output": 10.0, "cached": 0.5})
    assert prices.sample_usd(1000, 400, 0, 100) == pytest.approx((1000 * 2 + 500 * 10) / 1e6)


def test_a_cut_chain_is_sent_back_from_the_cache() -> None:
    prices = Prices.read({"input": 2, "output": 10, "cached": 0.5})
    one, again = 1000 * 2 + 400 * 10, 1400 * 0.5 + 7 * 2 + 100 * 10
    assert prices.sample_usd(1000, 400, 7, 100) == pytest.approx((one + again) / 1e6)


def test_without_a_cached_price_the_input_price_holds() -> None:
    assert Prices.read({"input": 3, "output": 15}).cached == 3


@pytest.mark.parametrize(
    ("prices", "word"),
    [
        ({"input": 1}, "output is missing"),
        ({"input": 1, "outptu": 2}, "did you mean 'output'"),
        ({"input": -1, "output": 2}, "input is -1"),
        ({"input": 1, "output": "2"}, "output is '2'"),
        ({"input": True, "output": 2}, "input is True"),
        ({"input": float("nan"), "output": 2}, "input is nan"),
    ],
)
def test_wrong_prices_are_named(prices: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        Prices.read(prices)
