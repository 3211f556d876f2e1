"""Is the ladder a ladder? Neighbouring checkpoints, and those about fourfold apart, judged against
the noise of seeds.

    python -m benchmarks.laboratory.noise

The noise is one number in log loss, pooled over all rungs and token counts that were trained with
several seeds; rungs with one seed are given the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.laboratory.law import lawful, read
from testtime import zoo

FOURFOLD = 3.5
"""The rungs are not a fourfold apart: the next one that is at least so many times larger is taken."""
ERRORS = 2.0


def noise(rows: pd.DataFrame) -> tuple[float, int]:
    """Standard deviation of log loss over seeds, and its degrees of freedom; rows: N, D, loss."""
    groups = np.log(rows["loss"]).groupby([rows["N"], rows["D"]])
    freedom = groups.size() - 1
    squares = (groups.var(ddof=1) * freedom).sum()
    return float(np.sqrt(squares / freedom.sum())), int(freedom.sum())


def pairs(rows: pd.DataFrame, axis: str, times: float = 1.0) -> pd.DataFrame:
    """Checkpoints that differ along `axis` (N or D) alone, each with the next one that is larger, at
    least `times`: the share by which the mean loss falls (in logs), and that in standard errors.
    """
    logs = rows.assign(loss=np.log(rows["loss"]))
    mean = logs.groupby(["N", "D"])["loss"].agg(["mean", "size"]).reset_index()
    mean["variance"] = noise(rows)[0] ** 2 / mean["size"]
    fixed = "D" if axis == "N" else "N"
    out = []
    for value, part in mean.sort_values(axis).groupby(fixed):
        for one in part.to_dict("records"):
            larger = part[(part[axis] > one[axis]) & (part[axis] >= times * one[axis])]
            if len(larger):
                other = larger.iloc[0]
                fall = one["mean"] - other["mean"]
                error = (one["variance"] + other["variance"]) ** 0.5
                out.append((value, one[axis], other[axis], fall, error, fall / error))
    return pd.DataFrame(out, columns=[fixed, "from", "to", "fall", "se", "errors"])


def report(rows: pd.DataFrame) -> str:
    """The noise, then both questions along both axes, with every pair that fails."""
    sd, freedom = noise(rows)
    lines = [f"seeds scatter by {sd:.3f} in log loss ({freedom} degrees of freedom)"]
    for axis, word in (("D", "tokens"), ("N", "parameters")):
        near, far = pairs(rows, axis), pairs(rows, axis, FOURFOLD)
        turned, weak = near[near["errors"] < -ERRORS], far[far["errors"] <= ERRORS]
        lines.append(
            f"{word}: of {len(near)} neighbouring pairs {(near['fall'] < 0).sum()} are reversed, "
            f"{len(turned)} by more than {ERRORS:g} standard errors; of {len(far)} pairs about "
            f"fourfold apart {len(far) - len(weak)} are lower by more than {ERRORS:g}"
        )
        for title, failed in (("reversed", turned), ("not lower", weak)):
            if len(failed):
                lines.append(f"{title}:\n{failed.round(3).to_string(index=False)}")
    return "\n".join(lines)


def main() -> None:
    """Command line: the ladder's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ladder", type=Path, default=zoo.ROOT / "ladder" / "ladder.csv")
    print(report(lawful(read(parser.parse_args().ladder))))


if __name__ == "__main__":
    main()
