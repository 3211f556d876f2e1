"""GenSelect over a stored pool: what was shown, what was taken, what it cost, resumed, against the
stored choices read one by one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from testtime import zoo
from testtime.engines.base import Completion, EngineError
from testtime.engines.transformers import TransformersEngine
from testtime.errors import UserError
from testtime.estimators.grid import build
from testtime.estimators.selectors import selected
from testtime.estimators.table import pools
from testtime.runs.choose import Chooser, choose, picked
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.runs.run import Run
from testtime.runs.scores import check_selectors
from testtime.storage.store import Store

transformers = pytest.importorskip("transformers")

ASKED: list[Any] = []
TOKENIZER = transformers.AutoTokenizer.from_pretrained(zoo.path("quickstart"))


def drawn(out: Path, **changes: Any) -> Store:
    told = {
        "task": {"name": "chain_sum", "limit": 6},
        "model": "quickstart",
        "thinking": {"budgets": [0, 16]},
        "answer": {"max_tokens": 8},
        "samples": 4,
        "selectors": ["mean", "majority"],
    }
    return tiny.pool({**told, "out": str(out), **changes})


async def replied(self: TransformersEngine, request: Any) -> Completion:
    """A reply by the request's seed: 1, 2, or neither."""
    ASKED.append(request)
    ids = TOKENIZER.encode(("1", "2", "")[request.seed % 3], add_special_tokens=False)
    return Completion(
        [*ids, TOKENIZER.eos_token_id], "", "stop", [0.0] * (len(ids) + 1), len(request.prompt)
    )


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Run:
    store = drawn(tmp_path_factory.mktemp("chosen"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TransformersEngine, "complete", replied)
        assert not choose(store, "choice", 3, 8, Chooser(), Progress())
    return evaluate(store, Progress())


def test_a_cell_is_the_mean_over_its_choices_and_pays_for_them(chosen: Run) -> None:
    store = Store(chosen.path)
    rows = store.read("choices").to_pylist()
    assert {row["chosen"] for row in rows} == {-1, 0, 1}
    attempts = store.read("attempts", ["answers"]).to_pylist()
    answer = {(a["problem_id"], a["cell"], a["sample"]): a["answers"][0] for a in attempts}
    score = chosen.scores.set_index(["problem_id", "budget", "sample"])["score"]
    cells = chosen.cells.set_index(["selector", "budget", "n"])
    for budget in (0, 16):
        means, costs = [], []
        for problem in store.read("problems", [])["problem_id"].to_pylist():
            values = []
            for row in rows:
                at = [(problem, f"budget={budget}", sample) for sample in row["samples"]]
                if row["problem_id"] != problem or [answer[a] for a in at] != row["answers"]:
                    continue
                right = [score[problem, budget, sample] for sample in row["samples"]]
                values.append(np.mean(right) if row["chosen"] < 0 else right[row["chosen"]])
                costs.append(row["flops"])
            assert len(values) == 8 and len(set(row["samples"])) == 3
            means.append(np.mean(values))
        cell = cells.loc[("genselect:choice_3", budget, 3)]
        assert cell["value"] == pytest.approx(np.mean(means))
        voting = cells.loc[("majority", budget, 2)]["flops"]
        once = cells.loc[("mean", budget, 1)]["flops"]
        assert cell["flops"] == pytest.approx(voting + (voting - once) + np.mean(costs))
    assert set(cells.loc["genselect:choice_3"].index.get_level_values("n")) == {3}


def test_its_error_is_that_of_the_choices_drawn(chosen: Run) -> None:
    (pool,) = [p for p in pools(chosen.scores) if p.budget == 16]
    value, error = selected(pool, "genselect:choice_3", [2, 3])
    assert np.isnan(value[:, 0]).all() and np.isnan(error[:, 0]).all()
    for problem in range(len(pool.problems)):
        counts, right = pool.columns["choice_3"][problem], pool.score[problem]
        picks = np.repeat(right, np.round(counts * 6).astype(int))  # thirds for a choice at random
        assert counts.sum() == pytest.approx(8)
        assert value[problem, 1] == pytest.approx(picks.mean())
        assert error[problem, 1] == pytest.approx(picks.std() / np.sqrt(7))


def test_budgets_that_answer_alike_share_a_choice_and_a_resumed_pass_asks_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, left = drawn(tmp_path, thinking={"budgets": [400, 500]}), 10
    ASKED.clear()
    monkeypatch.setattr(TransformersEngine, "complete", replied)

    async def mortal(self: TransformersEngine, request: Any) -> Completion:
        nonlocal left
        left -= 1
        if left < 0:
            raise EngineError("killed")
        return await replied(self, request)

    with monkeypatch.context() as patched:
        patched.setattr(TransformersEngine, "complete", mortal)
        assert len(choose(store, "choice", 2, 4, Chooser(), Progress())) == 6 * 4 - 10
    # Some problem's choices are missing: no such cell, rather than one over fewer problems.
    assert "genselect:choice_2" not in set(evaluate(store, Progress()).cells["selector"])
    assert not choose(store, "choice", 2, 4, Chooser(), Progress())
    assert len(ASKED) == 6 * 4
    assert not choose(store, "choice", 2, 4, Chooser(), Progress())
    assert len(ASKED) == 6 * 4
    cells = evaluate(store, Progress()).cells
    assert len(cells[cells["selector"] == "genselect:choice_2"]) == 2


def test_replies_that_all_name_nothing_choose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = drawn(tmp_path)

    async def silent(self: TransformersEngine, request: Any) -> Completion:
        return Completion([TOKENIZER.eos_token_id], "", "stop", [0.0], len(request.prompt))

    monkeypatch.setattr(TransformersEngine, "complete", silent)
    said: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "say", said.append)
    assert not choose(store, "choice", 2, 4, Chooser(), progress)
    assert said[-1].startswith("none of ") and "names an answer shown" in said[-1]
    assert "genselect:choice_2" not in store.manifest().config["selectors"]


def test_what_cannot_be_is_one_line(chosen: Run) -> None:
    store = Store(chosen.path)
    for name, k, chooser, words in (
        ("choice", 5, Chooser(), "4 answers are drawn a problem"),
        ("choice", 2, Chooser(budget=8), "made otherwise"),
        ("score", 2, Chooser(), "has a column of that name"),
    ):
        with pytest.raises(UserError, match=words):
            choose(store, name, k, 2, chooser, Progress())
    check_selectors(["genselect:choice_3"], store, searched=False)
    with pytest.raises(UserError, match=r"no column 'choice_4'; did you mean 'choice_3'"):
        check_selectors(["genselect:choice_4"], store, searched=False)
    with pytest.raises(UserError, match="holds no choices"):
        build(chosen.scores, None, ["genselect:truncated"])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2),
        ("Answer 1 and 3 agree.\nJudgment: 3", 3),
        ("**Judgment**: 2", 2),
        ("Judgment: 1, no. Judgment: 2", 2),
        ("\\boxed{ 3}", 3),
        ("Of the 4, 2 is right", 0),
        ("4 is 4", 4),
        ("Judgment: 5", 0),
        ("0", 0),
        ("none", 0),
        ("9" * 5000, 0),
    ],
)
def test_the_number_a_reply_names(text: str, number: int) -> None:
    assert picked(text, 4) == number
