"""The leaderboard: every model at every setting, best first, with its interval and what it costs.

A row is a setting that somebody can deploy: each level with one sample, and with the most samples
under each selector. The same rows make the page's sortable table and `testtime table`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from testtime import labels
from testtime.errors import UserError, suggest
from testtime.estimators.columns import matches
from testtime.report.results import Results, names, of
from testtime.runs.run import Run
from testtime.storage import sheets

if TYPE_CHECKING:
    import pandas as pd

Interval = Literal["brackets", "pm"]
COLUMNS = {  # of `board` -> what it is called
    "model": "model",
    "setting": "setting",
    "value": "accuracy, %",
    "problems": "problems",
    "n": "n",
    "selector": "selector",
    "tokens": "tokens",
    "usd": "$ per 1,000",
    "latency": "longest path, tokens",
}
COSTS = ("tokens", "usd", "latency")


def table(
    runs: Run | Sequence[Run], format: str = "text", *, interval: Interval = "brackets"
) -> str:
    """The leaderboard of runs. format: text, markdown, csv or latex (booktabs).

    interval: of Markdown, text and LaTeX: `48.1 [41.0, 55.2]`, or `48.1 ± 7.1`, half the interval's
    width; CSV has lo and hi in columns. Raises UserError for another format, and where runs hold no
    cells.
    """
    return said(of_runs(list(runs) if isinstance(runs, Sequence) else [runs]), format, interval)


def said(rows: pd.DataFrame, format: str = "text", interval: Interval = "brackets") -> str:
    """The same of rows of `board`."""
    if format not in FORMATS:
        raise UserError(f"table: no format {format!r}{suggest(format, FORMATS)}")
    return FORMATS[format](rows, interval)


def of_runs(runs: Sequence[Run], models: Sequence[str] | None = None) -> pd.DataFrame:
    """The board of some runs. models: only these, by name or pattern (`*gpt-5*`). Raises UserError
    for a pattern that meets none, and where runs hold no cells.
    """
    every = [one for run in runs for one in of(run)]
    names = [one.model for one in every]
    for pattern in models or ():
        if not any(matches(name, pattern) for name in names):
            raise UserError(f"--model {pattern}: there is none{suggest(pattern, names)}")
    rows = board([one for one in every if not models or any(matches(one.model, p) for p in models)])
    if rows.empty:
        raise UserError("table: the runs hold no cells")
    return rows


def board(every: Sequence[Results]) -> pd.DataFrame:
    """A row a model, setting, n and selector, best first.

    Columns: model, setting (words), n, selector, value, lo, hi, problems, tokens, flops, usd,
    latency (means a problem, NaN where unknown), level and order of the level within its model.
    """
    import pandas as pd

    parts = []
    for name, one in zip(names(every), every, strict=True):
        cells = one.cells[one.cells["selector"] != "oracle"]
        single = cells[(cells["n"] == 1) & (cells["selector"] == "mean")]
        more = cells[cells["n"] > 1]
        most = more[more["n"] == more.groupby("selector")["n"].transform("max")]
        part = pd.concat([single, most]).assign(model=name)
        levels = [labels.row_level(row) for row in part.to_dict("records")]
        order = {level: at for at, level in enumerate(map(labels.level, one.levels))}
        part["setting"] = [labels.level(level) for level in levels]
        part["order"] = [order.get(text, len(order)) for text in part["setting"]]
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=[*COLUMNS, "lo", "hi", "order"])
    rows = pd.concat(parts, ignore_index=True)
    for cost in ("flops", *COSTS):
        rows[cost] = rows[cost].astype(float) if cost in rows else math.nan
    kept = [*COLUMNS, "lo", "hi", "flops", "order"]
    return rows.sort_values("value", ascending=False, kind="stable")[kept].reset_index(drop=True)


def cells(rows: pd.DataFrame, interval: Interval = "brackets") -> tuple[list[str], list[list[str]]]:
    """Headings and words of a board; columns that nobody knows are left out, and one that is the
    same for all rows too.
    """
    shown = [c for c in COLUMNS if c not in COSTS or rows[c].notna().any()]
    if rows["problems"].nunique() == 1:
        shown.remove("problems")  # said once; else what a row is judged on
    if rows["selector"].nunique() == 1 and len(rows) > 1:
        shown.remove("selector")
    lines = [[_said(row, c, interval) for c in shown] for row in rows.to_dict("records")]
    return [COLUMNS[c] for c in shown], lines


def sort_keys(rows: pd.DataFrame, columns: Sequence[str]) -> list[list[Any]]:
    """What the page's table sorts by: numbers where the words stand for numbers, None for
    unknown.
    """
    back = {title: name for name, title in COLUMNS.items()}
    kept = [back[title] for title in columns]
    return [
        [row["order"] if c == "setting" else _plain(row[c]) for c in kept]
        for row in rows.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _said(row: dict[Any, Any], column: str, interval: Interval) -> str:
    value = row[column]
    if column == "selector":
        return labels.selector(str(value)) if row["n"] > 1 else labels.selector("mean")
    if column == "value":
        if interval == "brackets" or math.isnan(row["lo"]):
            return labels.brackets(value, row["lo"], row["hi"])
        return f"{labels.percent(value)} ± {labels.percent((row['hi'] - row['lo']) / 2)}"
    if column in COSTS:
        return labels.amount(value * labels.axis(column).scale)
    return str(value)


def _text(rows: pd.DataFrame, interval: Interval) -> str:
    head, lines = cells(rows, interval)
    wide = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    left = [title in ("model", "setting", "selector") for title in head]
    return "\n".join(
        "  ".join(
            word.ljust(width) if by_left else word.rjust(width)
            for word, width, by_left in zip(line, wide, left, strict=True)
        ).rstrip()
        for line in [head, *lines]
    )


def _markdown(rows: pd.DataFrame, interval: Interval) -> str:
    head, lines = cells(rows, interval)
    rule = ["---" if title in ("model", "setting", "selector") else "---:" for title in head]
    escaped = [[word.replace("|", r"\|") for word in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *escaped])


def _csv(rows: pd.DataFrame, interval: Interval) -> str:
    sink = io.StringIO()
    sheets.write(rows.drop(columns=["order"]), sink)
    return sink.getvalue().rstrip("\n")


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
}


def _latex(rows: pd.DataFrame, interval: Interval) -> str:
    head, lines = cells(rows, interval)
    columns = "".join("l" if title in ("model", "setting", "selector") else "r" for title in head)
    body = [
        " & ".join("".join(_LATEX.get(c, c) for c in word) for word in line) + r" \\"
        for line in [head, *lines]
    ]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


FORMATS: dict[str, Callable[[pd.DataFrame, Interval], str]] = {
    "text": _text,
    "markdown": _markdown,
    "csv": _csv,
    "latex": _latex,
}
