"""One self-contained HTML file, and every figure and table beside it as files.

The template escapes everything; figures are the only markup that enters it ready made, and their
writer escapes too. A content security policy allows the page's own script by its hash and no
request at all, so that even an escape that failed would neither run nor call home.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.errors import UserError
from testtime.report import chains, curves, grids, health, laws, style, training
from testtime.report import coverage as ceiling
from testtime.report import findings as words
from testtime.report import results as evidence
from testtime.report.browser import browser
from testtime.report.results import Evidence
from testtime.report.style import SHORT, Plate
from testtime.report.svg import inline, to_files

if TYPE_CHECKING:
    from testtime.pipeline import Run


@dataclass(frozen=True)
class Section:
    """A part of the page for one model: its figures are drawn by `draw`, each of which may say
    None.
    """

    key: str
    title: str
    lead: str
    draw: Callable[[Evidence], list[Plate | None]]


SECTIONS = (
    Section(
        "grid",
        "Think longer, or sample more?",
        "The whole grid of budgets and sample counts, read off one pool of chains, and who gains "
        "from thinking.",
        lambda e: [
            grids.longer_or_more(e, e.axis) if e.axis else None,
            *(grids.heat_map(e, s) for s in e.selectors if len(e.levels) > 1 or len(e.counts) > 1),
            ceiling.by_difficulty(e),
        ],
    ),
    Section(
        "coverage",
        "The gap a better verifier could close",
        "Coverage (pass@n) counts a problem as solved if any of n samples is right. No selector "
        "that people can use"
        " reaches it.",
        lambda e: [ceiling.coverage(e)],
    ),
    Section(
        "chains",
        "Where the tokens go",
        "How long the model thinks when nobody stops it, how often each budget stops it, and what "
        "becomes of the"
        " answers.",
        lambda e: [
            chains.lengths(e),
            chains.forced_share(e),
            chains.forced_accuracy(e),
            chains.verdicts(e),
        ],
    ),
)


def write(runs: Sequence[Run], folder: Path) -> Path:
    """Write index.html, figures/ and tables/ into `folder`; returns the page's path.

    Raises UserError where it cannot be written.
    """
    models = [part for run in runs for part in evidence.of(run)]
    if not models:
        raise UserError(f"{folder}: the runs hold no cells, so there is nothing to report")
    try:
        with style.house():
            return _Page(models, folder).write()
    except OSError as error:
        raise UserError(
            f"{folder}: the report cannot be written ({error.strerror or error}); give another "
            f"folder with --out"
        ) from None


class _Page:
    """The page being assembled: figures go to files as they are drawn, and their SVG into the
    page.
    """

    def __init__(self, models: list[Evidence], folder: Path) -> None:
        self.models, self.folder = models, folder
        self.names = evidence.names(models)
        self.keys = _keys(self.names)

    def write(self) -> Path:
        together = self._together() if len(self.models) > 1 else None
        parts = [self._model(key, e) for key, e in zip(self.keys, self.models, strict=True)]
        first = self.models[0]
        tasks = ", ".join(t["name"] for t in first.run.manifest["config"]["task"])
        distinct = len({e.model for e in self.models})
        name = first.model if distinct == 1 else f"{distinct} models"
        budgets = f"{len(first.levels)} budgets" if len(first.levels) > 1 else "one budget"
        script = _file("page.js")
        page = (
            _environment()
            .get_template("page.html")
            .render(
                title=f"What test compute buys: {name.rsplit('/', 1)[-1]} on {tasks}",
                dek=(
                    f"{first.problems:,} problems, {first.samples:,} samples of each, {budgets}."
                    f" {', '.join(self.names)}."
                ),
                css=_safe(_file("page.css")),
                script=_safe(script),
                script_hash=_hash(script),
                version=metadata.version("testtime"),
                models=parts,
                together=together,
                training=self._training(),
            )
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "index.html"
        path.write_text(page, encoding="utf-8")
        return path

    def _model(self, key: str, e: Evidence) -> dict[str, Any]:
        fitted = {axis: laws.fitted(e, axis) for axis in e.axes}
        accuracy = [(axis, curves.accuracy(e, axis, laws.drawn(fitted[axis]))) for axis in e.axes]
        if not e.axes:
            e.left_out["accuracy against compute"] = (
                "the scores table has no tokens, FLOPs, dollars or seconds"
            )
        e.left_out |= {f"compute in {SHORT[a]}": e.absent(a) for a in SHORT if a not in e.axes}
        law = fitted.get(e.axis or "")
        sections: list[dict[str, Any]] = [
            {
                "key": s.key,
                "title": s.title,
                "lead": s.lead,
                "plates": [self._plate(p, key) for p in s.draw(e) if p is not None],
                "tables": [],
            }
            for s in SECTIONS
        ]
        sections = [s for s in sections if s["plates"]]
        tables = health.tables(e)
        for table in tables:
            self._csv(table, key)
        lead = "What was asked for, what happened, and what it cost."
        sections.append(
            {"key": "health", "title": "Run health", "lead": lead, "plates": [], "tables": tables}
        )
        return {
            "key": key,
            "findings": words.findings(e),
            "warnings": words.warnings(e) + laws.warnings(law),
            "accuracy": [{**self._plate(p, key), "value": axis} for axis, p in accuracy],
            "options": [(a, SHORT[a]) for a in e.axes],
            "unavailable": [(SHORT[a], e.absent(a)) for a in SHORT if a not in e.axes],
            "law": laws.findings(law, e.axis) + laws.requested(e, law),
            "sections": sections,
            "left_out": e.left_out,
            "browser": browser(e, len(self.models)),
        }

    def _together(self) -> dict[str, Any]:
        axes = [a for a in SHORT if all(a in e.axes for e in self.models)]
        return {
            "plates": [
                {**self._plate(curves.models(self.models, a), ""), "value": a} for a in axes
            ],
            "options": [(a, SHORT[a]) for a in axes],
            "unavailable": [
                (SHORT[a], next(e.absent(a) for e in self.models if a not in e.axes))
                for a in SHORT
                if a not in axes
            ],
            "models": list(zip(self.keys, self.names, strict=True)),
            "tables": [],
        }

    def _training(self) -> dict[str, Any]:
        found = training.section(self.models)
        tables = []
        if found.rows:
            columns = (
                "model",
                "parameters without embeddings",
                "training tokens",
                "training FLOPs",
                "held-out loss",
            )
            tables.append(health.Table("training", "Where these models stand", columns, found.rows))
            self._csv(tables[0], "")
        lead = "What the same accuracy costs when it is trained rather than thought."
        plates = [self._plate(p, "") for p in found.plates]
        return {"lead": lead, "plates": plates, "tables": tables, "omitted": found.omitted}

    def _plate(self, plate: Plate, key: str) -> dict[str, Any]:
        """Save a figure's files and hand the page what it shows."""
        sub = Path("figures") / key if len(self.models) > 1 and key else Path("figures")
        drawn = inline(
            plate, to_files(plate, self.folder / sub), f"{key}-{plate.name}" if key else plate.name
        )
        return {
            "name": plate.name,
            "title": plate.title,
            "note": plate.note,
            "svg": _safe(drawn),
            "path": (sub / plate.name).as_posix(),
        }

    def _csv(self, table: health.Table, key: str) -> None:
        import pandas as pd

        sub = self.folder / "tables" / (key if len(self.models) > 1 else "")
        sub.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(list(table.rows), columns=list(table.columns)).to_csv(
            sub / f"{table.name}.csv", index=False
        )


def _keys(names: Sequence[str]) -> list[str]:
    """A short name for each model that is safe in ids and file names."""
    keys: list[str] = []
    for name in names:
        key = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:] or "model"
        same = (f"{key}-{number}" for number in range(1, len(names) + 1))
        keys.append(next(k for k in (key, *same) if k not in keys))
    return keys


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("testtime.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )


def _file(name: str) -> str:
    return resources.files("testtime.report").joinpath("page", name).read_text(encoding="utf-8")


def _safe(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
