"""How large a report is and how long it takes: 500 problems x 64 samples x 8 budgets by default,
texts included.

    python -m benchmarks.report --problems 500 --samples 64

The scores are made up; their shape (table sizes, chains cut at every budget, texts of 4,000
letters) is a real one. Processor seconds are printed beside wall seconds, because the machine may
be busy with other things. With `--run RUN`, also of the commands that look at that run, each a
process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from testtime import report
from testtime.importers import Log, save

BUDGETS = np.array([0, 128, 256, 512, 1024, 2048, 4096, 8192])
LENGTH = 4000


def scores(problems: int, samples: int) -> pd.DataFrame:
    """A scores table whose accuracy grows with the budget, with texts on the first samples of each
    problem.
    """
    rng = np.random.default_rng(0)
    skill = rng.normal(0, 1.8, (problems, 1, 1))
    natural = np.exp(rng.normal(6.8, 0.7, (problems, samples, 1)) - 0.25 * skill)
    thinking = np.minimum(natural, BUDGETS).astype(int)
    chance = 1 / (1 + np.exp(-(skill + 0.75 * np.log1p(thinking / 80) - 2.2)))
    right = rng.uniform(size=(problems, samples, 1)) < chance
    problem, sample, level = (axis.ravel() for axis in np.indices(right.shape))
    table = pd.DataFrame(
        {
            "problem_id": pd.Series(problem).map("made/{}".format),
            "sample": sample,
            "budget": BUDGETS[level],
        }
    )
    wrong = pd.Series(rng.integers(0, 12, right.size)).map("wrong {}".format)
    table["score"] = right.ravel().astype(float)
    table["answer_key"] = wrong.where(~right.ravel(), "right")
    table["verdict"] = np.where(right.ravel(), "correct", "wrong")
    table["thinking_tokens"], table["answer_tokens"], table["prompt_tokens"] = (
        thinking.ravel(),
        40,
        120,
    )
    table["forced"] = (natural > BUDGETS).ravel()
    table["flops"] = 3e9 * (160.0 + thinking.ravel())
    text = "so that is the next step, and now for the one after it. " * (LENGTH // 56)
    table["thinking"] = np.where(sample < 3, text, "")
    table["text"] = "The answer is " + table["answer_key"]
    return table


def command(*words: str) -> str:
    """Processor seconds of `testtime WORDS`, as a line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "testtime", *words], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"testtime {' '.join(words)} failed")
    return f"{words[0]:<8} {used.ru_utime + used.ru_stime:6.2f} s of processor time"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--run", help="a run directory for the commands' times")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = scores(options.problems, options.samples)
        run = save(Log("made", "benchmark", [], table, {}), Path(folder))
        wall, processor = time.perf_counter(), time.process_time()
        page = report.write(run)
        print(
            f"{len(table):,} scored samples: page {page.stat().st_size / 1e6:.2f} MB, written in",
            end=" ",
        )
        print(
            f"{time.perf_counter() - wall:.1f} s ({time.process_time() - processor:.1f} s of "
            f"processor time)"
        )
    if options.run:
        for name in ("status", "show", "compare", "report"):
            print(command(name, options.run))
        print(command("doctor"))


if __name__ == "__main__":
    main()
