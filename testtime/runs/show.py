"""What the terminal shows: a benchmark, a run's summary, its problems, and one problem in full."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from testtime import labels, tasks
from testtime.errors import UserError, printable
from testtime.estimators.grid import build
from testtime.estimators.splits import best_splits, exponents
from testtime.runs.prepare import useless_golds
from testtime.runs.run import Run, load
from testtime.runs.transcripts import Transcript, read

SHOWN = 20  # golds that cannot be used, and are named one by one


def show(
    path: str | Path,
    problem: str | None,
    samples: Sequence[int] | None = None,
    as_json: bool = False,
) -> str:
    """For the terminal: the problems of a run with their share of right answers, or one of them in
    full.

    Raises UserError for an unknown problem, and for a run without tables.
    """
    run = load(path)
    scores = run.scores.assign(problem_id=run.scores["problem_id"].astype(str))
    if problem is None:
        solved = scores.groupby("problem_id", sort=False)["score"].mean()
        if as_json:
            return json.dumps(
                {str(k): None if v != v else round(float(v), 6) for k, v in solved.items()}
            )
        return "\n".join(f"{100 * v:6.1f}% right  {k}" for k, v in solved.items())
    models = list(dict.fromkeys(scores["model"]))
    parts = []
    for model in models:
        found = next(iter(read(path, scores[scores["model"] == model], [problem], samples)))
        parts.append(
            json.dumps({"model": model, **asdict(found)})
            if as_json
            else _page(found, model, len(models) > 1)
        )
    return "\n".join(parts)


def splits(run: Run, name: str) -> str:
    """The best splits between solving and verifying as compute grows, at the last setting and
    budget, and how samples and verifications grow with it.
    """
    scores, selectors = run.scores, run.config.selectors
    last = (
        scores[["setting", "budget"]]
        .fillna(-1)
        .eq(scores[["setting", "budget"]].fillna(-1).iloc[-1])
    )
    verified = [one for one in selectors if one.startswith(f"weighted:{name}_")]
    pool = scores[last.all(axis=1)]
    sample = build(pool, run.config.sample_counts(), verified).bootstrap(run.config.resamples)
    lines = ["solve and verify, best as compute grows:"]
    for row in best_splits(sample, name).to_dict("records"):
        solved = labels.counted(int(row["samples"]), "sample")
        each = labels.counted(int(row["verifications"]), "verification")
        cost = labels.cost("flops", row["flops"])
        lines.append(f"  {cost}: {solved}, {each} each: {100 * row['value']:.1f}%")
    if grown := exponents(sample, name):
        told = (f"{one.value:.2f} [{one.lo:.2f}, {one.hi:.2f}]" for one in grown)
        lines.append("  samples grow as C^{}, verifications as C^{}".format(*told))
    return "\n".join(lines)


def _page(found: Transcript, model: str, several: bool) -> str:
    """One transcript as text; control characters are shown, not obeyed by the terminal."""
    lines = [
        found.problem_id + (f", {model}" if several else ""),
        "",
        found.question,
        "",
        f"right answer: {found.gold}",
    ]
    for chain in found.chains:
        tokens = (
            ""
            if chain.tokens is None
            else f": {chain.tokens:,} thinking tokens"
            + (f", {chain.finish}" if chain.finish else "")
        )
        lines += ["", f"--- sample {chain.sample}{tokens}"]
        marks = {a.tokens: a for a in chain.answers if a.forced}
        tools = {used.until: used for used in chain.tools}
        text = ""
        for end, part in chain.segments or []:
            mark, used = marks.get(end), tools.get(end)
            text += f" [{used.name}, {used.status}, {used.seconds:.3g} s] " if used else ""
            text += part + (
                f" [cut {', '.join(mark.labels)}: {mark.key or mark.verdict}, {mark.verdict}] "
                if mark
                else ""
            )
        lines += (
            [text]
            if text
            else ["(the model's tokenizer is out of reach: no thinking shown)"]
            if chain.segments is None
            else []
        )
        for answer in chain.answers:
            lines.append(
                f"{', '.join(answer.labels) or 'answer':>12}  {answer.verdict:<9} "
                f"{' '.join(answer.text.split())}"
            )
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in "\n".join(lines))


def benchmark(name: str) -> str:
    """A benchmark before it is drawn: one rendered prompt, its gold and grader, and the golds that
    a run would leave out.
    """
    task = tasks.load(name)
    try:
        golds = list(useless_golds(task).values()) or [f"all {len(task.problems)} can be graded"]
    except UserError as error:
        golds = [f"not checked: {error}"]
    more = [f"and {len(golds) - SHOWN} more"] if len(golds) > SHOWN else []
    return printable("\n".join([tasks.show(task), "", "[golds]", *golds[:SHOWN], *more]))


def summary(run: Run) -> str:
    """Accuracy by budget and n with intervals, for the terminal, and where the report is."""
    config = run.manifest.config
    lines = []
    for selector in config["selectors"]:
        grid = run.cells[run.cells["selector"] == selector]
        counts = sorted(grid["n"].unique())
        lines.append(
            f"{run.manifest.model}: accuracy in % by thinking budget and n ({selector}), "
            f"{len(run.manifest.problems)} problems, 95 % intervals"
        )
        lines.append(
            f"{'budget':>14} {'thinking':>9} " + " ".join(f"{'n = ' + str(n):>18}" for n in counts)
        )
        levels = (grid["setting"] + " " + grid["budget"].astype("string").fillna("")).str.strip()
        for level, row in grid.groupby(levels, sort=False):
            tokens = row.loc[row["n"] == counts[0], "thinking_tokens"].iloc[0] / counts[0]
            cells = {int(c["n"]): _cell(c) for c in row.to_dict("records")}
            lines.append(
                f"{level:>14} {tokens:>9.1f} "
                + " ".join(f"{cells.get(int(n), '-'):>18}" for n in counts)
            )
        lines.append("")
    if "verdict" in run.scores:
        verdicts = run.scores["verdict"].value_counts()
        lines.append(
            "verdicts: " + ", ".join(f"{count:,} {name}" for name, count in verdicts.items())
        )
    lines.append(f"report: {run.path / 'report'}")
    return "\n".join(lines)


def _cell(cell: Mapping[Any, Any]) -> str:
    """A cell of the summary in percent; one problem has no interval."""
    ends = [f"{100 * end:5.1f}" if end == end else f"{'-':>5}" for end in (cell["lo"], cell["hi"])]
    return f"{100 * cell['value']:5.1f} [{','.join(ends)}]"
