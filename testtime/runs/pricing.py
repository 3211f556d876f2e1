"""Dollars and seconds of a run: the price list its config names, and rates, given there or measured
by the run itself.

Neither is part of a pool's identity. They only turn its token counts into columns, so changing them
reads the pool again and draws nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from testtime.config.schema import Config, Prices, Rates
from testtime.engines.base import Engine, EngineError
from testtime.errors import UserError
from testtime.runs.measured_rates import measure_rates
from testtime.runs.prepare import Job
from testtime.runs.progress import Progress
from testtime.storage.calls import chain_lengths
from testtime.storage.manifest import Manifest

SHORTEST = 8  # new tokens on average of a measured stream


def prices(config: Config[Any]) -> Prices | None:
    """The price list of a run directory's config (of one model), its model's own before the
    run's.
    """
    return config.model[0].price or config.price


def rates(config: Config[Any], manifest: Manifest) -> Rates | None:
    """The rates that the config gives, or those that the run measured at the concurrency it asks
    for.
    """
    asked = config.model[0].rates or config.rates
    if asked is None or asked.prefill:
        return asked
    held = manifest.rates
    if held.get("concurrency") != asked.concurrency:
        return None
    return Rates(*(held[name] for name in ("prefill", "decode", "concurrency", "context")))


def unmeasured(job: Job, engine: str | None = None) -> int:
    """The concurrency at which the run still has to measure rates; 0 where it has none to measure.

    engine: the one that draws now; rates of another one are no longer the run's.
    """
    asked = job.ref.rates or job.config.rates
    if asked is None or asked.prefill:
        return 0
    held = job.store.manifest().rates
    same = held.get("concurrency") == asked.concurrency and engine in (None, held.get("engine"))
    return 0 if same else asked.concurrency


def check(engine: Engine, concurrency: int) -> None:
    """Raises UserError where an engine never has so many requests in flight."""
    if concurrency > engine.max_num_seqs:
        raise UserError(
            f"rates.concurrency: {concurrency} is more than engine {engine.name} keeps in flight"
            f" ({engine.max_num_seqs}); lower it, or raise engine.max_num_seqs"
        )


async def measure(engine: Engine, job: Job, concurrency: int, progress: Progress) -> dict[str, Any]:
    """The manifest's `rates`: of the engine, on prompts as long as the run's and completions as
    long as its chains.

    It takes about as long as 10 x concurrency chains of the run. Where it fails the run goes on
    without the axis.
    """
    progress.say(f"measuring tokens a second with {concurrency} requests in flight")
    prompts = [row.prompt_ids for row in job.problems]
    drawn, _ = chain_lengths(job.store)
    mean = drawn.mean() if len(drawn) else 0.0
    # The longest of a measured stream is twice its mean, and has to fit as a chain does.
    longest = int(drawn.max(initial=0)) or SHORTEST
    try:
        measured = await measure_rates(
            engine,
            sorted({token for prompt in prompts for token in prompt}),
            concurrency=concurrency,
            prompt_tokens=max(1, sum(map(len, prompts)) // len(prompts)),
            new_tokens=max(SHORTEST, min(round(mean), longest // 2)),
            seed=job.config.seed,
        )
    except (UserError, EngineError) as error:
        progress.say(f"no axis in seconds: {error}")
        return {"rates": {}}  # those of another engine would be wrong
    progress.say(
        f"prefill {measured.prefill:,.0f}, decode {measured.decode:,.0f} tokens/s at contexts of "
        f"{measured.context}"
    )
    return {"rates": {**asdict(measured), "engine": engine.name}}
