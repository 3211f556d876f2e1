"""Stopping rules against running them literally, order by order, in both deployments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from math import comb, inf

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.deployments import stopped
from testtime.estimators.frontier import frontier
from testtime.estimators.stopping import KERNELS
from testtime.grammar import RULES as WRITTEN

RULES = [
    "fixed",
    "beta:0.8",
    "dirichlet:0.7",
    "esc:2",
    "share:0.75",
    "bar:sure:0.7",
    "deepconf:sure:0.5:2:0.8",
]
MEASURES = ["value", "samples", "counted_tokens", "tokens", "latency"]


def pool(problems: int, samples: int, seed: int = 0, *, ties: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(problems):
        share = rng.dirichlet([2, 1, 1])
        for s in range(samples):
            answer = int(rng.choice(3, p=share))
            length = int(rng.integers(1, 6)) * 10 if ties else int(rng.integers(1, 10**6))
            rows.append(
                {
                    "problem_id": f"p{i}",
                    "sample": s,
                    "score": float(answer == 0),
                    "answer_key": None if rng.random() < 0.15 else f"a{answer}",
                    "thinking_tokens": length,
                    "answer_tokens": 2,
                    "forced_tokens": int(rng.integers(0, 2)),
                    "flops": 3.0 * length + 5,
                    "prompt_flops": 4.0,
                    "sure": round(float(rng.random()), 1),
                }
            )
    table = pd.DataFrame(rows)
    table.loc[table["answer_key"].isna(), "score"] = 0.0
    return table


def vote(rows: Sequence[dict]) -> float:
    """What the vote scores, ties shared."""
    votes = Counter(r["answer_key"] for r in rows if r["answer_key"] is not None)
    leaders = [a for a, c in votes.items() if c == max(votes.values())]
    return sum(a == "a0" for a in leaders) / max(len(leaders), 1)


def says_stop(rule: str, seen: Sequence[dict]) -> bool:
    """The rule as its paper writes it, on the samples seen so far."""
    kind, *rest = rule.split(":")
    n, votes = len(seen), Counter(r["answer_key"] for r in seen if r["answer_key"] is not None)
    first, second, *_ = [*sorted(votes.values(), reverse=True), 0, 0]
    if kind == "beta":  # P(Beta(first + 1, second + 1) > 1/2) is a binomial's tail
        tosses = first + second + 1
        return sum(comb(tosses, i) for i in range(first + 1)) / 2**tosses >= float(rest[0])
    if kind == "dirichlet":
        counts = sorted(votes.values(), reverse=True) or [0]
        return first_is_largest(tuple(counts + [0] * (len(counts) == 1))) >= float(rest[0])
    if kind == "esc":
        window = [r["answer_key"] for r in seen[-int(rest[0]) :]]
        return n % int(rest[0]) == 0 and len(set(window)) == 1 and window[0] is not None
    if kind == "share":
        return n in (2, 4, 8) and first >= float(rest[0]) * n
    if kind == "bar":
        return any(r["sure"] >= float(rest[1]) and r["answer_key"] for r in seen)
    if kind == "deepconf":
        if n < int(rest[2]):
            return False
        voters = [r for r in above(rule, seen) if r["answer_key"] is not None]
        most = max(Counter(r["answer_key"] for r in voters).values(), default=0)
        return bool(voters) and most / len(voters) >= float(rest[3]) - 1e-12
    return False


_SHARES: dict[tuple[int, ...], float] = {}


def first_is_largest(counts: tuple[int, ...]) -> float:
    """P(share 1 is the largest) under Dirichlet(counts + 1), by a fine sum over its Gamma."""
    if counts not in _SHARES:
        from scipy.stats import gamma

        x = (np.arange(40000) + 0.5) / 1000
        rest = np.prod([gamma.cdf(x, c + 1) for c in counts[1:]], axis=0)
        _SHARES[counts] = float((gamma.pdf(x, counts[0] + 1) * rest).sum() / 1000)
    return _SHARES[counts]


def above(rule: str, seen: Sequence[dict]) -> list[dict]:
    """The samples that a rule with a bar lets vote."""
    kind, _, share, *rest = rule.split(":")
    if kind == "bar":
        return [r for r in seen if r["sure"] >= float(share)]
    warm = seen[: int(rest[0])]
    bar = sorted((r["sure"] for r in warm), reverse=True)[-int(-len(warm) * float(share)) - 1]
    return [r for r in seen if r["sure"] >= bar]


def literally(rule: str, order: Sequence[dict], cap: int, deployment: str) -> dict[str, float]:
    """One deployment of a rule on one order."""
    launched = list(order[:cap])
    path = [r["thinking_tokens"] + r["answer_tokens"] for r in launched]
    if deployment == "launch and cancel":
        turn = sorted(range(cap), key=lambda i: path[i])
        launched, path = [launched[i] for i in turn], [path[i] for i in turn]
    seen: list[dict] = []
    for r in launched:
        seen.append(r)
        if says_stop(rule, seen):
            break
    n = len(seen)
    believed = seen
    kind = rule.partition(":")[0]
    if kind == "bar" or (kind == "deepconf" and n >= int(rule.split(":")[3])):
        passed = [r for r in above(rule, seen) if r["answer_key"] is not None]
        believed = passed or seen
    if kind == "esc" and says_stop(rule, seen):
        believed = seen[-int(rule.split(":")[1]) :]
    counted = sum(path[:n]) + sum(r["forced_tokens"] for r in seen)
    result = {"value": vote(believed), "samples": n, "counted_tokens": counted}
    if deployment == "launch and cancel":
        cancelled = sum(min(p, path[n - 1]) for p in path[n:])
        part = sum(
            r["flops"] * path[n - 1] / p for r, p in zip(launched[n:], path[n:], strict=True)
        )
        flops = sum(r["flops"] for r in seen) + part - (cap - 1) * 4.0
        return result | {"tokens": counted + cancelled, "latency": path[n - 1], "flops": flops}
    window = {"fixed": inf, "esc": 2.0}.get(kind, 1.0)
    if kind == "share":
        batches = [path[:2], path[2:4], path[4:8]]
    elif kind == "deepconf":
        batches = [path[:2], *([p] for p in path[2:])]
    else:
        width = int(min(window, cap))
        batches = [path[i : i + width] for i in range(0, cap, width)]
    wait, left = 0, n
    for batch in batches:
        wait += max(batch[: max(left, 0)], default=0)
        left -= len(batch)
    flops = sum(r["flops"] for r in seen) - (n - 1) * 4.0
    return result | {"tokens": counted, "latency": wait, "flops": flops}


def expected(table: pd.DataFrame, rule: str, cap: int, deployment: str) -> pd.Series:
    """Mean over problems of the mean over all orders."""
    means = []
    for _, problem in table.groupby("problem_id"):
        rows = problem.astype(object).where(problem.notna(), None).to_dict("records")
        orders = permutations(rows, cap)
        means.append(pd.DataFrame([literally(rule, o, cap, deployment) for o in orders]).mean())
    return pd.concat(means, axis=1).mean(axis=1)


@pytest.mark.parametrize("rule", RULES)
def test_small_pools_are_read_in_all_orders_ties_included(rule: str) -> None:
    table = pool(4, 5)
    found = stopped(table, [rule], n=range(1, 6)).table()
    assert len(found) == 2 * 5 and (found["mc_error"] == 0).all()
    for row in found.to_dict("records"):
        by_hand = expected(table, rule, row["n"], row["deployment"])
        for measure in (*MEASURES, "flops"):
            assert row[measure] == pytest.approx(by_hand[measure], abs=1e-9), (measure, row)


@pytest.mark.parametrize("rule", RULES)
def test_random_orders_agree_within_their_error(rule: str) -> None:
    table = pool(3, 8, seed=1)
    found = stopped(table, [rule], n=[8], draws=1500, seed=3).table()
    rng = np.random.default_rng(0)
    for row in found.to_dict("records"):
        assert 0 <= row["mc_error"] < 0.01
        runs = []
        for _, problem in table.groupby("problem_id"):
            rows = problem.astype(object).where(problem.notna(), None).to_dict("records")
            for _ in range(1500):
                order = [rows[i] for i in rng.permutation(8)]
                runs.append(literally(rule, order, 8, row["deployment"]))
        drawn = pd.DataFrame(runs)
        for measure in MEASURES:
            error = drawn[measure].std() / np.sqrt(len(drawn)) * np.sqrt(2) + 1e-9
            assert abs(row[measure] - drawn[measure].mean()) < 4.5 * error, (measure, row)


def test_launched_all_at_once_without_equal_lengths_there_is_one_order() -> None:
    table = pool(3, 8, seed=2, ties=False)
    found = stopped(table, ["beta:0.8"], n=[8], deployments=["launch and cancel"], draws=4).table()
    rows = [
        p.astype(object).where(p.notna(), None).to_dict("records")
        for _, p in table.groupby("problem_id")
    ]
    runs = pd.DataFrame([literally("beta:0.8", r, 8, "launch and cancel") for r in rows]).mean()
    assert found.loc[0, "mc_error"] == 0
    assert found.loc[0, [*MEASURES, "flops"]].tolist() == pytest.approx(
        runs[[*MEASURES, "flops"]].tolist()
    )


def test_a_cancelled_deployment_generates_what_it_cancels_and_answers_otherwise() -> None:
    """Short chains here are wrong: launched together they end first, agree, and win."""
    rows = [
        (f"p{i}", s, float(s >= 3), "right" if s >= 3 else "wrong", 10 if s < 3 else 100)
        for i in range(5)
        for s in range(8)
    ]
    columns = ["problem_id", "sample", "score", "answer_key", "thinking_tokens"]
    table = pd.DataFrame(rows, columns=columns)
    found = stopped(table, ["esc:3", "fixed"], n=[8], draws=200).table()
    value = found.set_index(["rule", "deployment"])["value"]
    assert value["esc:3", "launch and cancel"] == 0 and value["fixed", "launch and cancel"] == 1
    assert value["esc:3", "one by one"] > 0.5
    cancelled = found[(found["rule"] == "esc:3") & (found["deployment"] == "launch and cancel")]
    assert cancelled[["samples", "counted_tokens", "tokens", "latency"]].iloc[0].tolist() == [
        3,
        30,
        80,
        10,
    ]


def test_what_a_table_lacks_is_said_or_left_out() -> None:
    table = pool(3, 4)
    with pytest.raises(UserError, match=r"stopping rule 'bar:sur:0': .*did you mean 'sure'"):
        stopped(table, ["bar:sur:0"])
    with pytest.raises(UserError, match="votes need a column 'answer_key'"):
        stopped(table.drop(columns="answer_key"))
    with pytest.raises(UserError, match="no pool"):
        stopped(table.assign(answer_key=None, score=1.0))
    bare = table.drop(columns=["thinking_tokens", "answer_tokens", "flops"])
    found = stopped(bare, ["beta"]).table()
    assert found["deployment"].unique().tolist() == ["one by one"]
    assert found["tokens"].isna().all() and found["samples"].notna().all()


def test_unscored_samples_and_uneven_pools_use_as_many_as_every_problem_has() -> None:
    table = pool(4, 6).iloc[:-1]
    table.loc[0, "score"] = np.nan
    found = stopped(table, ["fixed"]).table()
    assert found["n"].max() == 5
    one = found[(found["n"] == 1) & (found["deployment"] == "one by one")].iloc[0]
    mean = table.groupby("problem_id")["score"].mean().mean()
    assert one["value"] == pytest.approx(mean, abs=4 * one["mc_error"] + 0.01)


def test_rules_enter_the_frontier_like_selectors() -> None:
    table = pool(30, 8, seed=4)
    found = frontier(stopped(table, ["fixed", "beta:0.8"]).grid.bootstrap(200), "tokens")
    assert {"one by one", "launch and cancel"} & {s.split(", ")[1] for s in found["selector"]}


def test_every_rule_that_can_be_written_has_a_kernel() -> None:
    assert set(KERNELS) == set(WRITTEN)
