"""A run's chains, tokens, dollars and hours, counted by hand."""

from __future__ import annotations

import pytest

from testtime.config.schema import Prices
from testtime.errors import UserError
from testtime.estimators.workload import workload

RUN = {"prompt_tokens": 10, "answer_tokens": 5, "ending_tokens": 2}


def test_a_nested_run_with_known_lengths() -> None:
    """Two chains of 4 and 20 tokens at budgets 0, 8, 16: the short one ends by itself and answers
    at 0 and once more; the long one is cut at all three.
    """
    got = workload(
        1, 2, [0, 8, 16], lengths=[4, 20], price=Prices(1, 10, 0.1), prefill=100, decode=10, **RUN
    )
    assert (got.chains, got.answers, got.thinking, got.answer) == (2, 5, 4 + 16, 25)
    assert got.fed == 2 * 10 + 4 * 2
    assert got.cached == (10 + 0) * 2 + (10 + 8) + (10 + 16) + (10 + 4)
    assert got.usd == pytest.approx((28 + 0.1 * 78 + 10 * 45) / 1e6)
    assert got.hours == pytest.approx((28 / 100 + 45 / 10) / 3600)
    assert not got.worst and "about 5 answers" in str(got)


def test_the_worst_case_cuts_every_chain() -> None:
    got = workload(3, 2, [8, 16], **RUN)
    assert (got.chains, got.answers, got.thinking) == (6, 12, 6 * 16)
    assert got.worst and "at most 12 answers" in str(got) and got.usd is None


def test_fresh_budgets_each_draw_a_chain() -> None:
    got = workload(1, 2, [0, 8, 16], lengths=[4, 20], fresh=True, **RUN)
    assert (got.chains, got.answers, got.thinking) == (4, 6, 4 + 4 + 8 + 16)
    only = workload(5, 1, [0], **RUN)
    assert (only.chains, only.answers, only.thinking, only.fed) == (0, 5, 0, 5 * 12)


def test_what_cannot_be_planned_is_said() -> None:
    with pytest.raises(UserError, match="1 or more"):
        workload(0, 1, [8], **RUN)
    with pytest.raises(UserError, match="no chain"):
        workload(1, 1, [8], lengths=[float("nan")], **RUN)
