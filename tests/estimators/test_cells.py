from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.estimators.binned import bins_by_rate, cells_by_difficulty
from testtime.estimators.cells import cells, null_bounds, replicates
from testtime.estimators.table import pools, read_table, require


def table(score, key=None, **columns):
    score = np.asarray(score, dtype=float)
    problems, samples = score.shape
    frame = pd.DataFrame(
        {
            "problem_id": np.repeat([f"p{i:03d}" for i in range(problems)], samples),
            "sample": np.tile(np.arange(samples), problems),
            "score": score.ravel(),
        }
    )
    if key is not None:
        frame["answer_key"] = [None if k < 0 else f"a{k}" for k in np.asarray(key).ravel()]
    for name, value in columns.items():
        frame[name] = np.broadcast_to(value, score.shape).ravel()
    return frame


def pool(problems=40, samples=8, seed=0):
    rng = np.random.default_rng(seed)
    key = np.stack(
        [rng.choice(4, size=samples, p=rng.dirichlet([2, 1, 1, 1])) for _ in range(problems)]
    )
    return (key == 0).astype(float), key


def test_a_bare_table_is_enough():
    score, _ = pool()
    got = cells(table(score), None, ["mean", "oracle"])
    assert got["model"].unique().tolist() == ["model"] and got["budget"].unique().tolist() == [0]
    assert got["n"].tolist() == [1, 1, 2, 4, 8]
    assert got["value"].iloc[0] == pytest.approx(score.mean())
    assert got["value"].iloc[-1] == pytest.approx(score.max(axis=1).mean())
    assert np.all((got["lo"] < got["value"]) & (got["value"] < got["hi"]))
    assert got["problems"].unique().tolist() == [40]
    assert got["flops"].isna().all()


def test_costs_are_those_of_deploying_the_cell():
    score, key = pool(problems=3)
    scores = table(
        score,
        key,
        thinking_tokens=100,
        forced_tokens=5,
        answer_tokens=10,
        prompt_tokens=50,
        flops=1e9,
        prompt_flops=2e8,
        usd=0.5,
        reward=score,
        reward_flops=1e7,
    )
    once = cells(scores, [4], ["majority", "best:reward"]).set_index("selector")
    each = cells(scores, [4], ["majority", "best:reward"], prefill="each").set_index("selector")
    assert once.loc["majority", "tokens"] == 460 and once.loc["majority", "thinking_tokens"] == 400
    assert (once.loc["majority", "prompt_tokens"], each.loc["majority", "prompt_tokens"]) == (
        50,
        200,
    )
    assert once.loc["majority", "flops"] == pytest.approx(4e9 - 3 * 2e8)
    assert each.loc["majority", "flops"] == pytest.approx(4e9)
    assert each.loc["best:reward", "flops"] == pytest.approx(4e9 + 4e7)
    assert once.loc["majority", "usd"] == 2.0 and np.isnan(once.loc["majority", "seconds"])


def test_a_null_removes_the_cell_not_the_problem():
    score, key = pool()
    score[3, 0] = np.nan
    got = cells(table(score, key), [1, 4, 8], ["mean", "majority"])
    assert got["n"].max() == 4 and set(got["problems"]) == {40}
    bounds = null_bounds(table(score, key), [1, 8], ["mean", "majority", "oracle"]).set_index(
        ["selector", "n"]
    )
    assert set(bounds["nulls"]) == {1}
    gap = bounds["upper"] - bounds["lower"]
    assert gap[("mean", 1)] == pytest.approx(1 / 320)
    assert (gap >= 0).all() and ("majority", 8) in gap.index


def test_unparsed_answers_do_not_vote():
    key = np.array([[0, -1, -1, -1], [-1, -1, -1, -1]])
    score = (key == 0).astype(float)
    got = cells(table(score, key), [4], ["majority"])
    assert (
        got["value"].item() == 0.5
    )  # the one vote wins on the first problem; no vote at all scores 0


def test_groups_budgets_and_models_stay_apart():
    score, _ = pool()
    a = table(score, budget=16.0).assign(model="small")
    b = table(score[:30], budget=np.nan).assign(model="large", setting="effort=low")
    got = cells(pd.concat([a, b]), [1], ["mean"])
    assert got["model"].tolist() == ["large", "small"]
    assert got["problems"].tolist() == [30, 40]
    assert got["budget"].isna().tolist() == [True, False] and str(got["budget"].dtype) == "Int64"


def test_replicates_pair_cells_and_costs_on_problems():
    score, key = pool()
    tokens = np.random.default_rng(1).integers(10, 100, score.shape)
    both = pd.concat([table(score, key, budget=b, thinking_tokens=tokens) for b in (1, 2)])
    drawn = replicates(both, [1, 4], ["mean", "majority"], resamples=300, seed=7)
    assert drawn.value.shape == (300, 6) and drawn.cost("tokens").shape == (300, 6)
    assert np.array_equal(
        drawn.value[:, :3], drawn.value[:, 3:]
    )  # the same problems, so equal pools move together
    assert np.allclose(drawn.value[:, 0], drawn.weights @ score.mean(axis=1) / 40)
    again = replicates(both, [1, 4], ["mean", "majority"], resamples=300, seed=7)
    assert np.array_equal(drawn.value, again.value)
    assert np.isfinite(drawn.out_of_bag).all() and not np.allclose(drawn.out_of_bag, drawn.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="score"), "needs a column 'score'"),
        (lambda t: t.assign(score="C"), "'C', which is not a number"),
        (
            lambda t: t.assign(score=100 * t["score"]),
            "'score' holds 100.0, .* divide percentages by 100",
        ),
        (
            lambda t: t.assign(score=-t["score"]),
            "'score' holds -1.0, and a score lies between 0 and 1",
        ),
        (lambda t: t.assign(score=np.inf), "'score' holds inf"),
        (
            lambda t: t.assign(problem_id=t["problem_id"].where(t.index > 2)),
            "'problem_id' has blanks",
        ),
        (lambda t: t.assign(budget="low"), "'budget' holds 'low', .* a column 'setting'"),
        (lambda t: t.assign(budget=str(10**20)), "'budget' holds '1000.*', which is more tokens"),
        (lambda t: t.assign(budget=np.inf), "'budget' holds inf, which is more tokens"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "two rows for"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(score=np.nan), "no cell can be computed"),
    ],
)
def test_tables_that_would_mislead_are_refused(change, words):
    with pytest.raises(UserError, match=words) as caught:
        cells(change(table(pool()[0])), None, ["mean"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "held", "words"),
    [
        (
            "value",
            [30.0, 34.3],
            "'value' holds 30.0, and a value lies between 0 and 1; divide percentages by 100",
        ),
        ("value", ["30.0%", "34.3%"], "'value' holds '30.0%', which is not a number"),
        ("budget", ["low", "high"], "'budget' holds 'low', .* a column 'setting'"),
        ("tokens", ["1,000", "2,000"], "'tokens' holds '1,000', which is not a number"),
    ],
)
def test_cells_tables_that_would_mislead_are_refused(column, held, words):
    given = pd.DataFrame({"value": [0.3, 0.4], "tokens": [100, 200], "budget": [None, 5.0]})
    require(given, ("value",), "cells table")
    with pytest.raises(UserError, match=f"cells table: column {words}"):
        require(given.assign(**{column: held}), ("value",), "cells table")


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("vote", "does not exist"),
        ("best:rewards", "did you mean 'reward'"),
        ("majority", "answer_key"),
        ("best", "write best:COLUMN"),
        ("vote", "does not exist"),
        ("filtered:reward", "write filtered:COLUMN:SHARE"),
        ("shortest:0", "COUNT is a whole number from 1"),
        ("shortest:2", "answer_key"),
    ],
)
def test_selectors_are_checked(selector, words):
    with pytest.raises(UserError, match=words):
        cells(table(pool()[0], reward=1.0), None, [selector])


def test_the_link_of_a_weight_stands_in_the_selectors_name():
    score, key = pool()
    logprob = np.log(np.random.default_rng(0).random(score.shape))
    raw = np.random.default_rng(1).normal(size=score.shape) * 4
    odds = 1 / (1 + np.exp(-raw))
    same = table(score, key, logprob_mean=logprob, w=np.exp(logprob), raw=raw, odds=odds)
    names = ["weighted-logprob:logprob_mean", "weighted:w", "weighted-logit:raw", "weighted:odds"]
    value = cells(same, [4], names)["value"].to_numpy()
    assert value[0] == pytest.approx(value[1]) and value[2] == pytest.approx(value[3])
    with pytest.raises(UserError, match=r"write weighted-logprob:r for log-prob.*or best:r"):
        cells(table(score, key, r=-1.0), [4], ["weighted:r"])


def test_a_weighted_vote_depends_on_its_own_run_alone():
    score, key = pool()
    raw = np.random.default_rng(1).uniform(0, 4, size=score.shape)
    own = table(score, key, reward=raw)
    other = table(score, key, reward=-raw).assign(model="other")
    names = ["weighted-logit:reward", "weighted-logprob:reward"]
    alone = cells(own, [4], names)["value"].tolist()
    both = cells(pd.concat([own, other]), [4], names)
    assert both[both["model"] == "model"]["value"].tolist() == alone


def test_the_smallest_log_probabilities_still_vote():
    rng = np.random.default_rng(0)
    score, key = pool()
    logprob = rng.uniform(-400, 0, score.shape)
    far = table(score, key, near=logprob, far=logprob - 2000)
    weighted = ["weighted-logprob:near", "weighted-logprob:far"]
    got = cells(far, [1, 2, 4], ["majority", *weighted]).pivot(
        index="n", columns="selector", values="value"
    )
    assert got[weighted[1]].tolist() == pytest.approx(got[weighted[0]].tolist())
    assert got.loc[1, weighted[1]] == pytest.approx(got.loc[1, "majority"])
    best = cells(far, [2, 4], ["best:far"])["value"].tolist()
    assert got[weighted[1]].tolist()[1] == pytest.approx(best[0]), "of two votes the larger wins"


def test_a_pool_without_the_selectors_values_has_no_such_cell():
    score, key = pool()
    both = pd.concat([table(score, key, budget=1.0, reward=score), table(score, key, budget=2.0)])
    got = cells(both, [4], ["majority", "best:reward", "weighted:reward"])
    assert got.groupby("budget")["selector"].apply(list).tolist() == [
        ["majority", "best:reward", "weighted:reward"],
        ["majority"],
    ]


def test_right_answers_without_any_key_have_no_vote_rather_than_a_lost_one():
    score, key = pool()
    one, other = table(score, key, budget=1.0), table(score, key, budget=2.0)
    got = cells(pd.concat([one, other.assign(answer_key=None)]), [4], ["majority", "oracle"])
    assert got.groupby("budget")["selector"].apply(list).tolist() == [
        ["majority", "oracle"],
        ["oracle"],
    ]
    unparsed = cells(other.assign(answer_key=None, score=0.0), [4], ["majority"])
    assert unparsed["value"].tolist() == [0.0]


def test_difficulty_is_decided_on_other_samples():
    rng = np.random.default_rng(0)
    noise = (rng.random((400, 8)) < 0.5).astype(float)  # all problems equally hard
    got = cells_by_difficulty(table(noise), [1], ["mean"], bins=5)
    assert got["value"].between(0.42, 0.58).all()  # no bin looks hard or easy by its own luck
    spread = (rng.random((400, 8)) < np.linspace(0, 1, 400)[:, None]).astype(float)
    assert cells_by_difficulty(table(spread), [1], ["mean"], bins=5)[
        "value"
    ].is_monotonic_decreasing
    with pytest.raises(UserError, match="two samples"):
        cells_by_difficulty(table(noise[:, :1]), [1], ["mean"])


def test_bins_are_equal_in_size():
    assert np.bincount(bins_by_rate([0.9, 0.1, np.nan, 0.5, 0.5], bins=2)).tolist() == [1, 2, 2]


def test_files_are_read_and_named_when_they_cannot_be(tmp_path):
    frame = table(pool()[0])
    frame.to_parquet(tmp_path / "s.parquet")
    frame.to_csv(tmp_path / "s.csv", index=False)
    for name in ("s.parquet", "s.csv"):
        assert pools(read_table(tmp_path / name))[0].score.shape == (40, 8)
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "absent.csv")
    (tmp_path / "runs" / "one").mkdir(parents=True)
    with pytest.raises(UserError, match=r"neither a run nor Parquet files$"):
        read_table(tmp_path / "runs")
    (tmp_path / "runs" / "one" / "run.json").write_text("{}")
    with pytest.raises(UserError, match=r"did you mean .*one\?"):
        read_table(tmp_path / "runs")
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(UserError, match="not readable as Parquet"):
        read_table(tmp_path / "broken.parquet")


def test_no_votes_at_all_score_zero() -> None:
    scores = table(np.zeros((3, 2))).assign(answer_key=None)
    assert cells(scores, [1, 2], ["majority"], resamples=100)["value"].eq(0).all()
