"""What passes over a finished pool share: a model is asked about what was drawn, and its replies
are stored while they come, so that a pass can be added to any run later, and resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import pyarrow.compute as pc

from testtime import engines
from testtime.config.schema import ModelRef
from testtime.engines.base import EngineError
from testtime.errors import UserError
from testtime.models import delimiters
from testtime.models.delimiters import Format
from testtime.models.resolve import Model, resolve, served
from testtime.runs.draw import FLUSH_SECONDS, drawing_of, engine_of
from testtime.runs.loop import run_async
from testtime.runs.prepare import Job
from testtime.runs.progress import Progress
from testtime.runs.recipe import form_of
from testtime.runs.rewards import check_name
from testtime.storage.store import Store
from testtime.storage.tables import ProblemRow, Row
from testtime.storage.writer import Writer
from testtime.strategies.drawing import Drawing
from testtime.strategies.node import key_of
from testtime.strategies.registry import parse


class About(Protocol):
    """What is asked about. problem: whose attempts are shown."""

    @property
    def problem(self) -> ProblemRow: ...


T = TypeVar("T", bound=About)


@dataclass(frozen=True)
class Pass:
    """A pass over a run. job: with who is asked as its model; own, form: who made the attempts, and
    how that marks its thinking; recipe: hash of who is asked and how; held: the rows of this name
    that are stored.
    """

    name: str
    job: Job
    own: Model
    form: Format
    recipe: str
    held: list[dict[str, Any]]


def opened(store: Store, table: str, name: str, such_as: str, asked: Any, ids: bool) -> Pass:
    """A pass whose rows are stored in `table` under a name. such_as: a name that could be had;
    asked: a dataclass that says how, with `model`, None for the run's own; ids: whether it needs an
    engine that takes token ids.

    Raises UserError where the run was imported, comes from a chat server that cannot be asked so,
    the name is taken, or rows under it were made otherwise.
    """
    check_name(name, such_as)
    manifest = store.manifest()
    if manifest.imported:
        raise UserError(f"{store.root}: an imported run keeps no attempts that could be shown")
    config = parse(manifest.config, str(store.root / "run.json"))
    chat, ref = config.engine.chat, config.model[0]
    if chat and ids:
        raise UserError(f"{store.root}: a chat server takes no token ids, so none can be verified")
    find = served if chat else resolve
    own = find(ref.name) if chat else resolve(ref.name, ref.revision)
    model, form = own, form_of(manifest)
    if asked.model:
        ref, model = ModelRef(name=asked.model), find(asked.model)
        form = form if chat else delimiters.resolve(model.tokenizer)
    recipe = key_of(model.fingerprint, sorted(asdict(asked).items()))
    held = store.read(table, None, pc.field("name") == name).to_pylist()
    if any(row["recipe"] != recipe for row in held):
        raise UserError(f"--name {name}: was made otherwise there; give this one another name")
    problems = [ProblemRow(**row) for row in store.read("problems").to_pylist()]
    job = Job(config, ref, model, form, problems, store, manifest.left_out)
    return Pass(name, job, own, form_of(manifest), recipe, held)


def made(
    given: Pass,
    table: str,
    questions: Iterator[T],
    asking: Callable[[Drawing], Callable[[T], Awaitable[Row]]],
    progress: Progress,
) -> list[str]:
    """Ask every question and store what was said; returns a line for each that failed. asking:
    gives, on an engine, how one question becomes a row.
    """
    job, failed = given.job, list[str]()
    engine, note = engines.make(engine_of(job), job.model.source, job.model.revision)
    progress.say(f"engine: {note}")
    one, writer = asking(drawing_of(job, engine, None, lambda call: None)), Writer(job.store)

    async def worker() -> None:
        for question in questions:  # shared: each worker takes the next
            try:
                writer.add(table, await one(question))
            except EngineError as error:
                failed.append(f"{question.problem.problem_id}: {error}")

    async def save() -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            writer.flush()

    async def work() -> None:
        saving = asyncio.create_task(save())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(2 * engine.max_num_seqs):
                    group.create_task(worker())
        finally:
            saving.cancel()
            writer.flush()
            await engine.close()

    run_async(work())
    job.store.compact(table)
    return failed + writer.refused


def select_by(store: Store, selectors: Sequence[str]) -> None:
    """Put selectors among those of a run's manifest."""
    manifest = store.manifest()
    every = list(dict.fromkeys([*manifest.config["selectors"], *selectors]))
    store.write_manifest(manifest.changed(config={**manifest.config, "selectors": every}))
