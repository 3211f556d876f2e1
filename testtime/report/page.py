"""One self-contained HTML file, and every figure and table beside it as files.

With many models the page is their leaderboard, and each has a page of its own, opened by a click.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime import labels, style
from testtime.errors import UserError, suggest
from testtime.labels import AXES
from testtime.report import (
    calls,
    chains,
    coverage,
    curves,
    differences,
    findings,
    grids,
    health,
    laws,
    leaders,
    results,
    training,
)
from testtime.report import leaderboard as boards
from testtime.report.browser import browser, verdicts
from testtime.report.embedded import Browser
from testtime.report.html import markup, render
from testtime.report.results import Results
from testtime.report.svg import NAMES, inline, to_files
from testtime.runs.run import Run
from testtime.storage import sheets
from testtime.storage.files import into
from testtime.style import Chart

if TYPE_CHECKING:
    import pandas as pd

MANY = 12  # models; more have pages of their own, without figures


@dataclass(frozen=True)
class Section:
    """A part of the page for one model: its figures are drawn by `draw`, each of which may say
    None.
    """

    key: str
    title: str
    lead: str
    draw: Callable[[Results], list[Chart | None]]


SECTIONS = (
    Section(
        "grid",
        "Think longer, or sample more?",
        "The whole grid of budgets and sample counts, read off one pool of chains, and who gains "
        "from thinking.",
        lambda r: [
            grids.longer_or_more(r, r.axis) if r.axis else None,
            *(grids.heat_map(r, s) for s in r.selectors if len(r.levels) > 1 or len(r.counts) > 1),
            coverage.by_difficulty(r),
        ],
    ),
    Section(
        "coverage",
        "The gap a better verifier could close",
        "Coverage (pass@n) counts a problem as solved if any of n samples is right. No selector "
        "that people can use reaches it.",
        lambda r: [coverage.coverage(r)],
    ),
    Section(
        "chains",
        "Where the tokens go",
        "How long the model thinks when nobody stops it, how often each budget stops it, and what "
        "becomes of the answers.",
        lambda r: [
            chains.lengths(r),
            chains.forced_share(r),
            chains.forced_accuracy(r),
            chains.verdicts(r),
        ],
    ),
)


def write(runs: Sequence[Run], folder: Path, models: Sequence[str] | None = None) -> Path:
    """Write index.html, figures/ and tables/ into `folder`; returns the page's path.

    models: only these. Raises UserError where it cannot be written, and for a model that no run
    has.
    """
    known = {str(m) for run in runs for m in run.cells["model"].unique()}
    for name in models or ():
        if name not in known:
            raise UserError(f"report: no model {name!r} in these runs{suggest(name, known)}")
    every = [part for run in runs for part in results.of(run, models)]
    if not every:
        raise UserError(f"{folder}: the runs hold no cells, so there is nothing to report")
    with into(folder, "another folder with --out"), style.context():
        return _Page(every, folder).write()


class _Page:
    """The page being assembled: figures go to files as they are drawn, and their SVG into the
    page.
    """

    def __init__(self, models: list[Results], folder: Path) -> None:
        self.models, self.folder = models, folder
        self.names = results.names(models)
        self.keys = _keys(self.names)
        self.many = len(models) > MANY

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        several = len(self.models) > 1
        settings = [differences.settings(one, not self.many) for one in self.models]
        shares = differences.shares(settings, self.names)
        pairs = differences.pairs(shares)
        page: dict[str, Any] = {
            "title": self._title(),
            "dek": self._dek(),
            "differences": len(pairs) > 1,
            "board": self._board(),
            "together": self._together() if several and not self.many else None,
            "training": None if self.many else self._training(),
            "models": [],
            "home": None,
        }
        self._write_csv(differences.flat(shares), "problems", "")
        shown: dict[str, Browser] = {}
        beside = 1 if self.many else len(self.models)
        every = zip(self.keys, self.models, self.names, settings, strict=True)
        for key, one, name, own in every:
            shown[key] = browser(one, name, beside, own)
            parts = self._model(key, one, shown[key])
            if self.many:
                self._alone(page, parts, shown[key])
                shown[key] = verdicts(one, name, own)
            else:
                page["models"].append(parts)
        return render(page, self.folder / "index.html", shown, pairs)

    def _alone(self, page: dict[str, Any], parts: dict[str, Any], shown: Browser) -> None:
        """The page of one of many models."""
        (self.folder / "models").mkdir(exist_ok=True)
        told = {"title": shown.name, "dek": parts["measure"], "home": "../index.html"}
        own = {**page, **told, "board": None, "differences": False, "models": [parts]}
        path = self.folder / "models" / f"{parts['key']}.html"
        render(own, path, {parts["key"]: shown}, [])

    def _title(self) -> str:
        named = (str(t["name"]) for t in self.models[0].run.manifest.config["task"])
        tasks = ", ".join(Path(name).stem if name.endswith(".yaml") else name for name in named)
        distinct = len({one.model for one in self.models})
        name = labels.short_model(self.models[0].model) if distinct == 1 else f"{distinct} models"
        return f"What test compute buys: {name} on {tasks}"

    def _dek(self) -> str:
        if len(self.models) == 1:
            return _measure(self.models[0])
        entries = labels.counted(len(self.models), "model")
        most = max(one.problems for one in self.models)
        told = "" if self.many else f": {', '.join(self.names)}"
        return f"{entries}, {labels.counted(most, 'problem')}{told}."

    def _board(self) -> dict[str, Any] | None:
        """The leaderboard: its figure and its sortable table; None for one model of one setting."""
        rows = boards.board(self.models)
        if len(rows) < 2:
            return None
        columns, lines = boards.cells(rows)
        keys = dict(zip(self.names, self.keys, strict=True))
        axis = leaders.axis_of(rows) if len(self.models) > 1 else None
        (self.folder / "tables").mkdir(exist_ok=True)
        sheets.write(rows.drop(columns=["order"]), self.folder / "tables" / "leaderboard.csv")
        targets = [f"models/{k}.html" if self.many else f"#model={k}" for k in keys.values()]
        links = dict(zip(self.names, targets, strict=True))
        sorts = boards.sort_keys(rows, columns)
        return {
            "charts": [self._chart(leaders.figure(rows, axis), "")] if axis else [],
            "columns": columns,
            "rows": [
                (links[model], list(zip(line, sort, strict=True)))
                for model, line, sort in zip(rows["model"], lines, sorts, strict=True)
            ],
            "link": len(self.models) > 1,
        }

    def _model(self, key: str, one: Results, shown: Browser) -> dict[str, Any]:
        law = laws.fitted(one, one.axis) if one.axis and not self.many else None
        asked = laws.requested(one, law)
        drawn = [
            (axis, curves.accuracy(one, axis, laws.drawn(law) if axis == one.axis else None))
            for axis in (() if self.many else one.axes)
        ]
        if not one.axes:
            one.left_out["accuracy against compute"] = (
                "the scores table has no tokens, FLOPs, dollars or seconds"
            )
        missing = [(labels.axis(a).unit, one.absent(a)) for a in AXES if a not in one.axes]
        one.left_out |= {f"compute in {unit}": why for unit, why in missing}
        sections: list[dict[str, Any]] = []
        for part in () if self.many else SECTIONS:
            charts = [self._chart(c, key) for c in part.draw(one) if c is not None]
            if charts:
                told = {"key": part.key, "title": part.title, "lead": part.lead}
                sections.append({**told, "charts": charts, "tables": []})
        if (bought := calls.table(one)).rows:
            told = {"key": "calls", "title": "What a call buys", "lead": calls.LEAD}
            sections.append({**told, "charts": [], "tables": [bought]})
        tables = health.tables(one)
        for table in (*tables, *([bought] if bought.rows else [])):
            self._csv(table, key)
        lead = "What was asked for, what happened, and what it cost."
        told = {"key": "health", "title": "Run health", "lead": lead}
        sections.append({**told, "charts": [], "tables": tables})
        return {
            "key": key,
            "findings": findings.findings(one),
            "warnings": findings.warnings(one) + laws.warnings(law),
            "accuracy": [{**self._chart(c, key), "value": axis} for axis, c in drawn],
            "options": [(a, labels.axis(a).unit) for a in one.axes],
            "unavailable": missing,
            "requested": [self._chart(curves.requested(asked), key)] if asked else [],
            "law": laws.findings(law, one.axis) + (laws.against_requested(asked) if asked else []),
            "sections": sections,
            "left_out": one.left_out,
            "measure": _measure(one),
            "lead": shown.lead,
        }

    def _together(self) -> dict[str, Any]:
        axes = [a for a in AXES if all(a in one.axes for one in self.models)]
        why = {a: next((o.absent(a) for o in self.models if a not in o.axes), "") for a in AXES}
        drawn = [(a, curves.models(self.models, a)) for a in axes]
        return {
            "charts": [{**self._chart(chart, ""), "value": a} for a, chart in drawn],
            "options": [(a, labels.axis(a).unit) for a in axes],
            "unavailable": [(labels.axis(a).unit, why[a]) for a in AXES if a not in axes],
            "models": list(zip(self.keys, self.names, strict=True)),
        }

    def _training(self) -> dict[str, Any]:
        part = training.section(self.models)
        tables = []
        if part.rows:
            columns = (
                "model",
                "parameters without embeddings",
                "training tokens",
                "training FLOPs",
                "held-out loss",
            )
            tables.append(health.Table("training", "Where these models stand", columns, part.rows))
            self._csv(tables[0], "")
        lead = "What the same accuracy costs when it is trained rather than thought."
        charts = [self._chart(c, "") for c in part.charts]
        return {"lead": lead, "charts": charts, "tables": tables, "omitted": part.omitted}

    def _chart(self, chart: Chart, key: str) -> dict[str, Any]:
        """Save a figure's files and hand the page what it shows."""
        sub = Path("figures") / (key if len(self.models) > 1 else "")
        svg = to_files(chart, self.folder / sub)
        prefix = f"{key}-{chart.name}" if key else chart.name
        drawn = inline(chart, svg, prefix)
        path = (sub / chart.name).as_posix()
        words = {"name": chart.name, "title": chart.title, "note": chart.note}
        legend = [(f"{prefix}-{gid}", NAMES[c], text) for gid, (text, c) in chart.legend.items()]
        return {**words, "svg": markup(drawn), "path": path, "legend": legend}

    def _csv(self, table: health.Table, key: str) -> None:
        import pandas as pd

        frame = pd.DataFrame(list(table.rows), columns=list(table.columns))
        self._write_csv(frame, table.name, key)

    def _write_csv(self, frame: pd.DataFrame, name: str, key: str) -> None:
        sub = self.folder / "tables" / (key if len(self.models) > 1 else "")
        sub.mkdir(parents=True, exist_ok=True)
        sheets.write(frame, sub / f"{name}.csv")


def _measure(one: Results) -> str:
    """`200 problems, 16 samples of each, 3 settings, 7 budgets.`"""
    settings = len({setting for setting, _ in one.levels})
    budgets = len({budget for _, budget in one.levels if budget == budget})
    counts = [
        labels.counted(one.problems, "problem"),
        f"{labels.counted(one.samples, 'sample')} of each",
        *([labels.counted(settings, "setting")] if settings > 1 or not budgets else []),
        *([labels.counted(budgets, "budget")] if budgets else []),
    ]
    return f"{', '.join(counts)}."


def _keys(names: Sequence[str]) -> list[str]:
    """A short name for each model that is safe in ids and file names."""
    keys: list[str] = []
    for name in names:
        key = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:] or "model"
        same = (f"{key}-{number}" for number in range(1, len(names) + 1))
        keys.append(next(k for k in (key, *same) if k not in keys))
    return keys
