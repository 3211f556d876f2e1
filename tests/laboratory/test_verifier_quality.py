"""The verifier that a search asks has the AUC that was set, and the crossing is found where it is."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from benchmarks.laboratory import set_quality, world
from benchmarks.laboratory.verifier_figure import Gain, crossing
from benchmarks.laboratory.verifier_quality import AUCS, SHARE, SetQuality
from testtime.models.resolve import resolve


def chains(count: int) -> list[tuple[str, list[str], bool]]:
    """Questions with a chain each, of which about half are right."""
    rng = np.random.default_rng(0)
    starts, functions = world.draw(rng, count, 3)
    made = []
    for start, hops in zip(starts.tolist(), functions.tolist(), strict=True):
        steps = world.steps(start, hops)
        if wrong := bool(rng.random() < 0.5):
            steps[2] = steps[2][:-1] + ("a" if steps[2][-1] != "a" else "b")
        made.append((world.question(start, hops), steps, not wrong))
    return made


@pytest.mark.parametrize("auc", [0.6, 0.9])
def test_the_verifier_of_steps_has_the_auc_that_was_set(auc: float) -> None:
    scorer, made = SetQuality(auc, 0, None), chains(3000)
    said = np.array([scorer.said(question, steps) for question, steps, _ in made])
    right = np.array([one for *_, one in made])
    assert set_quality.auc(right, said) == pytest.approx(auc, abs=0.02)


def test_equal_texts_are_judged_alike_and_the_question_shares_its_noise() -> None:
    tokenizer = resolve("agent").tokenizer
    scorer, (question, steps, _) = SetQuality(0.8, 1, tokenizer), chains(1)[0]
    once, again = (asyncio.run(scorer.score(question, steps)) for _ in range(2))
    assert once == again and len(once.scores) == 3
    # What it reads: the first letter of the sequence, the question, and each step with its end.
    assert np.diff(once.read).tolist() == [4, 4, 4]
    other = SetQuality(0.8, 2, tokenizer)
    assert asyncio.run(other.score(question, steps)).scores != once.scores
    # Both chains of a question are wrong: what they have in common is the question's noise.
    pairs = [(q, [[s[0][:-1] + x] for x in "?!"]) for q, s, _ in chains(3000)]
    evidence = np.array([[np.log(1 / scorer.said(q, t) - 1) for t in texts] for q, texts in pairs])
    assert np.corrcoef(evidence.T)[0, 1] == pytest.approx(SHARE, abs=0.05)


@pytest.mark.parametrize(
    ("gain", "at"),
    [
        ([-2, -1, 1, 2, 3, 4], 0.65),
        ([-3, -1, -1, -1, 3, 4], 0.825),
        ([1, 1, 1, 2, 2, 2], 0.5),
        ([-1, -1, -1, -1, -1, -1], 1.0),
        ([-2, 1, -1, 2, 3, 4], 0.7),  # made non-decreasing, it is 0 up to .7
    ],
)
def test_the_crossing_is_where_the_gain_turns_positive(gain: list[float], at: float) -> None:
    assert crossing(np.array(gain, dtype=float)) == pytest.approx(at)


def test_the_crossings_interval_holds_the_truth() -> None:
    """A gain that is zero at .7, over noisy problems and verifiers."""
    rng, held = np.random.default_rng(3), 0
    truth = np.array(AUCS) - 0.7
    for _ in range(40):
        noise = rng.normal(0, 0.3, (1, 1, 200)) + rng.normal(0, 0.02, (len(AUCS), 3, 1))
        gain = Gain("best of n", 8, 4, truth[:, None, None] + noise)
        found = [crossing(one) for one in gain.replicates()[:300]]
        low, high = np.quantile(found, [0.025, 0.975])
        held += low <= 0.7 <= high
    assert held >= 34
