"""The commands `testtime import ...` and `testtime export ...`: other tools' results in, ours
out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testtime.cli.options import Columns, RunDir, columns
from testtime.labels import counted

importing = typer.Typer(
    no_args_is_help=True, help="Make a run directory of another tool's results."
)
exporting = typer.Typer(no_args_is_help=True, help="Write a run's results for other tools.")
Out = Annotated[str, typer.Option(help="The folder to write; the run is OUT/TASK/MODEL.")]
Folder = Annotated[Path, typer.Argument(help="The folder to write.")]


@importing.command("lm-eval")
def import_lm_eval(
    folder: Annotated[Path, typer.Argument(help="What lm-eval --log_samples wrote.")],
    out: Out = "runs",
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="The score; default: the task's first metric.")
    ] = None,
    filter_name: Annotated[
        str | None, typer.Option("--filter", help="Default: the task's first filter.")
    ] = None,
) -> None:
    """Logs of lm-evaluation-harness: results_*.json and samples_*.jsonl, one run a task.

    Example: testtime import lm-eval output/my-model
    """
    from testtime import importers

    for found in importers.import_lm_eval(
        folder, out, task=task, metric=metric, filter_name=filter_name
    ):
        _imported(found)


@importing.command("inspect")
def import_inspect(
    logs: Annotated[
        list[Path], typer.Argument(help=".eval or .json logs of one task.", metavar="LOG...")
    ],
    out: Out = "runs",
    scorer: Annotated[str | None, typer.Option(help="Default: the log's first scorer.")] = None,
) -> None:
    """Logs of Inspect; several of one task (one a reasoning effort, say) become one run.

    Example: testtime import inspect logs/2025-05-12_gsm8k.eval
    """
    from testtime import importers

    _imported(importers.import_inspect(logs, out, scorer=scorer))


@importing.command("csv")
def import_csv(
    table: Annotated[
        Path, typer.Argument(help="CSV, Parquet or JSON lines with problem_id, sample, score.")
    ],
    out: Out = "runs",
    column: Columns = None,
    task: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the table names none.")] = None,
    selector: Annotated[
        list[str] | None, typer.Option(help="majority, oracle, weighted:COLUMN, best:COLUMN.")
    ] = None,
) -> None:
    """Any table of scores; see the README for its columns.

    Example: testtime import csv scores.csv --column problem_id=question_id --selector best:reward
    """
    from testtime import importers

    named = columns(column)
    _imported(
        importers.import_csv(table, out, columns=named, task=task, model=model, selectors=selector)
    )


@exporting.command("tidy")
def export_tidy(run: RunDir, folder: Folder) -> None:
    """Scores and cells as Parquet and CSV.

    Example: testtime export tidy runs/quickstart/quickstart export/tidy
    """
    from testtime import exporters
    from testtime.runs.run import load

    wrote(exporters.export_tidy(load(run), folder))


@exporting.command("hub")
def export_hub(run: RunDir, folder: Folder) -> None:
    """A Hugging Face data set folder with its card: leaderboard, figure, columns.

    Example: testtime export hub runs/quickstart/quickstart export/hub
    """
    from testtime import exporters
    from testtime.runs.run import load

    wrote(exporters.export_hub(load(run), folder))


@exporting.command("eval-results")
def export_eval_results(
    run: RunDir,
    folder: Folder,
    dataset: Annotated[
        str | None, typer.Option(help="The benchmark on the hub; default: the task's own.")
    ] = None,
    task_id: Annotated[str, typer.Option(help="Its task or leaderboard.")] = "default",
) -> None:
    """A model's results for its page on the Hugging Face hub: .eval_results/*.yaml, one a level.

    Example: testtime export eval-results runs/aime/my-model export --task-id aime_2026
    """
    from testtime import exporters
    from testtime.runs.run import load

    wrote(exporters.export_eval_results(load(run), folder, dataset=dataset, task_id=task_id))


@exporting.command("inspect")
def export_inspect(run: RunDir, folder: Folder) -> None:
    """Inspect's JSON logs, one a budget.

    Example: testtime export inspect runs/quickstart/quickstart export/inspect
    """
    from testtime import exporters
    from testtime.runs.run import load

    wrote(exporters.export_inspect(load(run), folder))


@exporting.command("every-eval-ever")
def export_every_eval_ever(
    run: RunDir,
    folder: Folder,
    organization: Annotated[str, typer.Option(help="Who ran the evaluation.")] = "unknown",
    developer: Annotated[
        str | None, typer.Option(help="Who made the model; default: OWNER of OWNER/MODEL.")
    ] = None,
) -> None:
    """Records of Every Eval Ever 0.3.0: every cell with its interval, every sample with its tokens.

    Example: testtime export every-eval-ever runs/quickstart/quickstart export
    """
    from testtime import exporters
    from testtime.runs.run import load

    wrote(
        exporters.export_every_eval_ever(
            load(run), folder, organization=organization, developer=developer
        )
    )


@exporting.command("wandb")
def export_wandb(run: RunDir, folder: Folder) -> None:
    """An offline run of Weights & Biases: cells and figures (install testtime[wandb]).

    Example: testtime export wandb runs/quickstart/quickstart export && wandb sync export/wandb/*
    """
    from testtime import exporters
    from testtime.runs.run import load

    wrote(exporters.export_wandb(load(run), folder))


@exporting.command("mlflow")
def export_mlflow(run: RunDir, folder: Folder) -> None:
    """A run in a local MLflow store: cells and figures (install testtime[mlflow]).

    Example: testtime export mlflow runs/quickstart/quickstart export
    """
    from testtime import exporters
    from testtime.runs.run import load

    wrote(exporters.export_mlflow(load(run), folder))


def _imported(result: object) -> None:
    from testtime.runs.run import Run

    assert isinstance(result, Run)
    imported = result.manifest.imported
    assert imported is not None
    typer.echo(f"imported {len(result.scores):,} scored samples into {result.path}")
    for note in imported.notes:
        typer.echo(f"  {note}")
    if left_out := result.manifest.left_out:
        typer.echo(f"  left out: {counted(len(left_out), 'problem')}, such as {left_out[0]}")
    for entry in imported.printed:
        typer.echo(
            f"  {entry['metric']}: {entry['printed']:.6g} in the log, {entry['here']:.6g} here"
        )


def wrote(paths: list[Path]) -> None:
    """Say what was written."""
    for path in paths:
        typer.echo(str(path))
