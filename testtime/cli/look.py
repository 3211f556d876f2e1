"""The commands that only look: at a run, at several in one table, at what comes with it all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from testtime.cli.options import (
    Columns,
    Figure,
    Json,
    Models,
    Price,
    Rate,
    RunDir,
    Settings,
    columns,
    costs,
    drawable,
    without_reports,
)

look = typer.Typer()


@look.command()
def show(
    run: RunDir,
    problem: Annotated[
        str | None, typer.Argument(help="A problem's id; none: list the problems.")
    ] = None,
    sample: Annotated[
        list[int] | None, typer.Option(help="Only this sample; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a problem: its question, the chains with their cuts, the answers and verdicts.

    Example: testtime show runs/quickstart/quickstart chain_sum/0/3 --sample 0
    """
    from testtime.runs import show as shows

    typer.echo(shows.show(run, problem, sample, as_json))


@look.command()
def status(run: RunDir, as_json: Json = False) -> None:
    """How far a run is: chains and answers drawn, verdicts, tokens spent.

    Example: testtime status runs/quickstart/quickstart
    """
    from testtime.runs import status as statuses

    found = statuses.status(run)
    typer.echo(json.dumps(found) if as_json else statuses.describe(found))


@look.command()
def watch(
    run: RunDir,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 10,
) -> None:
    """Follow a run while it draws, from another terminal: each cell's accuracy so far, until it is
    complete.

    Example: testtime watch runs/quickstart/quickstart
    """
    from testtime.runs import watch as watching

    def show(text: str) -> None:
        if sys.stdout.isatty():
            typer.echo("\x1b[2J\x1b[H", nl=False)  # from the top of an empty screen
        typer.echo(text)

    watching.watch(run, every, show)


@look.command()
def plan(
    config: Annotated[Path, typer.Argument(help="A run's YAML.")],
    settings: Settings = None,
) -> None:
    """What a run will take (chains, tokens, dollars, hours) and what it will be able to tell apart.

    Example: testtime plan configs/quickstart.yaml --set samples=32
    """
    from testtime import pipeline

    typer.echo(pipeline.plan(config, settings or ()))


@look.command()
def doctor(as_json: Json = False) -> None:
    """Which engines can run here, and what is missing for the others.

    Example: testtime doctor
    """
    from testtime.engines import doctor as doctors

    found = doctors.check()
    typer.echo(json.dumps(found) if as_json else doctors.describe(found))


@look.command()
def tasks(
    name: Annotated[
        str | None, typer.Argument(help="A benchmark or a YAML file; none: list them.")
    ] = None,
) -> None:
    """List the benchmarks that come with the package, or show one: a rendered prompt, its answer,
    its grader, and which of all golds that grader cannot use.

    Example: testtime tasks chain_sum
    """
    from testtime import tasks as benchmarks
    from testtime.runs.benchmark import benchmark

    typer.echo(benchmark(name) if name else "\n".join(benchmarks.names()))


@look.command()
def models(as_json: Json = False) -> None:
    """List the models that come with the package.

    Example: testtime models
    """
    from testtime import zoo

    typer.echo(json.dumps(zoo.names()) if as_json else "\n".join(zoo.names()))


@look.command()
def table(
    runs: Annotated[
        list[str],
        typer.Argument(help="Run directories, or scores tables (CSV, Parquet).", metavar="RUN..."),
    ],
    form: Annotated[
        str, typer.Option("--format", help="text, markdown, csv or latex (booktabs).")
    ] = "text",
    interval: Annotated[str, typer.Option(help="brackets, or pm for plus and minus.")] = "brackets",
    price: Price = None,
    rate: Rate = None,
    column: Columns = None,
    model: Models = None,
    figure: Figure = None,
) -> None:
    """One table of models, settings, n and selectors, best first, with intervals and costs; and
    their accuracy against cost as a figure.

    Example: testtime table runs/ladder/* --format markdown --figure board.png
    """
    from testtime import pages
    from testtime.errors import UserError

    if interval not in ("brackets", "pm"):
        raise UserError(f"--interval {interval}: write brackets or pm")
    kind = cast(Literal["brackets", "pm"], interval)
    drawable(figure)
    cost = costs(price, rate)
    told = pages.leaderboard(
        without_reports(runs), form, kind, *cost, columns(column), model, figure
    )
    typer.echo(told)
