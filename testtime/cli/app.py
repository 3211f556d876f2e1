"""The commands: each a few lines that call one function of the package.

Heavy imports happen inside the commands, so that `testtime --help` answers at once. What a user can
mend ends with one line and exit code 2.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

import testtime
from testtime.cli.laws import laws
from testtime.cli.look import look
from testtime.cli.options import Columns, Figure, Json, Models, Price, Rate, RunDir, Settings
from testtime.cli.stored import stored
from testtime.cli.transfer import exporting, importing, wrote
from testtime.errors import UserError

# Until vLLM has set up its logging, its warnings would go to the screen unasked; here, because the
# processes that it spawns import this file too.
logging.getLogger("vllm").addHandler(logging.NullHandler())

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="What does test-time compute buy? Accuracy against thinking budgets, samples and model "
    "size, with intervals.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"testtime {testtime.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


app.add_typer(look)
app.add_typer(stored)


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A run's YAML.")],
    settings: Settings = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many problems of each task.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show a prompt and the plan.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draw, grade and evaluate a config; resumes or extends what is already there.

    Example: testtime run configs/quickstart.yaml --set samples=32
    """
    from testtime import pipeline
    from testtime.cli.progress import for_terminal

    asked = config, settings or (), for_terminal(), limit
    if dry_run:
        typer.echo(pipeline.dry_run(*asked))
        return
    drawn = pipeline.run(*asked)
    for result in drawn:
        _show(result, as_json)
    if not as_json:
        every = " ".join(str(result.path) for result in drawn)
        typer.echo(f"next: testtime compare {every}\n      testtime show {drawn[0].path}")


@app.command()
def grade(run: RunDir, as_json: Json = False) -> None:
    """Grade what has no verdict of the current grader, and make the tables and the report again.

    Example: testtime grade runs/quickstart/quickstart
    """
    from testtime import pipeline
    from testtime.cli.progress import for_terminal

    _show(pipeline.grade(run, for_terminal()), as_json)


@app.command()
def reward(
    run: RunDir,
    model: Annotated[
        Path,
        typer.Argument(
            help="Of the zoo (prm), or a folder: a classification head, or a process reward model "
            "(--over last)."
        ),
    ],
    name: Annotated[str, typer.Option(help="The column, as in best:NAME.")] = "reward",
    over: Annotated[
        str, typer.Option(help="text, or how the scores of steps are joined: product, min, last.")
    ] = "text",
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    as_json: Json = False,
) -> None:
    """Score a run's answers by a reward model; best:NAME and weighted:NAME join the selectors.

    The next `testtime run` takes its config's selectors again: list them there too. The scores
    themselves stay.

    Example: testtime reward runs/quickstart/quickstart path/to/reward-model
    """
    from typing import Any, cast

    from testtime import pipeline

    _show(pipeline.reward(run, model, name, cast(Any, over), cast(Any, engine)), as_json)


@app.command()
def verify(
    run: RunDir,
    times: Annotated[int, typer.Option(min=1, help="Verifications of each answer.")] = 1,
    budget: Annotated[int, typer.Option(min=0, help="Thinking tokens of each.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Who verifies.", show_default="the run's own model")
    ] = None,
    ask: Annotated[
        str, typer.Option(help="The user's turn behind the attempt.")
    ] = "Is this answer right? Reply with yes or no.",
    lead: Annotated[str, typer.Option(help="Text fed between thinking and label.")] = "",
    labels: Annotated[str, typer.Option(help="What says right and wrong.")] = "yes,no",
    name: Annotated[str, typer.Option(help="The columns, as in weighted:NAME_4.")] = "verify",
    as_json: Json = False,
) -> None:
    """A model says whether each answer is right, several times; S samples under weighted:NAME_v
    are the grid of solving against verifying.

    Example: testtime verify runs/quickstart/quickstart --times 4 --budget 64
    """
    from testtime import pipeline
    from testtime.cli.progress import for_terminal
    from testtime.runs.summary import splits
    from testtime.runs.verify import Asked

    right, _, wrong = labels.partition(",")
    asked = Asked(model, ask, budget, lead, (right, wrong))
    verified = pipeline.verify(run, name, times, asked, for_terminal())
    _show(verified, as_json)
    if not as_json:
        typer.echo(splits(verified, name))


@app.command()
def choose(
    run: RunDir,
    k: Annotated[int, typer.Option(min=2, help="Answers shown together.")] = 4,
    subsets: Annotated[
        int, typer.Option(min=2, help="Choices drawn for each problem and budget.")
    ] = 8,
    budget: Annotated[int, typer.Option(min=0, help="Thinking tokens of each.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Who chooses.", show_default="the run's own model")
    ] = None,
    ask: Annotated[
        str | None, typer.Option(help="What is asked behind the answers.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="The columns, as in genselect:NAME_4.")] = "choice",
    as_json: Json = False,
) -> None:
    """GenSelect: a model is shown k answers to a problem together and takes one; its cells pay for
    the k answers and for the choice.

    Example: testtime choose runs/quickstart/quickstart --k 4
    """
    from testtime import pipeline
    from testtime.cli.progress import for_terminal
    from testtime.runs.choose import Chooser

    chooser = Chooser(model, ask or Chooser.ask, budget)
    _show(pipeline.choose(run, name, k, subsets, chooser, for_terminal()), as_json)


@app.command()
def report(
    runs: Annotated[
        list[str], typer.Argument(help="One run directory or several.", metavar="RUN...")
    ],
    out: Annotated[
        str | None, typer.Option(help="The folder to write; default: report in the run's folder.")
    ] = None,
    price: Price = None,
    rate: Rate = None,
) -> None:
    """Write one HTML page on a run, or on several together, with every figure and table as files.

    Example: testtime report runs/quickstart/quickstart
    """
    from testtime import pages
    from testtime.cli import options as cli_options

    paths = cli_options.without_reports(runs)
    typer.echo(f"report: {pages.write_report(paths, out, *cli_options.costs(price, rate))}")


@app.command()
def compare(
    runs: Annotated[
        list[str], typer.Argument(help="Run directories, or scores tables (CSV, Parquet).")
    ],
    column: Columns = None,
    model: Models = None,
    axis: Annotated[
        str | None,
        typer.Option(
            help="tokens, flops, usd, seconds, or n (samples).",
            show_default="flops, else the first that is known",
        ),
    ] = None,
    selector: Annotated[
        list[str] | None,
        typer.Option(
            help="majority, oracle, weighted:SCORE, best:SCORE.", show_default="the runs' own"
        ),
    ] = None,
    bins: Annotated[
        int, typer.Option(help="Difficulty bins by each model's own pass rate; 0 for none.")
    ] = 3,
    difficulty: Annotated[
        str | None, typer.Option(help="A column that states the difficulty instead.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Best setting under tokens=2000, usd=0.01, latency=500."),
    ] = None,
    price: Price = None,
    rate: Rate = None,
    tolerance: Annotated[
        float, typer.Option(help="Points that the cheapest good setting may lose.")
    ] = 1.0,
    figure: Figure = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write tables (CSV), text and figure into a folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Think longer, sample more, or take another model? Best settings, crossovers and paired
    differences.

    Example: testtime compare runs/ladder/* --limit latency=100 --figure ladder.png
    """
    from testtime import api
    from testtime.cli import options as cli_options
    from testtime.report import comparison as drawing

    cli_options.drawable(figure)
    prices, rates = cli_options.costs(price, rate)
    compared = api.compare(
        *cli_options.without_reports(runs),
        columns=cli_options.columns(column),
        models=model,
        selectors=selector,
        prices=prices,
        rates=rates,
        axis=axis,
        bins=bins,
        difficulty=difficulty,
        tolerance=tolerance / 100,
        limits=cli_options.amounts(limit or (), "--limit"),
    )
    typer.echo(compared.to_json() if as_json else str(compared))
    if figure:
        compared.figure(figure)
    if out:
        wrote(drawing.write(compared, out))


app.add_typer(laws, name="laws")
app.add_typer(importing, name="import")
app.add_typer(exporting, name="export")


def _show(result: object, as_json: bool) -> None:
    from testtime.runs.run import Run
    from testtime.runs.summary import summary

    assert isinstance(result, Run)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "path": str(result.path),
                    "cells": json.loads(result.cells.to_json(orient="records")),
                }
            )
        )
    else:
        typer.echo(summary(result))


def quiet() -> None:
    """What libraries warn their developers of is not for a person's screen, here and in the
    processes that engines start; PYTHONWARNINGS or `python -W` bring it back.
    """
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", category=FutureWarning)
        tracker = "ignore::UserWarning:multiprocessing.resource_tracker"  # vLLM's, at its end
        os.environ["PYTHONWARNINGS"] = f"ignore::FutureWarning,{tracker}"


def main() -> None:
    """The entry point: UserError becomes one line and exit code 2, an interrupt says how to go
    on.
    """
    quiet()
    try:
        app()
    except UserError as error:
        print(f"testtime: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # what Typer makes of an interrupt
            print("testtime: stopped; run the same command again to resume", file=sys.stderr)
        raise
