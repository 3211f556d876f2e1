"""What a call to a tool buys: a table of the page, for a run whose settings allow turns."""

from __future__ import annotations

from testtime import labels
from testtime.estimators.calls import call_buys
from testtime.report.health import Table
from testtime.report.results import Results

LEAD = (
    "Points gained by allowing more turns with tools, and points a turn that is allowed; all "
    "intervals hold together, at 95%. Beside it what the model really did with them: calls, tokens "
    "and seconds a problem more."
)


def table(results: Results) -> Table:
    """Every step along the turns; no rows where there are none."""
    steps = call_buys(results.graded, selector=results.selector)
    rows = []
    for row in steps.to_dict("records"):
        more = (row[name] for name in ("calls", "tokens", "seconds"))
        place = labels.level(labels.row_level(row), unit=True)
        rows.append(
            [
                f"{place}, {labels.selector(row['selector'], int(row['n']))}",
                f"{row['from_']} → {row['to_']}",
                f"{labels.percent(row['from_value'])} → {labels.percent(row['to_value'])}",
                *(
                    labels.points(*(row[f"{name}{end}"] for end in ("", "_lo", "_hi")))
                    for name in ("gain", "per_call")
                ),
                *map(labels.amount, more),
                row["verdict"],
            ]
        )
    columns = ("setting", "turns", "%", "points", "points a turn", "calls", "tokens", "seconds", "")
    return Table("calls", "What a call buys", columns, rows)
