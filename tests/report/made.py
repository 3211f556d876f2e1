"""Made-up runs for the report's tests: scores of a simple model of a reasoner, imported as
anybody's table is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from testtime.importers import Log, save
from testtime.runs.run import Run

BUDGETS = (0, 64, 128, 256, 512, 1024)


def scores(
    problems: int = 40, samples: int = 8, model: str = "made/model", seed: int = 0
) -> pd.DataFrame:
    """A scores table whose accuracy grows with the budget, with forced, unparsed and priced
    answers.
    """
    rng = np.random.default_rng(seed)
    skill = rng.normal(0, 1.5, problems)
    natural = np.exp(rng.normal(5.3, 0.7, (problems, samples)))
    luck = rng.uniform(size=(problems, samples))
    rows = []
    for budget in BUDGETS:
        for p in range(problems):
            for s in range(samples):
                thinking = int(min(natural[p, s], budget))
                forced = bool(natural[p, s] > budget)
                right = luck[p, s] < 1 / (
                    1 + np.exp(-(skill[p] + 0.6 * np.log1p(thinking / 30) - 1.5))
                )
                unparsed = not right and luck[p, s] > 0.97
                rows.append(
                    {
                        "problem_id": f"made/{p}",
                        "model": model,
                        "budget": budget,
                        "sample": s,
                        "score": float(right),
                        "answer_key": None
                        if unparsed
                        else "right"
                        if right
                        else f"wrong {int(luck[p, s] * 9)}",
                        "thinking_tokens": thinking,
                        "forced_tokens": 4 * forced,
                        "answer_tokens": 12,
                        "prompt_tokens": 50,
                        "flops": 1e6 * (62.0 + thinking),
                        "forced": forced,
                        "verdict": "correct" if right else "unparsed" if unparsed else "wrong",
                    }
                )
    return pd.DataFrame(rows)


def run(
    folder: Path,
    table: pd.DataFrame | None = None,
    problems: dict[str, tuple[str, str]] | None = None,
) -> Run:
    """The table (default: `scores()`) as a run directory."""
    return save(
        Log("made", "test", [], scores() if table is None else table, problems or {}), folder
    )
