"""SIGKILL at random moments under the strategies that stand on several calls.

A killed process leaves what it had written; whatever that is, the run that follows must end as if
nothing had happened, to the last stored row.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.runs.test_draw import FakeEngine, fingerprint, job, pool
from tests.strategies.searched import said
from testtime import engines
from testtime.engines.base import Completion, Request, Scored
from testtime.runs import draw as drawing
from testtime.runs.progress import Progress

STRATEGIES: dict[str, dict[str, Any]] = {
    "revise": {"budgets": [0, 8, 24], "rounds": 3, "prompt": "1+1="},
    "stepwise": {"prm": "quickstart", "widths": [1, 3], "separator": "=", "max_steps": 4},
    "beam": {"prm": "quickstart", "beams": [2, 4], "width": 2, "separator": "=", "max_steps": 4},
}
KILLS = 34  # of each strategy: 102 in all


class Slow(FakeEngine):
    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0.002)
        return await super().complete(request)


class Judge:
    name = "judge"

    async def score(self, question: str, steps: Sequence[str]) -> Scored:
        await asyncio.sleep(0.002)
        counts = range(len(steps) + 1)
        return Scored([said(steps[:n]) for n in counts[1:]], [10 + 3 * n for n in counts])

    async def close(self) -> None: ...


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", STRATEGIES)
def test_killed_at_random_moments_it_ends_as_if_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(engines, "make", lambda *_: (Slow(), "slow"))
    monkeypatch.setattr(drawing, "_scorer", lambda job: Judge() if job.verifier else None)
    monkeypatch.setattr(drawing, "FLUSH_SECONDS", 0.01)
    thinking = {"strategy": name, **STRATEGIES[name]}
    noise, fork = random.Random(name), multiprocessing.get_context("fork")
    samples, kills, acknowledged = 4, 0, dict[tuple[Any, ...], dict[str, Any]]()
    while kills < KILLS:
        work = job(tmp_path / "killed", thinking=thinking, samples=samples)
        process = fork.Process(target=drawing.draw, args=(work, Progress()))
        process.start()
        process.join(noise.uniform(0.01, 0.3))
        if process.exitcode is None:
            process.kill()
            kills += 1
        else:
            assert process.exitcode == 0
            samples += 4  # there is more to draw
        process.join()
        stored = pool(work.store)
        assert acknowledged.items() <= stored.items()
        acknowledged = stored
    stores = []
    for folder in ("killed", "undisturbed"):
        work = job(tmp_path / folder, thinking=thinking, samples=samples)
        assert drawing.draw(work, Progress()) == [] and not drawing.unfinished(work)
        stores.append(work.store)
    assert fingerprint(stores[0]) == fingerprint(stores[1])
