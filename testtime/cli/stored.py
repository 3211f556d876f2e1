"""The commands that ask a stored pool, or any scores table, what it already says: no new token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testtime import labels
from testtime.cli.options import Columns, Models, columns, without_reports
from testtime.storage import sheets
from testtime.storage.files import into

if TYPE_CHECKING:
    import pandas as pd

stored = typer.Typer()
SHARES = f"{'tokens':>8} {'latency':>9} {'samples':>8}"
STOP_KEY = (
    "one by one: samples are drawn until the rule stops; launch and cancel: all n start at once, "
    "and those that still run are cancelled",
    "difference: points against drawing all n, simultaneous 95 % intervals; tokens truly generated "
    "and latency (the longest path in tokens): shares of what drawing all n takes, in the same "
    "deployment; samples: that the rule looked at",
)
Tables = Annotated[
    list[str], typer.Argument(help="Run directories, or scores tables (CSV, Parquet).")
]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write every column to this file.")]


@stored.command()
def doubling(
    tables: Tables,
    column: Columns = None,
    model: Models = None,
    selector: Annotated[str, typer.Option(help="What joins n samples.")] = "majority",
    run: Annotated[
        str | None, typer.Option(help="A column that tells runs of one level apart; pooled.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Points below which a gain counts as flat.")] = 1.0,
    csv: Csv = None,
) -> None:
    """What a doubling of tokens buys at every step along budgets, effort levels and n, and from
    where it is flat; of a run with tools, what a call buys. It works from two points and needs no
    law.

    Example: testtime doubling runs/quickstart/quickstart
    """
    from testtime.estimators.calls import call_buys
    from testtime.estimators.steps import between_runs, doubling_buys

    scores = _scores(tables, column, model)
    steps = doubling_buys(scores, selector=selector, run=run, margin=margin / 100)
    lines = [
        "points gained, and points a doubling of the tokens really spent (- where they hardly "
        "grow or are not known), each with its own 95 % interval"
    ]
    for (name, along), rows in steps.groupby(["model", "along"], sort=False):
        lines.append(f"{name}, along {along}")
        for row in rows.to_dict("records"):
            flat = f"; {row['from_here']} from here" if row["from_here"] else ""
            lines.append(
                f"  {row['from_']!s:>12} -> {row['to_']!s:<12} {100 * row['from_value']:5.1f} -> "
                f"{100 * row['to_value']:5.1f} %  {_points(row, 'gain')}  a doubling "
                f"{_points(row, 'per_doubling')}  {row['verdict']}{flat}"
            )
    lines.append("verdicts hold for all rows together, at most 5 % wrong")
    lines += _calls(call_buys(scores, selector=selector))
    typer.echo("\n".join(lines))
    if run is not None:
        typer.echo(between_runs(scores, run).to_string(index=False))
    _write(steps, csv)


@stored.command()
def stop(
    tables: Tables,
    column: Columns = None,
    model: Models = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="fixed, beta:LEVEL, dirichlet, esc:COUNT, share:SHARE, bar:COLUMN:BAR."),
    ] = None,
    n: Annotated[list[int] | None, typer.Option(help="The most samples a rule may draw.")] = None,
    csv: Csv = None,
) -> None:
    """What rules that stop sampling early lose and save against drawing all n, drawn one by one or
    launched together and cancelled.

    Example: testtime stop runs/quickstart/quickstart --rule beta:0.95 --rule esc:5
    """
    from testtime.estimators.deployments import stopped
    from testtime.estimators.rule_frontier import against_fixed

    rules = ["fixed", *(r for r in rule or ("beta", "dirichlet", "esc", "share") if r != "fixed")]
    result = stopped(_scores(tables, column, model), rules, n)
    against = against_fixed(result)
    lines = [*STOP_KEY]
    for (name, setting, budget), rows in against.groupby(
        ["model", "setting", "budget"], sort=False, dropna=False
    ):
        rows = rows[rows["n"] == rows["n"].max()]
        place = labels.level(labels.row_level({"setting": setting, "budget": budget}))
        lines.append(f"{name}, {place}, up to n = {rows['n'].max()}")
        lines.append(f"  {'rule':<16} {'drawn':<17} {'accuracy':>8} {'difference':>21} " + SHARES)
        lines += [f"  {_stopped(row)}" for row in rows.to_dict("records")]
    lines += _in_short(against[against["n"] == against["n"].max()])
    typer.echo("\n".join(lines))
    _write(result.table(), csv)


def _stopped(row: Mapping[Any, Any]) -> str:
    """A line of the table of rules."""
    return (
        f"{row['rule']:<16} {row['deployment']:<17} {100 * row['value']:6.1f} % "
        f"{_points(row, 'difference', 'lo', 'hi'):>21} {100 * row['tokens_share']:6.1f} % "
        f"{100 * row['latency_share']:7.1f} % {row['samples']:8.1f}"
    )


def _in_short(rows: pd.DataFrame) -> list[str]:
    """What to take away: of the most accurate setting, the rule that saves most without a loss that
    shows, and whether a loss of a point can be ruled out.
    """
    top = rows.iloc[int(rows["value"].to_numpy().argmax())]
    same = [rows[name].eq(top[name]) | rows[name].isna() for name in ("model", "setting", "budget")]
    rules = rows[same[0] & same[1] & same[2]].sort_values("tokens_share")
    place = f"{top['model']}, {labels.level(labels.row_level(top))}, up to n = {top['n']}"
    kinds = {
        "without a loss that shows": rules[rules["hi"] >= 0],
        "with a loss shown to be less than a point": rules[rules["lo"] > -0.01],
    }
    lines = [f"in short, where accuracy is highest ({place}):"]
    for what, found in kinds.items():
        told = "none"
        if len(found):
            best = found.iloc[0]
            told = (
                f"{best['rule']}, {best['deployment']}, {100 * best['tokens_share']:.1f} % of the "
                f"tokens, {labels.points(best['difference'], best['lo'], best['hi'])} points"
            )
        lines.append(f"  fewest tokens {what}: {told}")
    return lines


def _calls(steps: pd.DataFrame) -> list[str]:
    """What each further turn with tools buys; nothing where no setting has turns."""
    if steps.empty:
        return []
    lines = [
        "what a call buys: points, and points a turn that is allowed; intervals hold for all these "
        "rows together"
    ]
    for row in steps.to_dict("records"):
        level, how = labels.row_level(row), labels.selector(row["selector"], int(row["n"]))
        took = ", ".join(
            f"{row[name]:+.3g} {name}" for name in ("calls", "tokens") if row[name] == row[name]
        )
        lines.append(
            f"  {row['model']} {labels.level(level)}, {how}, turns {row['from_']} -> {row['to_']}: "
            f"{100 * row['from_value']:.1f} -> {100 * row['to_value']:.1f} % "
            f"{_points(row, 'gain')}  a turn {_points(row, 'per_call')}  {took}  {row['verdict']}"
        )
    return lines


def _points(row: Mapping[Any, Any], name: str, lo: str = "", hi: str = "") -> str:
    value, low, high = row[name], row[lo or f"{name}_lo"], row[hi or f"{name}_hi"]
    if value != value:
        return f"{'-':>20}"
    return f"{100 * value:+5.1f} [{100 * low:+5.1f}, {100 * high:+5.1f}]"


def _scores(tables: list[str], column: list[str] | None, model: list[str] | None) -> pd.DataFrame:
    """The scores of runs and tables as one; how tables were understood is said."""
    from testtime.runs import sources

    read = sources.read(without_reports(tables), columns(column), model)
    for source in read:
        for note in source.notes:
            typer.echo(f"{source.name}: {note}", err=True)
    return sources.stacked(read)


def _write(table: pd.DataFrame, path: Path | None) -> None:
    if path is None:
        return
    with into(path, "another file to --csv"):
        sheets.write(table, path)
    typer.echo(str(path))
