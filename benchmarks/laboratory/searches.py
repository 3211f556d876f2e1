"""Every way to spend compute on one frontier: the zoo's agent in the world of facts, its own step
model and its own verdicts as verifiers, each paying for what it reads.

    python -m benchmarks.laboratory.searches docs/searches.png      # ten minutes; goes on where it was

At a budget of FLOPs (what 16 votes cost) each way takes its largest setting that fits, and its
difference from voting has an interval that holds for all of them at once.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.laboratory.recipe import HERE
from testtime import tasks, zoo
from testtime.estimators.grid import Replicates, build
from testtime.estimators.paired import together
from testtime.pipeline import ready
from testtime.runs import prepare
from testtime.runs.draw import draw
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.runs.rewards import reward
from testtime.runs.verify import Asked, verify

OUT = HERE / "out" / "searches"
LEVELS = (2, 3, 4)
VOTES = 16
COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32)
SELECTORS = [
    "majority",
    "weighted:step",
    "best:step",
    "weighted:verify_1",
    "best:verify_1",
    "weighted:prm",
]
STEERED = {"prm": "prm", "max_steps": 8, "step_tokens": 8}
RUNS: dict[str, dict[str, Any]] = {
    "chains": {"samples": 32, "thinking": {"budgets": [8, 25]}},
    "dvts": {"samples": 4, "thinking": {"strategy": "stepwise", "widths": [4], **STEERED}},
    "beam": {"samples": 1, "thinking": {"strategy": "beam", "beams": [4, 8], **STEERED}},
    "particles": {
        "samples": 1,
        "thinking": {"strategy": "particles", "particles": [4, 8], **STEERED},
    },
    "tree": {
        "samples": 1,
        "thinking": {
            "strategy": "tree",
            "nodes": [1, 2, 4, 8],
            "budget": 25,
            "prompt": "revise",
            "show": "attempt",
            "prm": "prm",
        },
    },
    "revise": {
        "samples": 8,
        "thinking": {
            "strategy": "revise",
            "budgets": [25],
            "rounds": 2,
            "prompt": "revise",
            "show": "attempt",
        },
    },
}


@dataclass(frozen=True)
class Way:
    """A way to spend compute: cells of a run. setting: what their setting begins with."""

    name: str
    run: str
    selector: str
    budget: int | None = None
    setting: str = ""
    single: bool = False  # of one sample only


WAYS = [
    Way("one sample, 8 tokens", "chains", "majority", 8, single=True),
    Way("one sample, to its end", "chains", "majority", 25, single=True),
    Way("majority vote", "chains", "majority", 25),
    Way("vote weighted by step model", "chains", "weighted:step", 25),
    Way("best by step model", "chains", "best:step", 25),
    Way("vote weighted by own verdict", "chains", "weighted:verify_1", 25),
    Way("best by own verdict", "chains", "best:verify_1", 25),
    Way("revision, majority", "revise", "majority", 25, "revise,round=2"),
    Way("DVTS, width 4", "dvts", "weighted:prm"),
    Way("beam search, width 4", "beam", "majority"),
    Way("particle filtering", "particles", "majority"),
    Way("AB-MCTS", "tree", "majority"),
]


def task(each: int) -> Path:
    """The benchmark `facts` at some levels, `each` questions of each."""
    OUT.mkdir(parents=True, exist_ok=True)
    lines = (tasks.registry.FOLDER / "facts.jsonl").read_text().splitlines()
    by_level = {
        level: [row for row in lines if json.loads(row)["level"] == level] for level in LEVELS
    }
    kept = [row for rows in by_level.values() for row in rows[:each]]
    (OUT / "facts.jsonl").write_text("\n".join(kept) + "\n")
    told = (tasks.registry.FOLDER / "facts.yaml").read_text()
    file = OUT / "facts.yaml"
    file.write_text(told.replace("path: facts.jsonl", f"path: {OUT / 'facts.jsonl'}"))
    return file


def drawn(name: str, file: Path) -> pd.DataFrame:
    """The scores of a run, its name before each setting; draws what is missing."""
    told = {
        "name": name,
        "task": str(file),
        "model": "agent",
        "engine": "transformers",
        "answer": {"max_tokens": 4},
        "selectors": ["majority"],
        "resamples": 100,
        "out": str(OUT / "runs"),
        **RUNS[name],
    }
    (job,) = ready(told)
    prepare.register(job)
    for line in draw(job, Progress()):
        print(f"missing: {line}")
    if name == "chains":
        reward(job.store, zoo.path("prm"), "step", "last", "transformers")
        verify(job.store, "verify", 1, Asked(ask="verify"), Progress())
    scores = evaluate(job.store, Progress()).scores
    prefix = scores["setting"].map(lambda setting: f"{name},{setting}" if setting else name)
    print(f"{name}: {scores['score'].mean():.3f}", flush=True)
    return scores.assign(setting=prefix)


def chosen(sample: Replicates) -> pd.DataFrame:
    """The cell of each way that fits the budget, largest first in cost: columns way, cell (its
    number in the grid), share (of the budget).
    """
    cells = sample.grid.cells.assign(flops=sample.grid.means(sample.grid.cost("flops")))
    of = {way.name: _cells(cells, way) for way in WAYS}
    vote = of["majority vote"]
    budget = float(vote.loc[vote["n"] == VOTES, "flops"].iloc[0])
    rows = []
    for name, mine in of.items():
        fitting = mine[mine["flops"] <= budget * 1.001].sort_values("flops")
        if len(fitting):
            last = fitting.iloc[-1]
            rows.append(
                (
                    name,
                    fitting.index[-1],
                    last["flops"] / budget,
                    f"{last['setting']}, n = {last['n']}",
                )
            )
    return pd.DataFrame(rows, columns=["way", "cell", "share", "what"])


def _cells(cells: pd.DataFrame, way: Way) -> pd.DataFrame:
    mine = cells["setting"].str.startswith(way.setting or way.run) & (
        cells["selector"] == way.selector
    )
    if way.budget is not None:
        mine &= cells["budget"] == way.budget
    if way.single:
        mine &= cells["n"] == 1
    return cells[mine]


def table(sample: Replicates, picked: pd.DataFrame, levels: pd.Series) -> pd.DataFrame:
    """Accuracy of each way at the budget, its difference from voting with a simultaneous interval,
    and its accuracy at each level.
    """
    value = sample.grid.value[:, picked["cell"]]
    voting = (picked["way"] == "majority vote").to_numpy()
    apart = value[:, ~voting] - value[:, voting]
    result = picked.assign(accuracy=sample.grid.means(value))
    for name, column in zip(("difference", "lo", "hi"), together(apart, sample), strict=True):
        result.loc[~voting, name] = column
    for level in LEVELS:
        result[f"level {level}"] = value[levels.loc[sample.grid.problems] == level].mean(axis=0)
    return result.drop(columns="cell")


def figure(sample: Replicates, compared: pd.DataFrame, path: Path) -> None:
    """Accuracy against FLOPs, a line a way; and the differences from voting at the budget."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = sample.grid.cells.assign(
        flops=sample.grid.means(sample.grid.cost("flops")),
        value=sample.grid.means(sample.grid.value),
    )
    colours = dict(zip((way.name for way in WAYS), plt.get_cmap("tab20").colors, strict=False))
    drawing, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    for way in WAYS:
        mine = _cells(cells, way).sort_values("flops")
        left.plot(
            mine["flops"],
            100 * mine["value"],
            marker="o",
            ms=3,
            color=colours[way.name],
            label=way.name,
        )
    left.set(
        xscale="log", xlabel="FLOPs a problem, the verifier's own included", ylabel="accuracy, %"
    )
    left.legend(frameon=False, fontsize=7)
    rows = compared.dropna(subset="difference").iloc[::-1].reset_index(drop=True)
    right.axvline(0, color="#777777", lw=1)
    for place, (_, row) in enumerate(rows.iterrows()):
        colour = colours[row["way"]]
        right.plot([100 * row["lo"], 100 * row["hi"]], [place, place], color=colour, lw=2)
        right.plot(100 * row["difference"], place, "o", color=colour)
    names = [f"{row['way']} ({row['share']:.0%})" for _, row in rows.iterrows()]
    right.set_yticks(range(len(rows)), names, fontsize=8)
    right.set_xlabel(
        f"difference from {VOTES} votes, points\n(in brackets: share of their compute)"
    )
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(path, dpi=110)
    plt.close(drawing)


def main() -> None:
    """Command line: the figure's file; prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--problems", type=int, default=100, help="of each level")
    given = parser.parse_args()
    file = task(given.problems)
    scores = pd.concat([drawn(name, file) for name in RUNS], ignore_index=True)
    sample = build(scores, COUNTS, SELECTORS).bootstrap(2000)
    levels = scores.drop_duplicates("problem_id").set_index("problem_id")["level"].astype(int)
    compared = table(sample, chosen(sample), levels)
    figure(sample, compared, given.figure)
    print(compared.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
