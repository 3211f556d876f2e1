"""From a drawn pool to its tables: verdicts, scores, cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from testtime.compute.flops import Flops
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
    """What is said of a run's tables whenever it is run: problems that its cells leave out, and
    budgets that were not kept.
    """
    said = [
        f"left out of the cells: problem {name}: no answer of it could be graded"
        for name in ungraded(run.scores)
    ]
    # Elsewhere a budget is cut to, or is that of each round or part.
    native = run.manifest.config["thinking"]["strategy"] == "native"
    over = _overspent(run.scores) if native else None
    return [*said, over] if over else said


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
    )


def _overspent(table: pd.DataFrame) -> str | None:
    """A line about chains longer than their budget, which an engine that closes them itself may let
    pass.
    """
    beyond = table["thinking_tokens"] - table["budget"]
    if not (beyond > 0).any():
        return None
    return (
        f"budgets not kept: {(beyond > 0).sum():,} of {len(table):,} chains think longer than "
        f"asked, by up to "
        f"{beyond.max():,.0f} tokens; this engine does not obey its thinking_token_budget, write "
        f"thinking.strategy: nested"
    )


def _flops(config: Mapping[str, Any]) -> Flops | None:
    """A model's FLOPs; None where its config says too little (imported runs)."""
    try:
        return Flops.from_config(config)
    except UserError:
        return None
