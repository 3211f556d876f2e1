"""What the terminal shows at the end of a run: its accuracies, and where its report is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testtime import labels
from testtime.estimators.grid import build
from testtime.estimators.splits import best_splits, exponents
from testtime.runs.run import Run


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
    lines.append(f"report: {run.path / 'report' / 'index.html'}")
    return "\n".join(lines)


def _cell(cell: Mapping[Any, Any]) -> str:
    """A cell of the summary in percent; one problem has no interval."""
    ends = [f"{100 * end:5.1f}" if end == end else f"{'-':>5}" for end in (cell["lo"], cell["hi"])]
    return f"{100 * cell['value']:5.1f} [{','.join(ends)}]"


def splits(run: Run, name: str) -> str:
    """The best splits between solving and verifying as compute grows, at the last setting and
    budget, beside what voting alone buys for no more, and how samples and verifications grow.
    """
    scores, selectors = run.scores, run.config.selectors
    last = (
        scores[["setting", "budget"]]
        .fillna(-1)
        .eq(scores[["setting", "budget"]].fillna(-1).iloc[-1])
    )
    verified = [one for one in selectors if one.startswith(f"weighted:{name}_")]
    pool = scores[last.all(axis=1)]
    grid = build(pool, run.config.sample_counts(), [*verified, "majority"])
    sample, spent = grid.bootstrap(run.config.resamples), grid.means(grid.cost("flops"))
    votes = grid.cells.assign(flops=spent, value=grid.means(grid.value))
    votes = votes[votes["selector"].isin(["mean", "majority"])].sort_values("n")
    lines = ["solve and verify, best as compute grows:"]
    for row in best_splits(sample, name).to_dict("records"):
        solved = labels.counted(int(row["samples"]), "sample")
        each = labels.counted(int(row["verifications"]), "verification")
        cost = labels.cost("flops", row["flops"])
        alone = votes[votes["flops"] <= row["flops"]].iloc[-1]
        how = labels.selector(alone["selector"], int(alone["n"]))
        lines.append(
            f"  {cost}: {solved}, {each} each: {100 * row['value']:.1f}%; "
            f"for no more, {how}: {100 * alone['value']:.1f}%"
        )
    if grown := exponents(sample, name):
        told = (f"{one.value:.2f} [{one.lo:.2f}, {one.hi:.2f}]" for one in grown)
        lines.append("  samples grow as C^{}, verifications as C^{}".format(*told))
    return "\n".join(lines)
