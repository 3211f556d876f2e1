"""What `import testtime` offers: the questions of the command line as functions.

They take runs as `run` and `load` return them, run directories, tables as files (CSV, Parquet, JSON
lines) or pandas tables of scores. Nothing is imported before the first use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime import pages
from testtime.compare import comparison, inputs, result, text
from testtime.config.schema import Config, Prices, Rates
from testtime.laws import study
from testtime.laws.study import TesttimeStudy
from testtime.report import comparison as drawing
from testtime.report import headline, leaderboard, results
from testtime.runs import run as runs
from testtime.runs import sources
from testtime.runs.progress import Progress
from testtime.style import context

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    Scores = str | Path | runs.Run | pd.DataFrame


class Run(runs.Run):
    """A run directory as pandas tables: `scores`, one row an attempt, and `cells`, one row a
    setting, budget, n and selector, with intervals and costs. A notebook shows its leaderboard.
    """

    def plot(self, axis: str | None = None) -> Figure:
        """Accuracy against compute: a line for each n of one model, all models together where there
        are several. axis: flops, tokens, usd or seconds (None: the first that is known). Raises
        UserError where the run does not hold it.
        """
        with context():
            figure: Figure = headline.chart(self, axis).figure
        return figure

    def _repr_html_(self) -> str:
        head, lines = leaderboard.cells(leaderboard.board(results.of(self)))
        rows = "".join(f"<tr>{_cells('td', line)}</tr>" for line in lines)
        return f"<table><thead><tr>{_cells('th', head)}</tr></thead><tbody>{rows}</tbody></table>"


class Comparison(result.Comparison):
    """What `compare` found: `tables` as pandas tables; printed, it is the report."""

    def __str__(self) -> str:
        return text.describe(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def figure(self, path: str | Path | None = None) -> Figure:
        """Every model's frontier, and where longer beats more; also written to a .png, .svg or
        .pdf file. Raises UserError for another suffix, or where it cannot be written.
        """
        figure: Figure = drawing.figure(self, path).figure
        return figure


def _cells(tag: str, words: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(word)}</{tag}>" for word in words)


def run(
    config: Config[Any] | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    limit: int | None = None,
) -> list[Run]:
    """Draw, grade and evaluate a config; one Run for each of its models. Resumes what is already
    there.

    config: a YAML path, or plain data of the same form; overrides: `key=value` as for `--set`;
    limit: only so many problems of each task. Raises UserError for anything a user can mend.
    """
    from testtime import pipeline

    return [_shown(one) for one in pipeline.run(config, overrides, progress, limit)]


def plan(
    config: Config[Any] | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()
) -> str:
    """What a config's runs take, and what they will be able to tell apart; draws nothing."""
    from testtime import pipeline

    return pipeline.plan(config, overrides)


def load(path: str | Path) -> Run:
    """The tables of a run directory. Raises UserError when there is no run, or one without tables
    yet.
    """
    return _shown(runs.load(path))


def compare(
    *given: Scores,
    columns: Mapping[str, str] | None = None,
    models: Sequence[str] | None = None,
    selectors: Sequence[str] | None = None,
    prices: Prices | None = None,
    rates: Rates | None = None,
    **options: Any,
) -> Comparison:
    """Longer, more, or another model: runs and tables compared on the problems they share.

    columns: ours -> a table's name for it; models: only these, by name or pattern; selectors: by
    default those that the runs were given; prices, rates: for the axes in dollars and seconds;
    options: of `testtime.compare.comparison.compare`. Raises UserError for what cannot be
    compared.
    """
    read = sources.read(given, columns, models)
    tables = inputs.priced(read, prices, rates)
    found = comparison.compare(tables, selectors=selectors or inputs.selectors(read), **options)
    understood = [f"{source.name}: {note}" for source in read for note in source.notes]
    return Comparison(**{**vars(found), "notes": [*understood, *found.notes]})


def laws(
    given: Scores,
    *,
    columns: Mapping[str, str] | None = None,
    models: Sequence[str] | None = None,
    axis: str | None = None,
) -> TesttimeStudy:
    """Laws of accuracy against test compute: of a run, or of a table of scores or cells.

    axis: flops, tokens, thinking_tokens, usd, seconds, budget or n. The result has `.report()`,
    `.figure(path)` and `.curves`. Training runs are fitted by `testtime.laws.pretraining`. Raises
    UserError for a table that is neither, and where no curve has two points.
    """
    table, name = sources.numbers(given, columns, models)
    return replace(study.testtime(table, axis=axis), source=name)


def report(*given: str | Path | runs.Run, folder: str | Path | None = None) -> Path:
    """One HTML page on some runs, with every figure and table as files; returns its path. folder:
    default `report` in the run's own.
    """
    paths = [one.path if isinstance(one, runs.Run) else one for one in given]
    return pages.write_report(paths, folder)


def _shown(of: runs.Run) -> Run:
    return Run(of.path, of.manifest, of.scores, of.cells)
