"""More than one machine: Ray actors that each hold a whole engine, and one sampler that feeds them.

Why requests travel and not problems: a chain's life is a few requests, each far longer than a
message, so one process can feed many actors; the pool then has one writer, one lock and one place
where progress is told, and a lost actor costs only the requests it had in flight. They are drawn
again elsewhere with the same seeds. Answers go to the actor that drew their chain. What an actor
runs is vLLM or transformers with their own arguments; a model larger than one machine is vLLM's own
business (`distributed_executor_backend: ray`), not this file's.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from typing import Any

from testtime.engines.base import Completion, EngineError, EngineUnavailable, Request
from testtime.engines.replicas import Failure, Replica, Replicas
from testtime.errors import UserError


class Worker:
    """What an actor is: one engine. Ray builds it again on another machine when this one is
    lost.
    """

    def __init__(self, spec: dict[str, Any], model: str, revision: str | None) -> None:
        from testtime import engines
        from testtime.config.schema import EngineSpec

        self._engine, self._note = engines.make(EngineSpec(**spec), model, revision)

    async def ready(self) -> tuple[int, str]:
        """The sequences it decodes together, and which engine it is."""
        return self._engine.max_num_seqs, self._note

    async def complete(self, request: Request) -> Completion:
        return await self._engine.complete(request)


class RayEngine:
    """Engines in Ray actors.

    model: a local folder that every machine sees, or a hub id; engine: auto, vllm or transformers,
    with `args` of its own and max_num_seqs sequences each. actors: how many (default: as many as
    the cluster's GPUs, or its CPUs where there are none, hold now); more than fit join when an
    autoscaler has made room. gpus, cpus: what one actor takes. address: a cluster's address, "auto"
    for the one this machine belongs to; without it RAY_ADDRESS, else Ray is started here. startup:
    seconds until the first actor must be ready; patience: seconds without any answer before the run
    stops. Raises EngineUnavailable when Ray is not installed, UserError when no cluster or no
    engine can be had.
    """

    name = "ray"

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        max_num_seqs: int | None = None,
        engine: str = "auto",
        args: dict[str, Any] | None = None,
        actors: int | None = None,
        gpus: float | None = None,
        cpus: float = 1,
        address: str | None = None,
        startup: float = 1800.0,
        patience: float = 600.0,
        attempts: int = 8,
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise EngineUnavailable(
                "engine ray: ray is not installed; install testtime[ray]"
            ) from None
        if engine not in ("auto", "vllm", "transformers"):
            raise UserError(
                f"engine.args.engine: an actor cannot hold {engine!r}; write vllm, transformers "
                f"or auto"
            )
        self._ray, self._owned = ray, not ray.is_initialized()
        if self._owned:
            try:
                _knock(address)  # Ray itself goes on trying for many minutes
                ray.init(
                    address=address,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
            except (OSError, RuntimeError, ValueError) as error:
                where = f"the cluster {address}" if address else "Ray on this machine"
                raise UserError(
                    f"engine.args.address: cannot reach {where}: {str(error).splitlines()[0]}"
                ) from None
        resources = ray.cluster_resources()
        gpus = float(bool(resources.get("GPU"))) if gpus is None else gpus
        fit = resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 1) / cpus
        count = actors or max(1, int(fit))
        spec = {"name": engine, "dtype": dtype, "max_num_seqs": max_num_seqs, "args": args or {}}
        # A restarted actor takes requests again; those that it lost are ours to send elsewhere.
        options = {"num_gpus": gpus, "num_cpus": cpus, "max_restarts": -1, "max_task_retries": 0}
        kind = ray.remote(Worker).options(
            **options, max_concurrency=100_000, scheduling_strategy="SPREAD"
        )
        self.actors = count
        self._actors = [kind.remote(spec, str(model), revision) for _ in range(count)]
        self._starting = {actor.ready.remote(): actor for actor in self._actors}
        self.replicas = Replicas([], attempts, patience, self._alive)
        try:
            self.note = self._first(startup)
        except BaseException:
            self._release()
            raise
        self.max_num_seqs = self._each * count
        self._joining: list[asyncio.Task[None]] | None = None

    def _first(self, startup: float) -> str:
        """Wait until one actor can work, and say what it is."""
        ray = self._ray
        done, _ = ray.wait(list(self._starting), num_returns=1, timeout=startup)
        if not done:
            raise UserError(
                f"engine ray: no actor was ready after {startup:.0f} s; has the cluster room for "
                f"{len(self._actors)} actors of the size asked for?"
            )
        try:
            self._each, note = ray.get(done[0])
        except ray.exceptions.RayError as error:
            raise UserError(
                f"engine ray: an actor could not start its engine: {_cause(error)}"
            ) from None
        self._join(self._starting.pop(done[0]))
        return str(note)

    def _join(self, actor: Any) -> None:
        number = self._actors.index(actor)
        self.replicas.all.append(Replica(f"actor {number}", actor, self._each))

    async def _join_when_ready(self, ready: Any, actor: Any) -> None:
        while True:
            try:
                await ready
                return self._join(actor)
            except self._ray.exceptions.RayError:  # lost while it started; Ray starts it again
                await asyncio.sleep(5)
                ready = actor.ready.remote()

    async def complete(self, request: Request) -> Completion:
        if self._joining is None:
            pairs = self._starting.items()
            self._joining = [
                asyncio.create_task(self._join_when_ready(ready, actor)) for ready, actor in pairs
            ]
        return await self.replicas.serve(
            request.affinity, lambda replica: self._attempt(replica, request)
        )

    async def _attempt(self, replica: Replica, request: Request) -> Completion | Failure:
        errors = self._ray.exceptions
        async with replica.slot():
            try:
                sent = replace(request, on_part=None)  # a callback stays where it was made
                done: Completion = await replica.target.complete.remote(sent)
                return done
            except errors.RayTaskError as error:
                if isinstance(error.cause, (EngineError, UserError)):
                    raise error.cause from None
                # The engine inside is broken (its child process died): have Ray build the actor
                # again.
                self._ray.kill(replica.target, no_restart=False)
                trouble = _cause(error)
            except errors.RayError as error:
                trouble = _cause(error)
        replica.silent()
        return Failure(trouble, answered=False)

    async def _alive(self) -> bool:
        """Whether any actor answers; a restart loads the model anew, which takes its time."""
        asked = [actor.ready.remote() for actor in self._actors]
        done, _ = await asyncio.to_thread(self._ray.wait, asked, num_returns=1, timeout=10.0)
        return bool(done) and not isinstance(await _outcome(done[0]), Exception)

    async def close(self) -> None:
        for task in self._joining or ():
            task.cancel()
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if self._owned:
            self._ray.shutdown()


def _knock(address: str | None) -> None:
    """Raises OSError when nobody listens at host:port; other forms of address are left to Ray."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=5).close()


async def _outcome(reference: Any) -> Any:
    try:
        return await reference
    except Exception as error:  # whatever it is, there was no answer
        return error


def _cause(error: Exception) -> str:
    """The last line of what Ray reports: the error inside the actor, without its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
