"""Completing a pool: whatever happens on the way, it ends complete, without doubles, and finished
rows never change.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testtime import engines, pipeline, report
from testtime.config.schema import Config
from testtime.engines.base import Completion, EngineError, Request
from testtime.errors import UserError
from testtime.runs import draw as drawing
from testtime.runs import prepare as jobs
from testtime.runs.prepare import Job
from testtime.runs.progress import Progress
from testtime.storage import calls as stored_calls
from testtime.storage import store as stores
from testtime.storage.store import KEYS, Store
from testtime.strategies.base import Strategy
from testtime.strategies.registry import parse

TABLES = ("calls", "attempts")


class FakeEngine:
    """Draws ids that only the request determines; `broken` names requests that fail for good."""

    name = "fake"
    max_num_seqs = 8

    def __init__(self, broken: Callable[[Request], bool] = lambda request: False) -> None:
        self.broken = broken
        self.drawn = 0

    async def complete(self, request: Request) -> Completion:
        if self.broken(request):
            raise EngineError("the request failed for good")
        self.drawn += 1
        noise = random.Random(request.seed)
        ids = [
            noise.randrange(4, 20) for _ in range(min(request.max_tokens, noise.randrange(1, 60)))
        ]
        stop = len(ids) < request.max_tokens
        if stop:
            ids[-1] = request.stop_token_ids[0] if request.stop_token_ids else ids[-1]
        assert request.prompt is not None
        return Completion(
            ids, "", "stop" if stop else "length", [-0.5] * len(ids), len(request.prompt)
        )

    async def close(self) -> None: ...


def config(out: Path, **changes: Any) -> Config[Strategy]:
    return parse(
        {
            "name": "t",
            "task": [{"name": "chain_sum", "limit": 3}],
            "model": "quickstart",
            "engine": "transformers",
            "thinking": {"budgets": [0, 8, 24]},
            "answer": {"max_tokens": 6},
            "samples": 4,
            "resamples": 100,
            "out": str(out),
            **changes,
        }
    )


def job(out: Path, **changes: Any) -> Job:
    parsed = config(out, **changes)
    made = jobs.prepare(parsed, parsed.model[0], jobs.load_problems(parsed))
    jobs.register(made)
    return made


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(engines, "make", lambda *_: (fake, "fake"))
    return fake


def pool(store: Store) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every stored row by table and key; fails on doubles."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for table in TABLES:
        for row in store.read(table).to_pylist():
            key = (table, *(row[name] for name in KEYS[table]))
            assert key not in found
            found[key] = row
    return found


def chains(store: Store) -> list[dict[str, Any]]:
    return [row for row in store.read("calls").to_pylist() if row["kind"] == "think"]


def fingerprint(store: Store) -> str:
    return hashlib.sha256(repr(sorted(pool(store).items())).encode()).hexdigest()


def test_a_complete_pool_draws_nothing_and_starts_no_engine(
    anywhere: Path, engine: FakeEngine
) -> None:
    work = job(anywhere)
    assert drawing.draw(work, Progress()) == []
    drawn = engine.drawn
    assert len(chains(work.store)) == 12
    assert drawing.draw(job(anywhere), Progress()) == [] and engine.drawn == drawn


def test_stopped_inside_a_chain_a_run_goes_on_from_the_parts_it_told(
    anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Telling(FakeEngine):
        async def complete(self, request: Request) -> Completion:
            done = await super().complete(request)
            if request.on_part is not None and len(done.token_ids) > 8:
                told = {"token_ids": done.token_ids[:5], "logprobs": done.logprobs[:5]}
                request.on_part(replace(done, finish="length", **told))
                raise UserError("the machine is gone")
            return done

    monkeypatch.setattr(engines, "make", lambda *_: (Telling(), "telling"))
    with pytest.raises(UserError, match="gone"):
        drawing.draw(work := job(anywhere, thinking={"budgets": [40]}), Progress())
    told = {row["key"]: row["token_ids"] for row in chains(work.store) if row["finish"] == "length"}
    assert told
    monkeypatch.setattr(engines, "make", lambda *_: (FakeEngine(), "fake"))
    assert drawing.draw(work, Progress()) == [] and not drawing.unfinished(work)
    calls = stored_calls.read_calls(work.store, [row.problem_id for row in work.problems])
    for key, ids in told.items():
        assert calls[key].token_ids[:5] == ids and calls[key].tokens > 5


def test_more_samples_and_larger_budgets_extend_a_pool_without_changing_it(
    anywhere: Path, engine: FakeEngine
) -> None:
    drawing.draw(job(anywhere), Progress())
    before = pool(job(anywhere).store)
    work = job(anywhere, samples=6, thinking={"budgets": [0, 8, 16, 24, 64]})
    drawing.draw(work, Progress())
    after = pool(work.store)
    assert before.items() <= after.items()
    assert not drawing.unfinished(work)
    continued = [row for row in chains(work.store) if row["start"] == 24]
    assert continued and all(row["start"] + row["tokens"] <= 64 for row in continued)


def test_a_pool_of_budget_zero_alone_can_be_extended(tmp_path: Path, engine: FakeEngine) -> None:
    drawing.draw(job(tmp_path, thinking={"budgets": [0]}), Progress())
    work = job(tmp_path, thinking={"budgets": [0, 8]})
    drawing.draw(work, Progress())
    assert not drawing.unfinished(work)
    assert len(chains(work.store)) == 12


def test_a_block_of_stored_chains_is_bounded(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing.draw(job(tmp_path), Progress())
    work = job(tmp_path, thinking={"budgets": [0, 8, 24, 48]})
    todo = drawing.unfinished(work)
    whole = list(drawing._stored(work, todo))
    assert len(whole) == 12 and all(calls for _, calls in whole)
    read: list[int] = []

    def counted(*args: Any) -> Any:
        calls = stored_calls.read_calls(*args)
        read.append(sum(call.tokens for call in calls.values()))
        return calls

    monkeypatch.setattr(drawing, "BLOCK_TOKENS", 80)
    monkeypatch.setattr(drawing, "read_calls", counted)
    assert list(drawing._stored(work, todo)) == whole
    assert len(read) > 3  # a block for every few samples


def test_failed_requests_are_missing_and_drawn_by_the_next_run(
    tmp_path: Path, engine: FakeEngine
) -> None:
    engine.broken = lambda request: request.seed % 5 == 0
    missing = drawing.draw(job(tmp_path), Progress())
    assert missing and all("failed for good" in line for line in missing)
    work = job(tmp_path)
    before = pool(work.store)
    engine.broken = lambda request: False
    assert drawing.draw(work, Progress()) == []
    assert before.items() <= pool(work.store).items() and not drawing.unfinished(work)


def test_an_interrupted_run_keeps_what_was_drawn(anywhere: Path, engine: FakeEngine) -> None:
    def stop(request: Request) -> bool:
        if engine.drawn > 20:
            raise KeyboardInterrupt
        return False

    engine.broken = stop
    work = job(anywhere)
    with pytest.raises(KeyboardInterrupt):
        drawing.draw(work, Progress())
    assert len(pool(work.store)) >= 20


@pytest.mark.parametrize("table", TABLES)
def test_damage_is_named_set_aside_and_only_its_rows_are_drawn_again(
    anywhere: Path, engine: FakeEngine, table: str
) -> None:
    drawing.draw(job(anywhere / "whole", samples=8), Progress())
    wanted = fingerprint(job(anywhere / "whole", samples=8).store)
    drawing.draw(job(anywhere, samples=4), Progress())
    drawing.draw(job(anywhere, samples=8), Progress())
    work = job(anywhere, samples=8)
    victim = work.store.parts(table)[0]
    victim.write_bytes(victim.read_bytes()[:-40])
    kept = {
        part: part.read_bytes()
        for name in TABLES
        for part in work.store.parts(name)
        if part != victim
    }
    said: list[str] = []
    progress = Progress()
    progress.say = said.append  # type: ignore[method-assign]
    drawing.draw(work, progress)
    assert any("set aside" in line and str(victim) in line for line in said)
    assert fingerprint(work.store) == wanted
    if table == "attempts":
        assert all(part.read_bytes() == data for part, data in kept.items())


def test_a_lost_beginning_takes_what_continues_it_and_its_answers_with_it(
    anywhere: Path, engine: FakeEngine
) -> None:
    """Otherwise the tail of the old chain would be read as the whole, or old answers as answers to
    a new chain.
    """
    drawing.draw(job(anywhere), Progress())
    larger = {"budgets": [0, 8, 24, 64]}
    drawing.draw(job(anywhere, thinking=larger), Progress())
    store = job(anywhere, thinking=larger).store
    store.parts("calls")[0].write_bytes(b"")
    stored_calls.mend(store)
    assert not chains(store)
    assert all(row["parent"].startswith("#") for row in store.read("calls").to_pylist())
    drawing.draw(job(anywhere, thinking=larger), Progress())
    assert not drawing.unfinished(job(anywhere, thinking=larger))


def test_a_lost_chain_takes_what_extends_it_along(tmp_path: Path, engine: FakeEngine) -> None:
    thinking = {"strategy": "wait", "budgets": [0, 8, 64], "extensions": 2}
    drawing.draw(job(tmp_path, thinking=thinking, samples=2), Progress())
    drawing.draw(job(tmp_path, thinking=thinking), Progress())
    work = job(tmp_path, thinking=thinking)
    before = fingerprint(work.store)
    assert any(row["fed"] for row in chains(work.store))  # a marker
    work.store.parts("calls")[0].write_bytes(b"")
    stored_calls.mend(work.store)
    for table in ("calls", "attempts"):
        assert {row["sample"] for row in work.store.read(table).to_pylist()} == {2, 3}
    drawing.draw(work, Progress())
    assert fingerprint(work.store) == before


def test_another_strategy_stands_on_the_calls_that_are_there(
    tmp_path: Path, engine: FakeEngine
) -> None:
    drawing.draw(job(tmp_path), Progress())
    drawn, before = engine.drawn, pool(job(tmp_path).store)
    wait = {"strategy": "wait", "budgets": [0, 8, 24]}
    drawing.draw(job(tmp_path, thinking=wait), Progress())
    new = [row for key, row in pool(job(tmp_path).store).items() if key not in before]
    assert engine.drawn - drawn == sum("kind" in row and row["kind"] != "own" for row in new)
    assert all(row["kind"] == "answer" or row["fed"] for row in new if "kind" in row)
    assert drawing.draw(job(tmp_path), Progress()) == [] and not drawing.unfinished(job(tmp_path))


def test_no_crash_point_loses_or_doubles_anything(
    anywhere: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole job dies at its k-th write or deletion, for every k, is run again, and must end as
    if undisturbed.
    """

    class Died(BaseException): ...

    write, remove = Store.write_file, stores._remove
    left = 0

    def dying(work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Died
            return work(*args)

        return step

    monkeypatch.setattr(report, "write", lambda run: None)
    monkeypatch.setattr(stores, "PART_ROWS", 9)
    monkeypatch.setattr(Store, "write_file", dying(write))
    monkeypatch.setattr(stores, "_remove", lambda parts: [dying(remove)([part]) for part in parts])
    left = 1 << 30
    whole = pipeline.run(config(anywhere / "whole"))[0]
    writes = (1 << 30) - left
    for crash in range(0, writes, 4):
        out, acknowledged = anywhere / str(crash), {}
        for steps in (crash, crash // 2, 1 << 30):
            left = steps
            try:
                run = pipeline.run(config(out))[0]
            except Died:
                stored = pool(Store(out / "t" / "quickstart"))
                assert acknowledged.items() <= stored.items()
                acknowledged = stored
        assert fingerprint(Store(run.path)) == fingerprint(Store(whole.path))
        assert run.cells.equals(whole.cells)
        assert len(Store(run.path).parts("calls")) == 1


def test_a_full_disk_stops_the_run_with_one_line(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    def full(self: Store, table: str, data: Any) -> None:
        raise UserError("no space")

    monkeypatch.setattr(engine, "close", close)
    work = job(tmp_path)
    monkeypatch.setattr(Store, "append_table", full)
    with pytest.raises(UserError, match="no space"):
        drawing.draw(work, Progress())
    assert closed


def _run(out: Path, samples: int) -> None:
    import torch

    torch.set_num_threads(1)
    drawing.FLUSH_SECONDS = 0.05
    pipeline.run(config(out, samples=samples, thinking={"budgets": [0, 8, 16, 32]}))


@pytest.fixture
def forks() -> Iterator[Any]:
    """Starts processes that have imported everything already, so that kills hit the run and not its
    imports.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["testtime.pipeline", "testtime.engines.transformers", "matplotlib.pyplot"]
    )
    yield context


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path: Path, forks: Any) -> None:
    """SIGKILL across writing, grading, compaction and reporting, on the real engine."""
    noise, store = random.Random(7), Store(tmp_path / "t" / "quickstart")
    samples, kills, acknowledged, took = 2, 0, {}, 6.0
    while kills < 100:
        process = forks.Process(target=_run, args=(tmp_path, samples))
        began = time.monotonic()
        process.start()
        process.join(noise.uniform(0, 1.1 * took))
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        else:
            assert process.exitcode == 0
            took = time.monotonic() - began
            samples += 2  # there is more to draw
        stored = pool(store)
        assert acknowledged.items() <= stored.items()
        acknowledged = stored
    _run(tmp_path, samples)
    work = job(tmp_path, samples=samples, thinking={"budgets": [0, 8, 16, 32]})
    assert acknowledged.items() <= pool(store).items()
    assert not drawing.unfinished(work)
    assert len(store.read("calls", [])) == sum(len(part) for part in store.read_parts("calls"))
    assert len({row["key"] for row in chains(store)}) == 3 * samples
    table = pipeline.load(store.root).scores
    assert len(table) == 3 * samples * 4 and not table["verdict"].isin(["missing", "error"]).any()
    assert not list(store.root.glob("*/*.corrupt"))
