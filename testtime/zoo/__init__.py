"""The zoo: tiny reasoners shipped as weights, each an ordinary Hugging Face folder with a card that
says how it was trained.

`quickstart` answers chain sums. The others live in a world of facts (`facts.py`, the benchmark
`facts`): `ladder/0` (smallest) upwards are one family that obeys a pretraining law, `agent` solves,
revises, verifies, uses a tool, splits and joins, `prm` scores its steps. `benchmarks/laboratory`
trains them all.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testtime.errors import UserError, suggest

ROOT = Path(__file__).parent


def names() -> list[str]:
    """Every model that `path` resolves, sorted: a model is a folder with a config.json."""
    return sorted(
        config.parent.relative_to(ROOT).as_posix() for config in ROOT.rglob("config.json")
    )


def path(name: str) -> Path:
    """The folder of the model called `name`, e.g. `ladder/3`.

    Raises UserError naming the nearest model when there is none of that name.
    """
    known = names()
    if name not in known:
        raise UserError(f"no model called {name!r} in the zoo{suggest(name, known)}")
    return ROOT / name


def training(name: str) -> dict[str, Any]:
    """What a zoo model was trained on: its tokens, FLOPs, parameters, held-out loss and its
    standard error, accuracy.

    Raises UserError when there is no model of that name.
    """
    return dict(json.loads((path(name) / "training.json").read_text()))
