"""Passes over a stored pool, killed at every request: they end as if undisturbed, and nothing that
was stored is asked again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from testtime import engines
from testtime.engines.base import Completion, EngineError, Request
from testtime.runs.choose import Chooser, choose
from testtime.runs.progress import Progress
from testtime.runs.verify import Asked, verify
from testtime.storage.store import Store

transformers = pytest.importorskip("transformers")

LABELS = ("1", "0")
PASSES: dict[str, tuple[str, Callable[[Store], list[str]]]] = {
    "choose": ("choices", lambda s: choose(s, "pick", 2, 3, Chooser(), Progress())),
    "choose, thinking": (
        "choices",
        lambda s: choose(s, "pick", 2, 3, Chooser(budget=4), Progress()),
    ),
    "verify": (
        "verifications",
        lambda s: verify(s, "check", 1, Asked(ask="=", labels=LABELS), Progress()),
    ),
    "verify, thinking": (
        "verifications",
        lambda s: verify(s, "check", 2, Asked(ask="=", budget=4, labels=LABELS), Progress()),
    ),
}


class Mortal:
    """Answers by a request's seed until it has answered `left`."""

    name = "mortal"
    max_num_seqs = 1

    def __init__(self, left: int = 1 << 30) -> None:
        self.left, self.answered = left, list[Request]()

    async def complete(self, request: Request) -> Completion:
        if len(self.answered) == self.left:
            raise EngineError("killed")
        self.answered.append(request)
        ids = [10 + request.seed % 10] * request.max_tokens
        labels = tuple(-1.0 - (request.seed >> 8) % (3 + place) for place in request.labels)
        return Completion(
            ids, "", "length", [-1.0] * len(ids), len(request.prompt or ()), labels=labels
        )

    async def close(self) -> None: ...


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    told = {
        "task": {"name": "chain_sum", "limit": 1},
        "model": "quickstart",
        "thinking": {"budgets": [8]},
        "answer": {"max_tokens": 4},
        "samples": 3,
        "selectors": ["majority"],
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engines, "make", lambda *_: (Mortal(), "mortal"))
        return tiny.pool({**told, "out": str(tmp_path_factory.mktemp("pool"))}).root


@pytest.mark.parametrize("name", PASSES)
def test_killed_at_every_request_a_pass_ends_as_if_undisturbed(
    name: str, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, work = PASSES[name]

    def run(folder: Path, engine: Mortal) -> list[dict[str, Any]]:
        monkeypatch.setattr(engines, "make", lambda *_: (engine, "mortal"))
        assert bool(work(Store(folder))) == (len(engine.answered) == engine.left)
        return sorted(Store(folder).read(table).to_pylist(), key=str)

    undisturbed = Mortal()
    whole = run(shutil.copytree(pool, tmp_path / "undisturbed"), undisturbed)
    assert len(undisturbed.answered) >= 3
    for left in range(len(undisturbed.answered)):
        folder = shutil.copytree(pool, tmp_path / str(left))
        first, second, third = Mortal(left), Mortal(), Mortal(0)
        stored = run(folder, first)
        assert all(row in whole for row in stored)
        assert run(folder, second) == whole
        # Of the two that were under way, each may have been thinking: that is drawn again.
        again = [request for request in second.answered if request in first.answered]
        assert len(again) <= 2 and (again == [] or "thinking" in name)
        assert len(first.answered) + len(second.answered) - len(again) == len(undisturbed.answered)
        third.left = -1
        assert run(folder, third) == whole and not third.answered
