"""Generative verification over a stored pool: P(yes) as the model itself gives it, nested in how
often it is asked, paid for, resumed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from testtime import zoo
from testtime.errors import UserError
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.runs.run import Run
from testtime.runs.scores import check_selectors
from testtime.runs.summary import splits
from testtime.runs.verify import Asked, verify
from testtime.storage.store import Store

TOLD = Asked(ask="verify")


def drawn(out: Path, **changes: Any) -> Store:
    """Four questions of the world of facts, answered by the agent."""
    told = {
        "task": {"name": "facts", "limit": 4},
        "model": "agent",
        "thinking": {"budgets": [0, 8]},
        "answer": {"max_tokens": 4},
        "samples": 2,
        "selectors": ["majority"],
    }
    return tiny.pool({**told, "out": str(out), **changes})


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Run:
    store = drawn(tmp_path_factory.mktemp("verified"))
    assert not verify(store, "verify", 1, TOLD, Progress())
    thinking = Asked(ask="verify", budget=3)
    assert not verify(store, "slow", 3, thinking, Progress())
    return evaluate(store, Progress())


def test_p_yes_is_that_of_the_models_next_token_behind_its_thinking(verified: Run) -> None:
    import torch
    import transformers

    folder = zoo.path("agent")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    yes, no = (tokenizer.encode(label, add_special_tokens=False)[0] for label in ("yes", "no"))
    calls = {call["key"]: call for call in Store(verified.path).read("calls").to_pylist()}
    questions = Store(verified.path).read("problems").to_pandas().set_index("problem_id")
    said = Store(verified.path).read("verifications").to_pandas()
    said = said[said["name"] == "verify"]
    assert len(said) == sum(call["kind"] == "answer" for call in calls.values())
    for row in said.itertuples():
        answer = calls[row.key]
        chain = calls[answer["parent"]] if answer["kept"] else {"token_ids": []}
        ids = [*chain["token_ids"][: answer["kept"]], *answer["fed"], *answer["token_ids"]]
        attempt = tokenizer.decode([i for i in ids if i != tokenizer.eos_token_id])
        asked = questions.loc[answer["problem_id"], "question"]
        text = f"<bos><user>{asked}<assistant><think>{attempt}<eos><user>verify<assistant><think></think>"
        inputs = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
        with torch.no_grad():
            pair = model(inputs).logits[0, -1, [yes, no]].softmax(-1)
        assert row.value == pytest.approx(float(pair[0]), abs=1e-4)


def test_the_grid_of_solving_and_verifying_pays_for_both(verified: Run) -> None:
    scores, cells = verified.scores, verified.cells
    stored = Store(verified.path).read("verifications").to_pandas()
    slow = stored[stored["name"] == "slow"].pivot(index="key", columns="number")
    first_two = slow["value"][[0, 1]].mean(axis=1)
    assert np.isclose(scores["slow_2"].to_numpy()[:, None], first_two.to_numpy()).any(axis=1).all()
    assert {"slow_1", "slow_2", "slow_3"} < set(scores) and "slow_4" not in scores
    # Once the prompt is read, a further verification pays for its own tokens only.
    assert (slow["flops"][1] < slow["flops"][0]).all() and (slow["tokens"] <= 4).all().all()
    flops = cells.set_index(["selector", "budget", "n"])["flops"]
    voting = flops["majority", 8, 2]
    spent = scores[scores["budget"] == 8]["slow_3_flops"].mean()
    assert flops["weighted:slow_3", 8, 2] == pytest.approx(voting + 2 * spent)
    assert voting < flops["weighted:verify_1", 8, 2] < flops["weighted:slow_3", 8, 2]


def test_a_later_run_may_list_its_selectors(verified: Run) -> None:
    check_selectors(["weighted:slow_2", "best:verify_1"], Store(verified.path), searched=False)
    with pytest.raises(UserError, match=r"no column 'slow_4'; did you mean 'slow_"):
        check_selectors(["weighted:slow_4"], Store(verified.path), searched=False)


def test_the_best_splits_are_said_from_the_cheapest_on(verified: Run) -> None:
    said = splits(verified, "slow").splitlines()
    assert (
        said[1].endswith(f"{100 * first(verified):.1f}%")
        and "1 sample, 1 verification each" in said[1]
    )


def first(run: Run) -> float:
    cells = run.cells.set_index(["selector", "budget", "n"])
    return float(cells.loc[("weighted:slow_1", 8, 1), "value"])


@pytest.mark.parametrize(
    ("name", "times", "asked", "words"),
    [
        ("verify", 2, TOLD, "says the same each time"),
        ("score", 1, TOLD, "has a column of that name"),
        ("other", 1, Asked(ask="verify", labels=("yes", "yes")), "begin with the same token"),
        ("verify", 1, Asked(ask="verify", budget=2), "made otherwise"),
    ],
)
def test_what_cannot_be_is_one_line(
    verified: Run, name: str, times: int, asked: Asked, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        verify(Store(verified.path), name, times, asked, Progress())
