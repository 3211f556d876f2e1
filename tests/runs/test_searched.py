"""A search from its config to its cells, with a random verifier: the plumbing and the price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import testtime
from tests import tiny
from tests.engines.test_prm import trl
from tests.test_pipeline import config
from tests.tiny import evaluated
from testtime import pipeline
from testtime.compute.flops import Flops
from testtime.errors import UserError
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.storage.store import Store
from testtime.strategies.registry import parse

torch = pytest.importorskip("torch")
SELECTORS = ["majority", "weighted:prm", "best:prm"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[testtime.Run, Path]:
    folder = tmp_path_factory.mktemp("searched")
    trl(folder)
    thinking = {"strategy": "stepwise", "prm": str(folder), "widths": [1, 3], "separator": "="}
    thinking |= {"max_steps": 3, "step_tokens": 8}
    told = config(folder, thinking=thinking, selectors=SELECTORS)
    (run,) = evaluated(told)
    return run, folder


def test_the_verifiers_flops_are_in_every_cell(searched: tuple[testtime.Run, Path]) -> None:
    run, folder = searched
    scores, judge = run.scores, Flops.from_config(folder)
    assert (scores["verifier_flops"] > 0).all() and (
        scores["flops"] > scores["verifier_flops"]
    ).all()
    attempts = Store(run.path).read("attempts").to_pandas()
    for width in (1, 3):
        mine = attempts[attempts["cell"] == f"width={width}"].set_index(["problem_id", "sample"])
        held = scores[scores["width"] == width].set_index(["problem_id", "sample"])
        policy = Flops.from_config(run.manifest.architecture)
        for place, row in mine.iterrows():
            calls = list(zip(row["models"], row["context"], row["fed"], row["drawn"], strict=True))
            read = sum(float(judge.forward(c, f)) for m, c, f, _ in calls if m == "prm")
            drawn = sum(float(policy.call(c, f, d)) for m, c, f, d in calls if m == "policy")
            assert held.loc[place, "verifier_flops"] == pytest.approx(read)
            assert held.loc[place, "flops"] == pytest.approx(read + drawn)
            tokens = sum(d for m, _, _, d in calls if m == "policy") - row["answer_tokens"]
            assert held.loc[place, "thinking_tokens"] == tokens
            assert held.loc[place, "prompt_tokens"] == calls[0][2]
    assert set(run.cells["selector"]) == set(SELECTORS)
    assert {*run.cells["setting"]} == {"width=1", "width=3"}


def test_the_final_score_is_what_selectors_weigh_by(searched: tuple[testtime.Run, Path]) -> None:
    run, _ = searched
    calls = Store(run.path).read("calls").to_pandas()
    said = calls[calls["kind"] == "score"]["scores"].map(lambda scores: float(scores[-1]))
    assert run.scores["prm"].between(0, 1).all()
    assert run.scores["prm"].map(lambda x: np.isclose(said, x).any()).all()
    best = run.scores[run.scores["width"] == 3]
    best = best.loc[best.groupby("problem_id")["prm"].idxmax(), "score"].mean()
    cells = run.cells.set_index(["setting", "selector", "n"])
    assert cells.loc[("width=3", "best:prm", 4), "value"] == pytest.approx(best, abs=0.26)


def test_complete_it_draws_and_scores_nothing(searched: tuple[testtime.Run, Path]) -> None:
    run, folder = searched
    before = Store(run.path).read("calls").num_rows
    thinking = run.manifest.config["thinking"]
    evaluated(config(folder, thinking=thinking, selectors=SELECTORS))
    assert Store(run.path).read("calls").num_rows == before


def test_another_verifier_under_the_same_name_is_refused(
    searched: tuple[testtime.Run, Path],
) -> None:
    run, folder = searched
    weights = folder / "model.safetensors"
    held = weights.read_bytes()
    weights.write_bytes(held[:-8] + b"12345678")
    try:
        with pytest.raises(UserError, match=r"drawn with another thinking\.prm"):
            evaluated(config(folder, thinking=run.manifest.config["thinking"]))
    finally:
        weights.write_bytes(held)


def test_a_filters_effective_sample_size_is_in_the_scores(
    searched: tuple[testtime.Run, Path], tmp_path: Path
) -> None:
    _, folder = searched
    thinking = {"strategy": "particles", "prm": str(folder), "particles": [1, 4], "separator": "="}
    thinking |= {"max_steps": 2, "step_tokens": 8}
    told = config(tmp_path, thinking=thinking, selectors=["majority"], samples=1)
    run = evaluate(tiny.pool(told), Progress())
    sizes = run.scores.groupby("particles")["ess"]
    assert (sizes.min()[1], sizes.max()[1]) == (1, 1)
    assert 1 < sizes.min()[4] <= sizes.max()[4] < 4.001


def test_what_cannot_be_searched_is_said(tmp_path: Path) -> None:
    def told(**thinking: object) -> dict[str, object]:
        return {**config(tmp_path), "thinking": {"prm": "m", **thinking}}

    with pytest.raises(UserError, match=r"6 is no multiple of the width \(4\)"):
        parse(told(strategy="beam", beams=[4, 6]))
    with pytest.raises(UserError, match=r"thinking\.prm.* is missing"):
        parse({**config(tmp_path), "thinking": {"strategy": "stepwise", "widths": [2]}})
    parsed = parse(
        told(strategy="stepwise", widths=[2], prm={"name": "m", "label_tokens": ["+", "-"]})
    )
    again = parse(parsed.model_dump(mode="json"))
    assert again.thinking == parsed.thinking


def test_a_separator_that_the_tokenizer_cannot_write_is_refused_before_drawing(
    tmp_path: Path,
) -> None:
    trl(tmp_path)
    searches = {"strategy": "stepwise", "prm": str(tmp_path), "widths": [1], "separator": "§§"}
    with pytest.raises(UserError, match="choose another thinking"):
        pipeline.ready(config(tmp_path / "runs", thinking=searches, selectors=["majority"]))
    assert not (tmp_path / "runs").exists()
