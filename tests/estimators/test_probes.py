"""Rules within chains against running them literally, chain by chain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.cells import cells
from testtime.estimators.deployments import stopped
from testtime.estimators.probe_frontier import against_budgets
from testtime.estimators.probes import KERNELS, stop_thinking
from testtime.grammar import PROBES

CUTS = [0, 10, 20, 40, 80]


def nested(problems: int = 6, samples: int = 4, seed: int = 0) -> pd.DataFrame:
    """Chains of random lengths, cut; answers move about and settle; some are unparsed."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(problems):
        for s in range(samples):
            length = int(rng.integers(5, 120))
            natural = f"a{rng.integers(0, 2)}"
            for b in CUTS:
                forced = length > b or (length == b)
                key = natural if not forced else f"a{rng.integers(0, 3)}"
                key = None if forced and rng.random() < 0.2 else key
                rows.append(
                    {
                        "problem_id": f"p{i}",
                        "sample": s,
                        "budget": b,
                        "score": float(key == "a0"),
                        "answer_key": key,
                        "thinking_tokens": min(length, b),
                        "forced": forced,
                        "forced_tokens": 3 * forced,
                        "answer_tokens": int(rng.integers(1, 5)) if forced else length % 4 + 1,
                        "answer_logprob": -float(rng.integers(0, 4)) / 4,
                        "flops": 1.0,
                        "level": i % 2,
                    }
                )
    return pd.DataFrame(rows)


def literally(rule: str, chain: list[dict], cap: int) -> dict[str, float]:
    """Probe by probe on one chain, rows by growing budget."""
    kind, *rest = rule.split(":")
    keys: list[str | None] = []
    answers = forced = 0.0
    for row in chain:
        answers += row["answer_tokens"]
        forced += row["forced_tokens"]
        keys.append(row["answer_key"])
        told = [k for k in keys if k is not None]
        if kind == "agree":
            last = keys[-int(rest[0]) :]
            stops = len(last) == int(rest[0]) and len(set(last)) == 1 and last[0] is not None
        elif kind == "certain":
            stops = row["answer_logprob"] >= float(rest[1])
        else:
            stops = sum(a != b for a, b in pairwise(told)) >= int(rest[0])
        if stops or not row["forced"] or row["budget"] >= cap:
            return {
                "score": row["score"],
                "thinking_tokens": row["thinking_tokens"],
                "forced_tokens": forced,
                "answer_tokens": answers,
                "probes": len(keys) - 1,
            }
    raise AssertionError


@pytest.mark.parametrize(
    "rule",
    ["agree:1", "agree:2", "agree:3", "certain:answer_logprob:-0.25", "change:1", "change:2"],
)
def test_every_chain_stops_where_the_rule_would_and_pays_every_probe(rule: str) -> None:
    table = nested()
    found = stop_thinking(table, [rule])
    assert len(found) == 6 * 4 * 4 and (found["setting"] == rule).all()
    assert "flops" not in found, "a stale cost is worse than none"
    for row in found.to_dict("records"):
        mine = (table["problem_id"] == row["problem_id"]) & (table["sample"] == row["sample"])
        chain = table[mine & (table["budget"] > 0)].sort_values("budget")
        chain = chain.astype(object).where(chain.notna(), None).to_dict("records")
        by_hand = literally(rule, chain, row["budget"])
        assert {k: row[k] for k in by_hand} == by_hand


def test_the_result_is_a_scores_table_like_any_other() -> None:
    ruled = stop_thinking(nested(20), ["agree:2"])
    assert set(cells(ruled, [1, 4], ["majority"])["n"]) == {1, 4}
    votes = stopped(ruled, ["beta:0.8"], n=[4]).table()
    assert (votes["setting"] == "agree:2").all() and (votes["tokens"] > 0).all()
    assert ruled.groupby("problem_id")["level"].nunique().eq(1).all()


def test_probing_at_fewer_cuts_pays_fewer_probes() -> None:
    table = nested(30)
    rare = stop_thinking(table, ["agree:2"], [20, 80])
    often = stop_thinking(table, ["agree:2"])
    last = rare["budget"] == 80, often["budget"] == 80
    assert rare[last[0]]["probes"].max() == 1 < often[last[1]]["probes"].max()


def test_against_budgets_of_equal_tokens() -> None:
    """A rule that never stops early is the largest budget plus its probes: no better, dearer."""
    table = nested(60, 8)
    found = against_budgets(table, ["agree:9"])
    largest = found[found["cap"] == 80].iloc[0]
    assert largest["budgets"] == "80" and largest["difference"] == pytest.approx(0)
    plain = cells(table, [1], ["mean"]).set_index("budget")
    between = found[(found["cap"] == 20)].iloc[0]
    low, high = (int(b) for b in between["budgets"].split(" and "))
    ends = plain.loc[[low, high]]
    share = (between["tokens"] - ends["tokens"].iloc[0]) / np.diff(ends["tokens"])[0]
    mixed = (1 - share) * ends["value"].iloc[0] + share * ends["value"].iloc[1]
    assert 0 < share < 1 and between["budget_value"] == pytest.approx(mixed)


def test_mistakes_are_said() -> None:
    table = nested()
    with pytest.raises(UserError, match=r"probing rule 'certain:logprob:0'.*no column 'logprob'"):
        stop_thinking(table, ["certain:logprob:0"])
    with pytest.raises(UserError, match="no cut at 30; the table holds 0, 10, 20, 40, 80"):
        stop_thinking(table, ["agree:2"], [30])
    with pytest.raises(UserError, match="at least two budgets"):
        stop_thinking(table[table["budget"] == 10], ["agree:2"])
    with pytest.raises(UserError, match="column 'answer_key' at every budget"):
        stop_thinking(table.drop(columns="answer_key"), ["agree:2"])


def test_every_rule_that_can_be_written_has_a_kernel() -> None:
    assert set(KERNELS) == set(PROBES)
