"""Comparisons of one or several runs: what is said, what is refused, and real effort levels as
budgets.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import testtime
from tests.storage.test_store import MANIFEST
from testtime import importers
from testtime.cli.options import without_reports
from testtime.compare.comparison import compare
from testtime.compare.inputs import priced
from testtime.compare.text import describe
from testtime.config.schema import Prices
from testtime.errors import UserError
from testtime.report.comparison import figure, write
from testtime.runs.sources import read
from testtime.storage.manifest import Imported


def run(
    model: str = "m", *, skill: float = 0.7, seed: int = 0, problems: int = 60, samples: int = 8
) -> pd.DataFrame:
    """A model whose chains end at about 30 tokens: longer helps up to there, votes help after."""
    rng = np.random.default_rng(seed)
    length = rng.integers(15, 45, (problems, samples))
    luck, wrong = rng.random((problems, samples)), rng.integers(0, 5, (problems, samples))
    pieces = []
    for budget in (0, 8, 16, 32, 64):
        right = luck < 0.05 + skill * np.minimum(1, budget / length) ** 2
        problem, sample = np.indices(right.shape)
        columns = {
            "problem_id": np.char.add("p", problem.ravel().astype(str)), "model": model, "budget": budget,
            "sample": sample.ravel(), "score": right.ravel().astype(float),
            "answer_key": np.where(right, "r", wrong.astype(str)).ravel(),
            "thinking_tokens": np.minimum(budget, length).ravel(), "forced_tokens": 2 * (length > budget).ravel(),
            "answer_tokens": 3, "prompt_tokens": 10,
        }  # fmt: skip
        pieces.append(pd.DataFrame(columns))
    return pd.concat(pieces)


def test_both_regimes_are_found_and_said() -> None:
    found = compare({"one": run()}, resamples=300)
    assert found.axis == "tokens" and found.problems == 60
    table = found.tables["doublings"]
    assert {"longer", "more"} <= set(table.loc[table["selector"] == "majority", "better"])
    change = found.tables["crossovers"].query("selector == 'majority' and n == 2").iloc[0]
    assert change["longer_from"] == 0
    assert change["longer_to_lo"] <= change["longer_to"] <= change["longer_to_hi"] < np.inf
    assert set(found.tables["by_difficulty_frontier"]["difficulty"]) == {"1", "2", "3"}
    assert (
        found.tables["frontier"]["latency" if "latency" in found.tables["frontier"] else "cost"]
        .notna()
        .all()
    )
    text = describe(found)
    for words in ("Recommended settings", "longer up to", "then more", "longest path", "bin 1, m"):
        assert words in text
    assert "oracle of" not in text.split("Paired")[0]


def test_two_models_are_paired_and_one_catches_up() -> None:
    found = compare(
        {"a": run("small", skill=0.6), "b": run("large", skill=0.9, seed=1)}, resamples=300, bins=0
    )
    pairs = found.tables["differences"]
    assert set(pairs["a_model"]) == {"large"} and set(pairs["b_model"]) == {"small"}
    assert len(found.tables["catching_up"]) == 1
    assert (
        "Paired differences" in describe(found) and "by_difficulty_crossovers" not in found.tables
    )


def test_who_is_the_weaker_is_said_only_where_it_shows() -> None:
    told = {8: "effort=low", 64: "effort=high"}
    parts = {
        name: run(name, skill=skill, seed=seed)
        .query("budget in (8, 64)")
        .assign(setting=lambda t: t["budget"].map(told), budget=np.nan)
        for seed, (name, skill) in enumerate({"small": 0.2, "large": 0.9, "twin": 0.9}.items())
    }
    found = compare(parts, resamples=300, bins=0, selectors=["oracle"])
    rows = found.tables["catching_up"].set_index(["model", "reference"])
    assert rows["reference_setting"].unique().tolist() == ["effort=low"]
    (alike,) = (pair for pair in rows.index if "small" not in pair)
    assert rows.loc[alike, "behind_lo"] < 0 < rows.loc[alike, "behind_hi"]
    told_lines = [line for line in describe(found).splitlines() if " effort=low (" in line]
    said = {line.split()[0]: line for line in told_lines}
    assert (
        "neither is surely the better" in said[alike[0]]
        and "without thinking" not in said[alike[0]]
    )
    assert "weaker" not in describe(found)


def test_selectors_are_paired_at_equal_n() -> None:
    table = run(problems=40)
    table["reward"] = table["score"] + np.random.default_rng(0).normal(0, 0.3, len(table))
    found = compare({"x": table}, selectors=["majority", "best:reward"], resamples=200, bins=0)
    pairs = found.tables["selectors"]
    assert set(pairs["n"]) == {2, 4, 8} and set(pairs["a_selector"]) == {"majority"}
    row = pairs.query("n == 8 and budget == 16").iloc[0]
    assert row["difference"] == pytest.approx(row["a_value"] - row["b_value"])
    assert row["lo"] <= row["difference"] <= row["hi"] and row["better"] == "b"
    assert "majority vote of 8 minus best by reward of 8: -" in describe(found)


def test_selectors_that_a_run_was_given_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "scored.csv"
    run(problems=12, samples=4).assign(reward=0.5).to_csv(path, index=False)
    imported = importers.import_csv(path, tmp_path, selectors=["best:reward"])
    found = testtime.compare(imported, bins=0, resamples=100)
    assert set(found.tables["cells"]["selector"]) == {"mean", "best:reward"}


def test_logs_without_tokens_are_compared_by_samples() -> None:
    bare = run(problems=30).drop(columns=[c for c in run() if c.endswith("_tokens")])
    found = compare({"a": bare, "b": bare.assign(model="other")}, resamples=100)
    assert found.axis == "n" and not {"doublings", "crossovers"} & set(found.tables)
    pairs = found.tables["differences"]
    assert (pairs["a_budget"] == pairs["b_budget"]).all() and len(pairs)
    said = describe(found)
    assert "compute in samples a problem" in said and "for 1 sample;" in said
    assert "1 samples" not in said and figure(found)


def test_two_runs_of_one_model_are_told_apart_by_name() -> None:
    found = compare({"first": run(seed=0), "again": run(seed=1)}, resamples=200, bins=0)
    assert set(found.tables["cells"]["model"]) == {"m (first)", "m (again)"}


def test_problems_that_one_run_lacks_are_left_out_and_said() -> None:
    few = run("b", problems=40)
    found = compare({"a": run("a"), "b": few}, resamples=200, bins=0)
    assert found.problems == 40
    assert "20 problems that not every model has were left out" in describe(found)


def test_a_setting_without_cells_for_want_of_scores_is_named_with_its_bounds(
    shared_data: Path,
) -> None:
    table = otis(shared_data, ["openai/gpt-5.4-2026-03-05", "openai/gpt-5.4-mini-2026-03-17"])
    (note,) = compare({"otis": table}, resamples=200, bins=0).notes
    assert note == (
        "openai/gpt-5.4-2026-03-05 effort=xhigh: no cells of n 1, 2, 4, 8 (answers without a "
        "score: 43); one sample "
        "solves 87.8 % if all of them are wrong, 99.7 % if all are right"
    )


def test_only_cells_that_want_scores_are_said_to_be_absent() -> None:
    table = run(samples=4)
    table.loc[
        (table["budget"] == 8) & (table["problem_id"] == "p3") & (table["sample"] == 1), "score"
    ] = np.nan
    (note,) = compare({"x": table}, resamples=100, bins=0).notes
    assert note.startswith(
        "m budget 8: no cells of n 4 (answers without a score: 1); one sample solves "
    )
    assert compare({"x": table}, n=[1, 2], resamples=100, bins=0).notes == []
    many = pd.concat([table[table["budget"] == 8].assign(budget=b) for b in range(1, 20)])
    notes = compare({"x": many}, resamples=50, bins=0).notes
    assert (
        len(notes) == 13 and notes[-1] == "7 more settings lack cells because answers have no score"
    )


def test_one_problem_is_refused_and_a_bin_of_one_has_no_interval() -> None:
    with pytest.raises(UserError, match=r"only 1 problem; .* at least 2"):
        compare({"x": run(problems=1)})
    table = run(problems=8).assign(
        level=lambda t: np.where(t["problem_id"] == "p5", "hard", "easy")
    )
    found = compare({"x": table}, difficulty="level", resamples=100)
    alone = found.tables["by_difficulty_crossovers"].query("difficulty == 'hard'")
    assert len(alone) and set(alone["note"]) == {"undecided throughout"}
    assert (
        found.tables["by_difficulty_frontier"]
        .query("difficulty == 'hard'")[["lo", "hi"]]
        .isna()
        .all(axis=None)
    )
    assert "nan" not in describe(found)
    small = compare({"x": run(problems=12)}, resamples=300)
    assert "nan" not in describe(small), "some resamples miss a small bin altogether"
    assert small.tables["by_difficulty_frontier"]["lo"].notna().all()


def test_a_table_of_three_columns_is_enough() -> None:
    table = pd.DataFrame(
        {
            "problem_id": list("aabb"),
            "sample": [0, 1, 0, 1],
            "score": [1, 0, 1, 1],
            "answer_tokens": 5,
        }
    )
    found = compare({"x": table}, resamples=100)
    assert found.tables["recommended"]["value"].iloc[0] == 0.75
    assert "doublings" not in found.tables


def test_flops_are_the_axis_where_every_row_has_them() -> None:
    assert compare({"x": run().assign(flops=1e9)}, resamples=100, bins=0).axis == "flops"
    partly = run().assign(flops=1e9)
    partly.iloc[0, partly.columns.get_loc("flops")] = np.nan
    assert compare({"x": partly}, resamples=100, bins=0).axis == "tokens"


def test_a_model_without_token_counts_is_left_out_of_what_needs_them_and_said(
    tmp_path: Path,
) -> None:
    bare = run("bare", seed=1).drop(columns=[c for c in run() if c.endswith("_tokens")])
    bare["level"] = "hard"
    known = run("known").assign(level="hard")
    for runs in (
        {"a": known, "b": bare},
        {"b": bare, "a": known, "c": run("other", seed=2).assign(level="hard")},
    ):
        found = compare(runs, resamples=100)
        (note,) = found.notes
        assert (
            note
            == "bare: tokens are not known, so only accuracies and paired differences are compared"
        )
        assert "bare" not in {
            *found.tables["frontiers"]["model"],
            *found.tables["recommended"]["model"],
        }
        assert "bare" in {
            *found.tables["differences"]["a_model"],
            *found.tables["differences"]["b_model"],
        }
        assert ("catching_up" in found.tables) == (len(runs) == 3)
        assert note in describe(found) and figure(found)
    stated = compare(runs, resamples=100, difficulty="level").tables["by_difficulty_crossovers"]
    assert set(stated["model"]) == {"known", "other"}
    counted = compare({"a": bare, "b": bare.assign(model="barer")}, resamples=100)
    assert counted.axis == "n" and "counted in samples" in counted.notes[-1]
    partly = pd.concat([known, bare.assign(model="known", setting="effort=low")])
    assert compare({"a": partly}, resamples=100).notes[0].startswith("some settings of known: ")
    for name, table in (("known", known), ("bare", bare)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    both = [tmp_path / "known.csv", tmp_path / "bare.csv"]
    assert (
        compare(priced(read(both), Prices(1.0, 2.0, 0.5)), axis="usd", resamples=100)
        .notes[0]
        .startswith("bare: ")
    )
    with pytest.raises(UserError, match="neither thinking_tokens nor"):
        priced(read(both[1:]), Prices(1.0, 2.0, 0.5))


def test_a_column_can_state_the_difficulty() -> None:
    table = run()
    table["level"] = np.where(table["problem_id"].str.len() > 2, "hard", "easy")
    found = compare({"x": table}, difficulty="level", resamples=100)
    assert set(found.tables["by_difficulty_frontier"]["difficulty"]) == {"easy", "hard"}


def test_tables_and_text_are_written(tmp_path: Path) -> None:
    found = compare({"x": run()}, resamples=100)
    paths = write(found, tmp_path / "out")
    kinds = ("txt", "png", "svg", "pdf")
    assert {p.name for p in paths} == {
        *(f"{name}.csv" for name in found.tables),
        *(f"compare.{k}" for k in kinds),
    }
    assert all(p.stat().st_size > 500 for p in paths if p.suffix != ".csv")
    back = pd.read_csv(tmp_path / "out" / "frontier.csv")
    assert back["out_of_bag"].to_numpy() == pytest.approx(
        found.tables["frontier"]["out_of_bag"].to_numpy()
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write(found, tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"axis": "flopz"}, "did you mean 'flops'"),
        ({"axis": "usd"}, "does not hold it"),
        ({"tolerance": 1.5}, "tolerance"),
        ({"selectors": ["best:reward"]}, "reward"),
        ({"limits": {"tokenz": 5}}, "did you mean 'tokens'"),
        ({"difficulty": "levle"}, "levle"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        compare({"x": run()}, resamples=100, **arguments)  # type: ignore[arg-type]


def elsewhere(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows as those of another benchmark."""
    return table.assign(problem_id=lambda t: "q" + t["problem_id"])


def test_benchmarks_are_pooled_and_shown_one_by_one() -> None:
    """Two models on two contests of 30 and 20 problems, one of which is far easier."""
    runs = {
        "a24": run("a", problems=30),
        "a25": elsewhere(run("a", problems=20, skill=0.95, seed=1)),
        "b24": run("b", problems=30, skill=0.5, seed=2),
        "b25": elsewhere(run("b", problems=20, skill=0.9, seed=3)),
    }
    pooled = compare(runs, resamples=200, bins=0)
    assert pooled.problems == 50
    assert pooled.notes[0].startswith("pooled: a24 (30 problems), a25 (20 problems)")
    alone = pooled.tables["by_benchmark"]
    first = compare({name: runs[name] for name in ("a24", "b24")}, resamples=200, bins=0)
    cells = first.tables["cells"]
    mine = alone[alone["benchmark"] == "a24"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        mine[["model", "budget", "n", "value", "lo", "hi"]],
        cells[["model", "budget", "n", "value", "lo", "hi"]],
    )
    whole = pooled.tables["cells"]["value"].to_numpy()
    parts = [alone.loc[alone["benchmark"] == b, "value"].to_numpy() for b in ("a24", "a25")]
    assert whole == pytest.approx(0.6 * parts[0] + 0.4 * parts[1])
    assert "On each benchmark by itself" in describe(pooled) and ", a25 " in describe(pooled)


def test_a_column_names_the_benchmark_where_ids_are_the_same() -> None:
    both = pd.concat(
        [run(problems=12).assign(benchmark="I"), run(problems=12, seed=1).assign(benchmark="II")]
    )
    one = run("other", problems=12, seed=2)
    found = compare(
        {"m": both[both["benchmark"] == "I"], "more": both[both["benchmark"] == "II"]},
        resamples=100,
    )
    assert found.problems == 24 and set(found.tables["by_benchmark"]["benchmark"]) == {"I", "II"}
    assert "by_difficulty_frontier" in found.tables
    single = compare({"m": both[both["benchmark"] == "I"], "o": one}, resamples=100, bins=0)
    assert single.problems == 12 and "by_benchmark" not in single.tables


def test_a_cell_that_one_benchmark_lacks_is_left_out() -> None:
    short = elsewhere(run(problems=20, seed=1)).query("budget < 64")
    found = compare({"a": run(problems=20), "b": short}, resamples=100, bins=0)
    assert 64 not in set(found.tables["cells"]["budget"])
    assert any("cells that not every benchmark has" in note for note in found.notes)


def test_two_models_that_are_one_have_no_winner() -> None:
    found = compare({"a": run("a"), "b": run("b", seed=1)}, resamples=300, bins=0)
    table = found.tables["differences"].query("selector != 'oracle'")
    assert set(table["better"]) == {"undecided"} and len(table) > 20
    assert (table["all_lo"] <= table["lo"]).all() and (table["all_hi"] >= table["hi"]).all()
    assert "together: no winner, at 95 % over all rows" in describe(found)


def test_what_thirty_problems_cannot_tell_is_said() -> None:
    found = compare(
        {"x": run(problems=30, samples=4, seed=1)}, resamples=300, bins=0, tolerance=0.05
    )
    row = found.tables["recommended"].iloc[1]
    assert not row["told"]
    assert "30 problems cannot tell 5 points; about" in describe(found)
    assert "settings may be the best instead" in describe(found)
    wide = compare({"x": run(samples=4)}, resamples=300, bins=0, tolerance=0.5)
    assert wide.tables["recommended"].iloc[1]["told"]
    assert "points to the best" in describe(wide)


def test_runs_without_common_problems_are_refused() -> None:
    other = run("b").assign(problem_id=lambda t: "q" + t["problem_id"])
    with pytest.raises(UserError, match="no problem in common"):
        compare({"a": run("a"), "b": other})
    with pytest.raises(UserError, match="at least one run"):
        compare({})


def test_runs_and_tables_are_read_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "small"
    (folder / "tables").mkdir(parents=True)
    imported = Imported("csv", ["small.csv"])
    told = replace(MANIFEST, imported=imported).plain()
    (folder / "run.json").write_text(json.dumps(told))
    for name in ("scores", "cells"):
        table = run().assign(flops=2.0, prompt_flops=1.0)
        table.to_parquet(folder / "tables" / f"{name}.parquet")
    run("other").to_csv(tmp_path / "table.csv", index=False)
    found = priced(read([folder, tmp_path / "table.csv"]), Prices(1.0, 2.0, 0.5))
    assert list(found) == ["small", "table"]
    assert {"flops", "prompt_flops", "usd", "prompt_usd"} <= set(found["small"].columns)
    assert "flops" not in found["table"] and "usd" in found["table"]
    with pytest.raises(UserError, match="given twice"):
        read([folder, folder, folder])
    with pytest.raises(UserError, match="no such file"):
        read([tmp_path / "absent"])


def test_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from testtime.cli.app import app

    run(problems=20).to_csv(tmp_path / "a.csv", index=False)
    arguments = [
        "compare",
        str(tmp_path / "a.csv"),
        "--bins",
        "0",
        "--limit",
        "latency=20",
        "--price",
        "input=1",
    ]
    told = CliRunner().invoke(
        app, [*arguments, "--price", "output=2", "--axis", "usd", "--out", str(tmp_path / "out")]
    )
    assert (
        told.exit_code == 0 and "best at latency <= 20" in told.output and "dollars" in told.output
    )
    assert (tmp_path / "out" / "compare.txt").is_file()
    found = json.loads(
        CliRunner()
        .invoke(app, ["compare", str(tmp_path / "a.csv"), "--bins", "0", "--json"])
        .output
    )
    assert found["axis"] == "tokens" and found["tables"]["frontier"]
    wrong = CliRunner().invoke(app, ["compare", str(tmp_path / "a.csv"), "--limit", "latency"])
    assert isinstance(wrong.exception, UserError) and "write name=number" in str(wrong.exception)


def test_the_figure_draws_every_models_frontier_and_both_regimes(tmp_path: Path) -> None:
    found = compare(
        {"a": run("small"), "b": run("large", skill=0.9, seed=1)}, resamples=300, bins=0
    )
    plate = figure(found, tmp_path / "one.svg")
    assert (tmp_path / "one.svg").read_text().startswith("<?xml")
    upper, lower = plate.figure.axes
    for index, (model, part) in enumerate(found.tables["frontiers"].groupby("model", sort=False)):
        (drawn,) = [line for line in upper.lines if line.get_gid() == f"model{index}"]
        np.testing.assert_allclose(drawn.get_xydata(), part[["cost", "out_of_bag"]].to_numpy(float))
        assert part["cost"].is_monotonic_increasing and set(part["model"]) == {model}
    table = found.tables["doublings"].query("selector == 'majority' and n == 2")
    assert sorted(text.get_text() for text in lower.texts) == sorted(
        f"{100 * d:+.1f}" for d in table["difference"]
    )
    assert {"longer", "more"} <= set(table["better"])
    alone = figure(compare({"a": run().query("budget == 64")}, resamples=100, bins=0))
    assert len(alone.figure.axes) == 1, "one budget: nothing to double"
    scored = run().query("budget == 64")
    scored["reward"] = scored["score"] + 0.1 * scored["sample"]
    rivals = ["majority", "best:reward"]
    paired = compare({"a": scored}, resamples=100, bins=0, selectors=rivals)
    _, beside = figure(paired).figure.axes
    shown = beside.lines[1].get_ydata()
    found_rows = paired.tables["selectors"].sort_values("n")
    np.testing.assert_allclose(sorted(shown), sorted(100 * found_rows["difference"]))
    assert "minus" in beside.get_title(loc="left")
    with pytest.raises(UserError, match="ends in one of"):
        figure(found, tmp_path / "one.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        figure(found, tmp_path / "file" / "one.png")


def test_the_figure_has_one_column_for_each_effort_level_cheapest_first(tmp_path: Path) -> None:
    told = {8: "effort=low", 16: "effort=mid", 32: "effort=high", 64: "effort=xhigh"}
    table = run().query("budget > 0").assign(setting=lambda t: t["budget"].map(told), budget=np.nan)
    lower = figure(compare({"a": table}, resamples=100, bins=0)).figure.axes[1]
    shown = [label.get_text() for label in lower.get_xticklabels()]
    assert shown == ["effort=low", "effort=mid", "effort=high"], "the last has no longer step"
    assert {round(text.get_position()[0]) for text in lower.texts} == {0, 1, 2}


def test_the_folder_of_a_joint_report_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("")
    assert without_reports([tmp_path, tmp_path / "report"]) == [tmp_path]
    with pytest.raises(UserError, match="the folder of a report, not a run"):
        without_reports([tmp_path / "report"])


def otis(shared_data: Path, models: list[str]) -> pd.DataFrame:
    """Epoch's OTIS Mock AIME samples as a scores table: effort levels are settings without a
    budget.
    """
    raw = pd.read_csv(
        shared_data / "laws" / "epoch_benchmark_logs" / "otis_mock_aime_samples.csv.gz"
    )
    raw = raw[raw["model"].isin(models)]
    effort = raw["reasoning_effort"].fillna("")
    return pd.DataFrame(
        {
            "problem_id": raw["problem"], "model": raw["model"], "sample": raw["epoch"],
            "setting": ("effort=" + effort).where(effort != "", ""), "budget": raw["reasoning_budget"],
            "score": raw["score"].map({"C": 1.0, "I": 0.0}), "answer_tokens": raw["output_tokens"],
        }
    )  # fmt: skip


def test_effort_levels_are_budgets(shared_data: Path) -> None:
    table = otis(shared_data, ["openai/gpt-5.2-2025-12-11", "openai/gpt-5-mini-2025-08-07"])
    found = compare({"otis": table}, n=[1, 2], resamples=500, bins=0)
    cells = found.tables["cells"].query("selector == 'mean'").set_index(["model", "setting"])
    measured = cells.loc["openai/gpt-5.2-2025-12-11"].sort_values("tokens")
    assert measured.index.tolist() == ["effort=low", "effort=medium", "effort=high", "effort=xhigh"]
    assert measured["value"].to_numpy() == pytest.approx(
        [0.788889, 0.938889, 0.961111, 0.961111], abs=1e-6
    )
    assert measured["tokens"].to_numpy() == pytest.approx(
        [4537.9, 7995.4, 11016.8, 18614.8], abs=0.1
    )
    pairs = found.tables["differences"].query("selector == 'mean' and a_model != b_model")
    high = pairs[
        (pairs["a_setting"] == "effort=high") & (pairs["b_setting"] == "effort=high")
    ].iloc[0]
    assert high["problems"] == 45 and high["lo"] < abs(high["difference"])
    low = found.tables["doublings"].query(
        "model == 'openai/gpt-5.2-2025-12-11' and setting == 'effort=low' and n == 1"
    )
    assert low["to_setting"].tolist() == ["effort=medium"]
