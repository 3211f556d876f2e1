"""Writes the questions of the world of facts that testtime evaluates: none of more than one hop was
trained on.

python -m benchmarks.laboratory.tasks
"""

from __future__ import annotations

import json

import numpy as np

from benchmarks.laboratory import world
from benchmarks.laboratory.data import questions
from testtime import tasks

EACH = 100
LEVELS = {"facts": (1, 2, 3, 4, 5, 6), "facts_compound": (8, 10)}


def rows(levels: tuple[int, ...], seed: int = 15) -> list[dict[str, object]]:
    """EACH different questions a level: id, question, answer, level, and the rank of the rarest
    function (0: most frequent).
    """
    out: list[dict[str, object]] = []
    for level in levels:
        starts, functions = questions(
            np.random.default_rng([seed, level]), 4 * EACH, level, held_out=True
        )
        asked = dict.fromkeys(
            (s, tuple(f)) for s, f in zip(starts.tolist(), functions.tolist(), strict=True)
        )
        for number, (s, f) in enumerate(list(asked)[:EACH]):
            answer = world.letter(world.states(s, f)[-1])
            rarest = max(int(world.ranks()[one]) for one in f)
            text = world.question(s, f)
            out.append(
                {
                    "id": f"{level}/{number}",
                    "question": text,
                    "answer": answer,
                    "level": level,
                    "rarest": rarest,
                }
            )
    return out


def main() -> None:
    """Writes the files beside the tasks' YAML."""
    for name, levels in LEVELS.items():
        lines = [json.dumps(row) + "\n" for row in rows(levels)]
        (tasks.registry.FOLDER / f"{name}.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
