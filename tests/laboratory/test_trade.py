"""The ladder's figures of test compute: where an accuracy is reached, and what stopping is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.laboratory import stopping, trade


def rungs(models: int = 3) -> pd.DataFrame:
    """Cells of rungs that each double in accuracy and in FLOPs a token."""
    rows = [
        {
            "model": f"ladder/{k}", "train": 1e11 * 10**k, "budget": budget, "n": n,
            "selector": selector, "flops": 1e5 * 2**k * (budget + 1) * n, "problems": 30,
            "value": 0.1 * 2**k * budget / 8, "lo": 0.0, "hi": 0.5,
        }
        for k in range(models) for budget in (0, 4, 8) for n in (1, 4)
        for selector in ("majority", "oracle")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_an_accuracy_is_reached_on_the_line_between_two_budgets() -> None:
    curve = trade.along_budgets(rungs(1))
    assert trade.reached(curve, 0.1) == pytest.approx(9e5)
    assert trade.reached(curve, 0.075) == pytest.approx(np.sqrt(5e5 * 9e5))
    assert trade.reached(curve, 0.11) is None and trade.reached(curve, 0.0) is None
    falls = curve.assign(value=[0.0, 0.1, 0.05])  # once reached it stays reached
    assert trade.reached(falls, 0.1) == pytest.approx(5e5)


def test_the_figure_is_drawn_from_cells(tmp_path: Path) -> None:
    trade.draw(rungs(), tmp_path / "trade.png")
    assert (tmp_path / "trade.png").stat().st_size > 50_000


def pool(right: float, problems: int = 12, samples: int = 8) -> pd.DataFrame:
    """Chains of 20 tokens cut at 0, 8 and 16, whose answers are right at a rate."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "problem_id": f"p{i}", "model": "m", "setting": "", "sample": s, "budget": b,
            "score": float(good), "answer_key": "a" if good else "b", "thinking_tokens": min(20, b),
            "forced": b < 20, "forced_tokens": 1, "answer_tokens": 2, "path_tokens": min(20, b) + 2,
            "answer_logprob": -0.2 if good else -0.9,
        }
        for i in range(problems) for s in range(samples) for b in (0, 8, 16)
        for good in [rng.random() < right]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_where_every_answer_is_right_no_rule_wins() -> None:
    scores = pool(1.0)
    for text in (stopping.across(scores), stopping.within(scores, 1), stopping.within(scores, 8)):
        rows = text.splitlines()[2:]
        assert len(rows) >= 4 and all("undecided" in row for row in rows)
        assert all("100.0 %" in row and "+0.0" in row for row in rows)


def test_a_rule_that_sees_which_answer_is_right_wins_at_equal_tokens() -> None:
    rows = stopping.within(pool(0.4, problems=40), 1).splitlines()
    certain = next(row for row in rows if "certain:answer_logprob:-0.5" in row)
    assert "better" in certain
