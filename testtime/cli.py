"""The commands: each a few lines that call one function of the package.

Heavy imports happen inside the commands, so that `testtime --help` answers at once. What a user can mend ends with
one line and exit code 2.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from testtime.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="What does test-time compute buy? Accuracy against thinking budgets, samples and model size, with intervals.",
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
RunDir = Annotated[Path, typer.Argument(help="A run directory, such as runs/quickstart/quickstart.")]


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A run's YAML.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: --set samples=32", metavar="KEY=VALUE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw, grade and evaluate a config; resumes or extends what is already there.

    Example: testtime run configs/quickstart.yaml --set samples=32
    """
    from testtime import pipeline
    from testtime.progress import for_terminal

    for result in pipeline.run(config, settings or (), for_terminal()):
        _show(result, as_json)


@app.command()
def grade(run: RunDir, as_json: Json = False) -> None:
    """Grade what has no verdict of the current grader, and make the tables and the report again.

    Example: testtime grade runs/quickstart/quickstart
    """
    from testtime import pipeline
    from testtime.progress import for_terminal

    _show(pipeline.grade(run, for_terminal()), as_json)


@app.command()
def report(run: RunDir) -> None:
    """Write the report of a run from its tables.

    Example: testtime report runs/quickstart/quickstart
    """
    from testtime import pipeline
    from testtime import report as reports

    result = pipeline.load(run)
    reports.write(result)
    typer.echo(f"report: {result.path / 'report'}")


@app.command()
def status(run: RunDir, as_json: Json = False) -> None:
    """How far a run is: chains and answers drawn, verdicts, tokens spent.

    Example: testtime status runs/quickstart/quickstart
    """
    from testtime import status as statuses

    found = statuses.status(run)
    typer.echo(json.dumps(found) if as_json else statuses.describe(found))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Which engines can run here, and what is missing for the others.

    Example: testtime doctor
    """
    from testtime.engines import doctor as doctors

    found = doctors.check()
    typer.echo(json.dumps(found) if as_json else doctors.describe(found))


def _show(result: object, as_json: bool) -> None:
    from testtime.pipeline import Run, summary

    assert isinstance(result, Run)
    if as_json:
        typer.echo(json.dumps({"path": str(result.path), "cells": json.loads(result.cells.to_json(orient="records"))}))
    else:
        typer.echo(summary(result))


def main() -> None:
    """The entry point: UserError becomes one line and exit code 2, an interrupt says how to go on."""
    try:
        app()
    except UserError as error:
        print(f"testtime: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("testtime: stopped; run the same command again to resume", file=sys.stderr)
        sys.exit(130)
