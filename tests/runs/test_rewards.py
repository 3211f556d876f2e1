"""The reward pass over a stored pool: columns that selectors use, added later, resumed, and paid
for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import testtime
from tests.engines.test_reward import build
from tests.test_pipeline import config
from testtime import pipeline
from testtime.engines.reward import RewardModel
from testtime.errors import UserError
from testtime.storage.store import Store

pytestmark = pytest.mark.usefixtures("unreported")


@pytest.fixture(scope="module")
def judged(unreported: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[testtime.Run, Path]:
    folder = tmp_path_factory.mktemp("rewarded")
    (run,) = testtime.run(config(folder, samples=4))
    model = build(folder / "judge")
    return pipeline.reward(run.path, model, "judge"), model


def test_every_answer_has_a_reward_and_best_and_weighted_join_the_selectors(
    judged: tuple[testtime.Run, Path],
) -> None:
    run, _ = judged
    assert run.scores["judge"].between(0, 1).all() and (run.scores["judge_flops"] > 0).all()
    assert {"best:judge", "weighted:judge", "majority"} <= set(run.cells["selector"])
    cells = run.cells.set_index(["selector", "budget", "n"])
    # The reward model's passes are part of what its cells cost.
    assert cells.loc[("best:judge", 8, 4), "flops"] > cells.loc[("majority", 8, 4), "flops"]
    pool = run.scores[run.scores["budget"] == 40]
    best = pool.loc[pool.groupby("problem_id")["judge"].idxmax(), "score"].mean()
    assert cells.loc[("best:judge", 40, 4), "value"] == pytest.approx(best)


def test_the_reward_is_what_the_model_says_of_question_thinking_and_answer(
    judged: tuple[testtime.Run, Path],
) -> None:
    run, model = judged
    store = Store(run.path)
    calls = {call["key"]: call for call in store.read("calls").to_pylist()}
    row = next(r for r in calls.values() if r["kind"] == "answer" and r["kept"] == 8)
    chain = calls[row["parent"]]
    assert chain["tokens"] > 8 and all(chain[k] == row[k] for k in ("problem_id", "sample"))
    import transformers

    from testtime import zoo

    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.path("quickstart"))
    problem = next(
        p for p in store.read("problems").to_pylist() if p["problem_id"] == row["problem_id"]
    )
    thinking = tokenizer.decode(chain["token_ids"][:8], skip_special_tokens=True)
    expected = (
        RewardModel(model)
        .score([(problem["question"], f"{thinking}\n\n{row['text']}".strip())])
        .value[0]
    )
    held = run.scores.set_index(["problem_id", "sample", "budget"])["judge"]
    assert held[row["problem_id"], row["sample"], 8] == pytest.approx(expected, abs=1e-5)


def test_a_second_pass_scores_only_what_is_new_and_another_name_is_another_column(
    judged: tuple[testtime.Run, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = judged
    asked: list[int] = []
    score = RewardModel.score
    monkeypatch.setattr(
        RewardModel,
        "score",
        lambda self, pairs, *rest: asked.append(len(pairs)) or score(self, pairs, *rest),
    )
    pipeline.reward(run.path, model, "judge")
    assert sum(asked) == 0
    again = pipeline.reward(run.path, model, "steps", "min")
    kinds = Store(run.path).read("calls", ["kind"])["kind"].to_pylist()
    assert sum(asked) == kinds.count("answer") > 0
    assert again.scores["steps"].notna().all() and {"best:judge", "best:steps"} <= set(
        again.cells["selector"]
    )


def test_what_is_no_reward_model_or_no_run_is_one_line(
    judged: tuple[testtime.Run, Path], tmp_path: Path
) -> None:
    run, model = judged
    with pytest.raises(UserError, match=r"no config.json"):
        pipeline.reward(run.path, tmp_path)
    with pytest.raises(UserError, match="no run here"):
        pipeline.reward(tmp_path, model)
    with pytest.raises(UserError, match="letters, digits"):
        pipeline.reward(run.path, model, "best one")
    before = Store(run.path).read("rewards")
    for name in ("score", "text", "sample", "prompt", "usd", "judge_flops"):
        with pytest.raises(UserError, match=f"--name {name}: the scores table has a column"):
            pipeline.reward(run.path, model, name)
    assert Store(run.path).read("rewards").equals(before)
    assert pipeline.grade(run.path).scores["score"].notna().all()


def test_a_reward_model_of_the_zoo_is_taken_by_its_name(
    judged: tuple[testtime.Run, Path],
) -> None:
    run = pipeline.reward(judged[0].path, "prm", "steps", over="last")
    assert run.scores["steps"].notna().any() and "best:steps" in set(run.cells["selector"])
