"""A run's tables as files: Parquet and CSV, or a Hugging Face data set folder with its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testtime import style
from testtime.report import headline, leaderboard
from testtime.storage import sheets
from testtime.storage.files import into
from testtime.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from testtime.runs.run import Run

FIGURE = "accuracy.png"
COLUMNS = {
    "problem_id": "the problem", "model": "the model", "setting": "what the sampler was told, "
                                                                  "blank for nothing",
    "budget": "thinking budget in tokens, null where there is "
              "none", "sample": "which sample of the problem",
    "score": "1 right, 0 wrong, null "
             "unknown", "answer_key": "what the answer votes for, null where it does not vote",
    "thinking_tokens": "thinking tokens generated", "forced_tokens": "tokens of the forced ending",
    "answer_tokens": "tokens generated after the thinking", "prompt_tokens": "tokens of the prompt",
    "flops": "FLOPs of the sample, or of the cell a problem", "usd": "dollars, likewise",
    "seconds": "engine seconds, likewise",
    "forced": "whether the budget cut the "
              "chain", "verdict": "correct, wrong, unparsed, timeout, error or missing",
    "truncated": "whether the answer ran into its token limit", "n": "samples that the cell spends",
    "selector": "how n answers become "
                "one", "value": "accuracy of the cell", "lo": "lower end of its 95 % interval",
    "mc_error": "standard error of votes that were counted by random draws, 0 where "
                "exact", "meta": "further fields",
    "hi": "upper end of its 95 % "
          "interval", "problems": "problems in the cell", "tokens": "tokens generated a problem",
    "latency": "tokens on the longest path, where the cell's samples run side by side",
    "path_tokens": "tokens on the longest path of the sample", "path_seconds": "seconds it takes",
    "latency_seconds": "seconds until a problem's answer is there, the tools' included",
    "tool_calls": "calls of tools", "tool_failures": "calls of tools that failed",
    "tool_seconds": "seconds that tools took", "fallbacks": "questions that could not be split",
}  # fmt: skip


def export_tidy(run: Run, folder: str | Path) -> list[Path]:
    """scores and cells as Parquet and CSV; returns the files. Raises UserError where the folder
    cannot be written.
    """
    target = Path(folder)
    paths = []
    with into(target):
        target.mkdir(parents=True, exist_ok=True)
        for name, table in (("scores", run.scores), ("cells", run.cells)):
            paths += [target / f"{name}.parquet", target / f"{name}.csv"]
            table.to_parquet(paths[-2], index=False)
            sheets.write(table, paths[-1])
    return paths


def export_hub(run: Run, folder: str | Path) -> list[Path]:
    """README.md (the card: leaderboard, figure, columns), accuracy.png where a cost is known, and
    data/{scores,cells,problems}.parquet, one configuration each.

    Raises UserError where the folder cannot be written.
    """
    target = Path(folder)
    problems = Store(run.path).read("problems", ["task", "question", "gold", "meta"]).to_pandas()
    tables = {"scores": run.scores, "cells": run.cells, "problems": problems}
    paths = [target / "data" / f"{name}.parquet" for name in tables]
    with into(target):
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path, table in zip(paths, tables.values(), strict=True):
            table.to_parquet(path, index=False)
        shown = _figure(run, target / FIGURE) if headline.axes(run) else []
        card = _card(run, tables, shown)
        (target / "README.md").write_text(card, encoding="utf-8")
    return [target / "README.md", *([target / FIGURE] if shown else []), *paths]


def _figure(run: Run, path: Path) -> list[str]:
    """Draws the run's figure; returns the card's lines on it."""
    with style.context():
        chart = headline.chart(run)
        chart.figure.savefig(path, dpi=style.DPI)
    return [f"![{chart.title}]({path.name})", "", f"*{chart.title}. {chart.note}*", ""]


def _card(run: Run, tables: dict[str, pd.DataFrame], shown: list[str]) -> str:
    import yaml

    config = run.manifest.config
    tasks = ", ".join(t["name"] for t in config["task"])
    front = {
        "pretty_name": f"{run.manifest.model} on {tasks}: accuracy against test compute",
        "tags": ["testtime", "evaluation", "test-time-compute"],
        "configs": [
            {
                "config_name": name,
                "data_files": f"data/{name}.parquet",
                **({"default": True} if name == "scores" else {}),
            }
            for name in tables
        ],
    }
    lines = ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(), "---", ""]
    lines += [f"# {front['pretty_name']}", ""]
    budgets = config["thinking"].get("budgets")
    lines += [
        (
            f"Written by testtime {run.manifest.testtime}: "
            f"{len(run.manifest.problems):,} problems, "
            f"{config['samples']} samples, strategy {config['thinking']['strategy']}"
            + (f", budgets {', '.join(map(str, budgets))}." if budgets else ".")
        ),
        (
            "`scores` has a row for each problem, budget and sample; `cells` one for each budget, "
            "n and selector. "
            "Questions and right answers keep the licence of their benchmark; add it here before "
            "publishing."
        ),
        "",
        *shown,
        "## Leaderboard",
        "",
        leaderboard.table(run, "markdown"),
        "",
    ]
    for name, table in tables.items():
        lines += [f"## {name} ({len(table):,} rows)", "", "| column | holds |", "| --- | --- |"]
        lines += [
            f"| {c} | {COLUMNS.get(str(c), str(c).replace('_', ' '))} |" for c in table.columns
        ]
        lines.append("")
    return "\n".join(lines)
