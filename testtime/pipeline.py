"""The main job in reading order: problems -> chains -> answers -> verdicts -> grid -> report.

Each step reads what the one before it stored, so a run that was killed resumes where it was, a
larger one extends the pool, and changing selectors or graders only reads it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.compute.costs import with_costs
from testtime.compute.flops import Flops
from testtime.config import load as config_file
from testtime.config.schema import Config
from testtime.errors import UserError
from testtime.estimators.cells import cells
from testtime.models import resolve as models
from testtime.models.delimiters import Format
from testtime.runs import prepare as jobs
from testtime.runs import pricing as costing
from testtime.runs import rewards as rewarding
from testtime.runs import scores
from testtime.runs.draw import decoder, draw
from testtime.runs.prepare import Job
from testtime.runs.progress import Progress
from testtime.runs.run import Run
from testtime.storage.store import Store
from testtime.strategies.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

    from testtime.compute.prices import Prices
    from testtime.compute.rates import Rates
    from testtime.engines.reward import Over, RewardEngine

TABLES = ("scores", "cells")


def run(
    config: Config | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[Run]:
    """Draw, grade and evaluate a config; one Run for each of its models. Resumes what is already
    there.

    config: a Config, plain data of the same form, or a YAML path. Raises UserError for anything a
    user can mend.
    """
    if isinstance(config, (str, Path)):
        config = config_file.load(config, overrides)
    elif not isinstance(config, Config):
        config = config_file.parse(config)
    problems = jobs.load_problems(config)
    ready = [
        jobs.prepare(config, ref, problems) for ref in config.model
    ]  # every mistake shows before the first token
    jobs.apart(ready)
    return [_execute(job, progress or Progress()) for job in ready]


def _execute(job: Job, progress: Progress) -> Run:
    store = job.store
    with store.lock(progress.say):
        jobs.check(job)  # another process may have begun the folder since
        jobs.register(job)
        missing = draw(job, progress)
        for table in ("chains", "answers"):
            store.compact(table)
        for line in missing[:3]:
            progress.say(f"missing: {line}")
        if missing:
            progress.say(
                f"{len(missing)} chains are incomplete: missing, not wrong; run again to complete "
                f"them"
            )
        return _evaluate(store, progress)


def grade(path: str | Path, progress: Progress | None = None) -> Run:
    """Grade what has no verdict of its grader's current version, and make the tables again."""
    store = Store(path)
    if "imported" in store.manifest():
        raise UserError(
            f"{path}: an imported run keeps its log's own verdicts, there is nothing to grade"
        )
    progress = progress or Progress()
    with store.lock(progress.say):
        return _evaluate(store, progress)


def reward(
    path: str | Path,
    model: str | Path,
    name: str = "reward",
    over: Over = "text",
    engine: RewardEngine = "transformers",
) -> Run:
    """Score a run's answers by a reward model, and make the tables again with best:NAME and
    weighted:NAME beside.

    model: a folder with a classification head; over: "text", or how the scores of steps are joined
    ("product", "min", "last"). A later `run` takes its config's selectors, so list the new ones
    there to keep them. Raises UserError when there is no such model, the run was imported, or
    another column has that name.
    """
    from testtime.engines.reward import RewardModel

    store = Store(path)
    manifest = store.manifest()
    if "imported" in manifest:
        raise UserError(
            f"{path}: an imported run keeps no chains; put the rewards into its log as a column"
        )
    if not name.isidentifier():
        raise UserError(
            f"--name {name}: a column's name is letters, digits and underscores, such as reward"
        )
    if name in scores.TAKEN or f"{name}_flops" in scores.TAKEN or name.endswith("_flops"):
        raise UserError(
            f"--name {name}: the scores table has a column of that name already; write another, "
            f"such as reward"
        )
    config = config_file.parse(manifest["config"], str(store.root / "run.json"))
    ref = config.model[0]
    asked = (
        models.served(ref.name) if config.engine.chat else models.resolve(ref.name, ref.revision)
    )
    with store.lock():
        judge = RewardModel(model, engine=engine)
        try:
            rewarding.reward_pool(
                store, judge, Flops.from_config(model), decoder(asked.tokenizer), name, over
            )
        finally:
            judge.close()
        selectors = list(dict.fromkeys([*config.selectors, f"best:{name}", f"weighted:{name}"]))
        store.write_manifest({**manifest, "config": {**manifest["config"], "selectors": selectors}})
        return _evaluate(store, Progress())


def _evaluate(store: Store, progress: Progress) -> Run:
    """Verdicts, then the two tidy tables, then the report."""
    from testtime import report

    progress.say(f"grading {store.root}")
    graded = scores.grade_pool(store, say=progress.say)
    progress.say(f"graded {graded} distinct answers")
    store.compact("grades")
    manifest = store.manifest()
    config = config_file.parse(manifest["config"], str(store.root / "run.json"))
    table = scores.scores(
        store,
        plan_of(config, manifest),
        manifest["problems"],
        manifest["model"],
        _flops(manifest),
        config.model[0].setting,
    )
    if table["score"].isna().all():
        store.write_file("tables/scores.parquet", table.to_parquet(index=False))  # it shows why
        drawn = not table["verdict"].eq("missing").all()
        mend = (
            "mend the grader and `testtime grade` it again"
            if drawn
            else "mend what the requests failed for and run it again"
        )
        raise UserError(
            f"{store.root}: {'no answer has a score' if drawn else 'no answer was drawn'}; {mend}"
        )
    table, grid = priced(table, config, costing.prices(config), costing.rates(config, manifest))
    store.write_file("tables/scores.parquet", table.to_parquet(index=False))
    store.write_file("tables/cells.parquet", grid.to_parquet(index=False))
    if over := _overspent(table):
        progress.say(over)
    for part in store.damaged:
        progress.say(f"damaged part passed over, run again to draw its rows anew: {part}")
    result = Run(store.root, manifest, table, grid)
    report.write(result)
    return result


def priced(
    table: pd.DataFrame, config: Config, prices: Prices | None, rates: Rates | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scores with dollars and seconds (of those that are given), and the config's cells of
    them.
    """
    table = with_costs(table, prices=prices, rates=rates, whole=config.thinking.mode == "engine")
    counts = config.sample_counts()
    return table, cells(
        table, counts, config.selectors, resamples=config.resamples, seed=config.seed
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
        f"thinking.mode: nested"
    )


def load(path: str | Path) -> Run:
    """The tables of a run directory. Raises UserError when there is no run, or one without tables
    yet.
    """
    store = Store(path)
    manifest = store.manifest()
    found = [f"tables/{name}.parquet" for name in TABLES]
    if not all(map(store.has, found)):
        raise UserError(
            f"{path}: this run has no tables yet; finish it with `testtime run`, or `testtime "
            f"grade` what there is"
        )
    return Run(store.root, manifest, *map(store.frame, found))


def plan_of(config: Config, manifest: Mapping[str, Any]) -> Plan:
    """The sampling plan a run directory was drawn with."""
    stored = manifest["format"].items()
    form: dict[str, Any] = {
        part: tuple(ids) if isinstance(ids, list) else ids for part, ids in stored
    }
    return jobs.plan(config, Format(**form))


def _flops(manifest: Mapping[str, Any]) -> Flops | None:
    """The model's FLOPs; None where its config says too little (imported runs)."""
    try:
        return Flops.from_config(manifest["model_config"])
    except UserError:
        return None


def summary(run: Run) -> str:
    """Accuracy by budget and n with intervals, for the terminal, and where the report is."""
    config = run.manifest["config"]
    lines = []
    for selector in config["selectors"]:
        grid = run.cells[run.cells["selector"] == selector]
        counts = sorted(grid["n"].unique())
        lines.append(
            f"{run.manifest['model']}: accuracy in % by thinking budget and n ({selector}), "
            f"{len(run.manifest['problems'])} problems, 95 % intervals"
        )
        lines.append(
            f"{'budget':>14} {'thinking':>9} " + " ".join(f"{'n = ' + str(n):>18}" for n in counts)
        )
        levels = (grid["setting"] + " " + grid["budget"].astype("string").fillna("")).str.strip()
        for level, row in grid.groupby(levels, sort=False):
            tokens = row.loc[row["n"] == counts[0], "thinking_tokens"].iloc[0] / counts[0]
            cells = {int(c["n"]): _cell(c) for c in row.to_dict("records")}
            lines.append(
                f"{level:>14} {tokens:>9.1f} "
                + " ".join(f"{cells.get(int(n), '-'):>18}" for n in counts)
            )
        lines.append("")
    if "verdict" in run.scores:
        verdicts = run.scores["verdict"].value_counts()
        lines.append(
            "verdicts: " + ", ".join(f"{count:,} {name}" for name, count in verdicts.items())
        )
    lines.append(f"report: {run.path / 'report'}")
    return "\n".join(lines)


def _cell(cell: Mapping[Any, Any]) -> str:
    """A cell of the summary in percent; one problem has no interval."""
    ends = [f"{100 * end:5.1f}" if end == end else f"{'-':>5}" for end in (cell["lo"], cell["hi"])]
    return f"{100 * cell['value']:5.1f} [{','.join(ends)}]"
