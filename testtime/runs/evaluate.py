"""From a drawn pool to its tables: verdicts, scores, cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from testtime.compute.flops import Flops
from testtime.config.schema import Config
from testtime.errors import UserError
from testtime.runs import pricing
from testtime.runs.priced import priced_tables, ungraded
from testtime.runs.progress import Progress
from testtime.runs.recipe import form_of, recipe
from testtime.runs.run import Run
from testtime.runs.scores import scores
from testtime.runs.verdicts import grade_pool
from testtime.storage.manifest import Manifest
from testtime.storage.store import Store
from testtime.strategies.registry import parse

if TYPE_CHECKING:
    import pandas as pd


def evaluate(store: Store, progress: Progress, view: Manifest | None = None) -> Run:
    """Verdicts, then the two tidy tables. view: another manifest than the stored one, whose tables
    are not written. Raises UserError where no answer has a score.
    """
    progress.say(f"grading {store.root}")
    graded = grade_pool(store, say=progress.say)
    progress.say(f"graded {graded} distinct answers")
    store.compact("grades")
    manifest = view or store.manifest()
    config = parse(manifest.config, str(store.root / "run.json"))
    table = scored(store, manifest)
    if table["score"].isna().all():
        if view is None:  # it shows why
            store.write_file("tables/scores.parquet", table.to_parquet(index=False))
        drawn = not table["verdict"].eq("missing").all()
        mend = (
            "mend the grader and `testtime grade` it again"
            if drawn
            else "mend what the requests failed for and run it again"
        )
        raise UserError(
            f"{store.root}: {'no answer has a score' if drawn else 'no answer was drawn'}; {mend}"
        )
    prices, rates = pricing.prices(config), pricing.rates(config, manifest)
    table, grid = priced_tables(table, config, prices, rates)
    if view is None:
        store.write_file("tables/scores.parquet", table.to_parquet(index=False))
        store.write_file("tables/cells.parquet", grid.to_parquet(index=False))
    for part in store.damaged:
        progress.say(f"damaged part passed over, run again to draw its rows anew: {part}")
    run = Run(store.root, manifest, table, grid)
    for line in remarks(run):
        progress.say(line)
    return run


def remarks(run: Run) -> list[str]:
    """What is said of a run's tables whenever it is run: problems that its cells leave out, budgets
    that were not kept, and prompts that nobody counted.
    """
    said = [
        f"left out of the cells: problem {name}: no answer of it could be graded"
        for name in ungraded(run.scores)
    ]
    # Elsewhere a budget is cut to, or is that of each round or part.
    if run.config.thinking.strategy == "native":
        chat = run.config.engine.chat
        said += _uncounted(run.scores, run.config) if chat else _overspent(run.scores)
    return said


def scored(store: Store, view: Manifest | None = None) -> pd.DataFrame:
    """The scores table of what is drawn and graded so far; view: as of `evaluate`."""
    manifest = view or store.manifest()
    config = parse(manifest.config, str(store.root / "run.json"))
    form = form_of(manifest)
    return scores(
        store,
        recipe(config, form),
        config.thinking.cells(form),
        manifest.problems,
        config.samples,
        manifest.model,
        _flops(manifest.architecture),
        config.model[0].setting,
        _flops(manifest.verifier),
        _flops(manifest.planner),
    )


def _overspent(table: pd.DataFrame) -> Iterator[str]:
    """A line about chains longer than their budget, which an engine that closes them itself may let
    pass.
    """
    beyond = table["thinking_tokens"] - table["budget"]
    if (beyond > 0).any():
        yield (
            f"budgets not kept: {(beyond > 0).sum():,} of {len(table):,} chains think longer than "
            f"asked, by up to {beyond.max():,.0f} tokens; this engine does not obey its "
            f"thinking_token_budget, write thinking.strategy: nested"
        )


def _uncounted(table: pd.DataFrame, config: Config[Any]) -> Iterator[str]:
    """Lines about messages longer than their cap, as servers that do not know a field pass it over,
    and about prompts whose tokens nobody counted.
    """
    unread = table["prompt_tokens"] == 0
    if unread.any():
        yield (
            f"prompts not counted: for {unread.sum():,} of {len(table):,} messages the server does "
            "not say how many tokens it read; all figures leave them out"
        )
    cap = config.thinking.budgets[0] + config.answer.max_tokens
    beyond = table["thinking_tokens"] + table["answer_tokens"] - cap
    if (beyond > 0).any():
        yield (
            f"cap not kept: {(beyond > 0).sum():,} of {len(table):,} messages are longer than the "
            f"{cap:,} tokens asked for, by up to {beyond.max():,.0f}; where the server does not "
            f"obey max_completion_tokens, write engine.args.request: "
            f"{{max_completion_tokens: null, max_tokens: {cap}}}"
        )


def _flops(config: Mapping[str, Any]) -> Flops | None:
    """A model's FLOPs; None where its config says too little (imported runs)."""
    try:
        return Flops.from_config(config)
    except UserError:
        return None
