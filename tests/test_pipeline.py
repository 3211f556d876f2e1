"""The main job on the shipped model, through the Python API: draw, resume, extend, regrade,
refuse.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pytest

import testtime
from tests.tiny import evaluated
from testtime import exporters, importers, pipeline, report, zoo
from testtime.cli import progress
from testtime.errors import UserError
from testtime.laws import study
from testtime.runs import made, sources, status
from testtime.runs import prepare as jobs
from testtime.runs import show as shows
from testtime.runs.summary import summary
from testtime.storage.store import Store


def config(out: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "study",
        "task": {"name": "chain_sum", "limit": 8, "overrides": {"settings": {"max_terms": 4}}},
        "model": "quickstart",
        "engine": "transformers",
        "thinking": {"budgets": [0, 8, 40]},
        "answer": {"max_tokens": 8},
        "samples": 4,
        "resamples": 200,
        "out": str(out),
        **changes,
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> testtime.Run:
    (run,) = testtime.run(config(tmp_path_factory.mktemp("runs")))
    return run


def rows(run: testtime.Run, table: str) -> pd.DataFrame:
    frame = Store(run.path).read(table).to_pandas()
    keys = [c for c in ("problem_id", "sample", "recipe", "cell", "key", "start") if c in frame]
    return frame.sort_values(keys).reset_index(drop=True)


def test_scores_hold_every_problem_sample_and_budget_with_what_it_cost(
    finished: testtime.Run,
) -> None:
    scores = finished.scores
    assert len(scores) == 8 * 4 * 3 and set(scores["verdict"]) <= {"correct", "wrong", "unparsed"}
    assert (scores["thinking_tokens"] <= scores["budget"]).all()
    forced = scores["forced"]
    assert (scores.loc[forced, "forced_tokens"] == 1).all() and (
        scores.loc[~forced, "forced_tokens"] == 0
    ).all()
    assert (scores.loc[forced, "thinking_tokens"] == scores.loc[forced, "budget"]).all()
    assert (scores["flops"] > 0).all()
    by_budget = scores.groupby("budget")["score"].mean()
    assert by_budget[40] > 0.8 > by_budget[0]


def test_cells_and_files(finished: testtime.Run) -> None:
    cells = finished.cells
    assert set(cells["n"]) == {1, 2, 4} and set(cells["selector"]) == {"majority", "oracle"}
    assert ((cells["lo"] <= cells["value"]) & (cells["value"] <= cells["hi"])).all()
    again = testtime.load(finished.path)
    pd.testing.assert_frame_equal(again.scores, finished.scores, check_dtype=False)
    assert any((finished.path / "report").iterdir())
    assert finished.path.name == "quickstart" and finished.path.parent.name == "study"


def test_running_again_draws_nothing_and_more_samples_and_budgets_extend_the_pool(
    tmp_path: Path,
) -> None:
    (first,) = evaluated(config(tmp_path, samples=2, thinking={"budgets": [0, 8]}))
    (same,) = evaluated(config(tmp_path, samples=2, thinking={"budgets": [0, 8]}))
    pd.testing.assert_frame_equal(rows(first, "calls"), rows(same, "calls"))
    assert len(same.manifest.sessions) == 1
    (larger,) = evaluated(config(tmp_path, samples=3, thinking={"budgets": [0, 4, 8, 40]}))
    old, new = rows(first, "calls"), rows(larger, "calls")
    kept = new.merge(old[["key", "start"]])
    assert len(kept) == len(old) and set(new.loc[new["start"] > 0, "start"]) == {8}
    assert not (larger.scores["verdict"] == "missing").any() and len(larger.scores) == 8 * 3 * 4
    # What was drawn in two steps decodes to whole chains: most answers at the largest budget are
    # right.
    assert larger.scores.loc[larger.scores["budget"] == 40, "score"].mean() > 0.8
    evaluated(config(tmp_path, samples=1, thinking={"budgets": [0, 4]}))
    told = status.status(first.path)
    assert told["done"] == told["begun"] == told["wanted"] == 8 and told["attempts"] == 8 * 2


def test_a_run_with_nothing_to_draw_keeps_a_page_that_is_still_its_own(
    finished: testtime.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.path, tmp_path / "study" / "quickstart")
    asked = config(tmp_path)
    written: list[Path] = []
    monkeypatch.setattr(report, "write", lambda run: written.append(run.path))
    (moved,) = testtime.run(asked)  # the manifest's `out` is another
    assert len(written) == 1
    (again,) = testtime.run(asked)
    assert len(written) == 1
    pd.testing.assert_frame_equal(again.scores, moved.scores, check_dtype=False)
    pd.testing.assert_frame_equal(again.cells, moved.cells, check_dtype=False)
    for change in (
        lambda: (moved.path / "report" / "index.html").write_text("as of other prices"),
        lambda: (moved.path / "tables" / "cells.parquet").unlink(),
        lambda: (moved.path / "tables" / "made.json").write_text("{"),
        lambda: monkeypatch.setattr(made, "LIBRARIES", ("numpy",)),
    ):
        before = len(written)
        change()
        testtime.run(asked)
        testtime.run(asked)
        assert len(written) == before + 1


def test_a_verdict_that_is_owed_is_asked_for_again(finished: testtime.Run) -> None:
    store, kept = Store(finished.path), (finished.path / "tables" / "made.json").read_bytes()
    assert made.current(store)
    owed = finished.scores.assign(verdict="error")
    store.write_file("tables/made.json", b"{}")
    made.record(testtime.Run(finished.path, finished.manifest, owed, finished.cells))
    assert not made.current(store)
    store.write_file("tables/made.json", kept)


def test_a_changed_model_sampling_or_prompt_is_refused_by_name_and_nothing_is_lost(
    finished: testtime.Run,
) -> None:
    out = finished.path.parent.parent
    before = rows(finished, "calls")
    for changes, said in (
        ({"sampling": {"temperature": 0.5}}, "another sampling"),
        ({"seed": 3}, "another seed"),
        ({"thinking": {"budgets": [8], "delimiters": ["=", "+"]}}, "another delimiters"),
        (
            {"task": {"name": "chain_sum", "limit": 8, "overrides": {"prompt": "{question} "}}},
            "another prompt",
        ),
    ):
        with pytest.raises(UserError, match=said):
            evaluated(config(out, **changes))
    pd.testing.assert_frame_equal(rows(finished, "calls"), before)


def test_another_selector_or_fewer_samples_only_read_the_pool_again(finished: testtime.Run) -> None:
    out = finished.path.parent.parent
    sessions = len(testtime.load(finished.path).manifest.sessions)
    (run,) = evaluated(
        config(out, selectors=["best:answer_logprob", "weighted-logprob:logprob_mean"], samples=2)
    )
    assert (
        set(run.cells["selector"]) == {"best:answer_logprob", "weighted-logprob:logprob_mean"}
        and run.cells["n"].max() == 2
    )
    assert len(run.manifest.sessions) == sessions


def test_a_run_works_where_a_loop_is_already_running(tmp_path: Path) -> None:
    async def notebook() -> list[testtime.Run]:
        return evaluated(config(tmp_path, samples=1, task={"name": "chain_sum", "limit": 2}))

    assert len(asyncio.run(notebook())[0].scores) == 2 * 3


def test_extended_chains_are_a_setting_of_their_own_and_share_what_they_do_not_change(
    tmp_path: Path,
) -> None:
    thinking = {"strategy": "wait", "budgets": [0, 8, 60]}
    (run,) = evaluated(config(tmp_path, thinking=thinking, samples=2))
    scores = run.scores.set_index(["setting", "budget", "problem_id", "sample"]).sort_index()
    assert (
        set(run.scores["setting"]) == {"", "wait=1"}
        and not (run.scores["verdict"] == "missing").any()
    )
    first, second = (scores.loc[setting, 0].drop(columns="wait") for setting in ("", "wait=1"))
    pd.testing.assert_frame_equal(first, second)
    plain, waited = scores.loc["", 60], scores.loc["wait=1", 60]
    told = status.status(run.path)
    assert told["done"] == told["wanted"] == 8 * 2 and told["attempts"] == 8 * 2 * 6
    assert "samples 16 of 16 done, 16 begun, attempts 96" in status.describe(told)
    ended = ~plain["forced"]
    assert ended.any() and (waited["thinking_tokens"] >= plain["thinking_tokens"])[ended].all()
    assert (waited["thinking_tokens"] > plain["thinking_tokens"])[ended].any()


def test_an_extension_that_was_not_drawn_is_missing_and_never_its_bases_answer(
    tmp_path: Path,
) -> None:
    thinking = {"strategy": "wait", "budgets": [0, 8, 60], "extensions": 2}
    given = config(tmp_path, thinking=thinking, samples=2)
    (run,) = evaluated(given)
    store = Store(run.path)
    calls = {row["key"]: row for row in store.read("calls").to_pylist()}

    def extended(key: str) -> bool:
        call = calls.get(key)
        return call is not None and (
            (call["kind"] == "think" and bool(call["fed"])) or extended(call["parent"])
        )

    # As a kill between a chain and what extends it leaves it, or a request that fails for good.
    store.filter("calls", lambda rows: pa.array([not extended(k) for k in rows["key"].to_pylist()]))
    stored = {row["key"] for row in store.read("calls").to_pylist()}
    lists = "attempts", lambda rows: pa.array([k[0] in stored for k in rows["answers"].to_pylist()])
    store.filter(*lists)
    names = ["setting", "budget", "problem_id", "sample"]
    left = pipeline.grade(run.path).scores.set_index(names).sort_index()
    ended = ~left.loc["", 60]["forced"]
    assert ended.any() and left.loc["", 60]["score"].notna().all()
    for setting in ("wait=1", "wait=2"):
        assert left.loc[setting, 60]["verdict"].eq("missing").equals(ended)
        assert left.loc[setting, 60]["score"].isna().equals(ended)
    (again,) = evaluated(given)
    # Other batches, other rounding.
    pd.testing.assert_frame_equal(again.scores, run.scores, atol=1e-5)


def test_budgets_beyond_the_model_say_what_failed_and_nothing_else(tmp_path: Path) -> None:
    class Told(progress.Progress):
        said: ClassVar[list[str]] = []

        def say(self, line: str) -> None:
            self.said.append(line)

    with pytest.raises(UserError, match="no answer was drawn; mend what the requests failed for"):
        evaluated(config(tmp_path, thinking={"budgets": [100_000]}, samples=1), progress=Told())
    assert any(
        line.startswith("missing: ") and "exceeds the model's context" in line for line in Told.said
    )


def test_two_models_never_share_a_folder(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        shutil.copytree(zoo.path("quickstart"), tmp_path / parent / "final")
    models = [str(tmp_path / parent / "final") for parent in ("a", "b")]
    with pytest.raises(
        UserError, match=r"b/final would share the folder .*give one of them a `setting`"
    ):
        evaluated(config(tmp_path / "runs", model=models))
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_another_process_began_meanwhile_is_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"samples": 1, "task": {"name": "chain_sum", "limit": 2}}
    prepare = jobs.prepare

    def slow(*args: Any) -> jobs.Job:
        job = prepare(*args)
        monkeypatch.setattr(jobs, "prepare", prepare)
        evaluated(config(tmp_path, seed=1, **small))
        return job

    monkeypatch.setattr(jobs, "prepare", slow)
    with pytest.raises(UserError, match="its calls were drawn with another seed"):
        evaluated(config(tmp_path, **small))


def test_a_run_in_an_object_store_is_read_by_everything_that_takes_a_run(tmp_path: Path) -> None:
    pytest.importorskip("upath", reason="universal-pathlib is not installed")
    out = f"memory://{uuid.uuid4().hex}"
    (run,) = testtime.run(
        {**config(tmp_path, samples=2, task={"name": "chain_sum", "limit": 3}), "out": out}
    )
    address = f"{out}/study/quickstart"
    assert str(run.path) == address and status.status(address)["tables"]
    pd.testing.assert_frame_equal(pipeline.grade(address).scores, run.scores)
    assert Store(address).has("report/index.html") and Store(address).has(
        "report/figures/coverage.png"
    )
    assert summary(run).endswith(f"report: {address}/report/index.html")
    assert "right answer" in shows.show(address, "chain_sum/0/1")
    table = sources.read([address])[0].scores
    assert len(table) == len(study.read_table(f"{address}/tables/scores.parquet")) == 3 * 2 * 3
    for export in (exporters.export_tidy, exporters.export_hub, exporters.export_inspect):
        assert all(
            path.stat().st_size for path in export(testtime.load(address), tmp_path / "exported")
        )
    imported = importers.import_csv(tmp_path / "exported" / "scores.csv", out)
    assert str(imported.path) == f"{out}/scores/quickstart" and len(imported.scores) == len(table)
    assert str(report.write([run, imported])) == f"{out}/study/report/index.html"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "no/such/folder"}, "no such zoo model"),
        ({"model": "quickstrt"}, "quickstart"),
        ({"task": "chain_sums"}, "chain_sum"),
        ({"thinking": {"budgets": [8], "ending": "+1"}}, "closing delimiter"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        evaluated(config(tmp_path / "runs", **changes))
    assert "\n" not in str(caught.value) and not (tmp_path / "runs").exists()
