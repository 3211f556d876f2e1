"""Problems to train and to test on: reasoning-gym items, rendered exactly as the task's YAML in
`testtime/tasks` says.

One stream of seeds a task, cut into regions that never meet: the task loader's own items (seed 0
upwards) are what testtime evaluates, training items start at TRAIN. Seeds apart are not enough
where few problems exist, so prompts which testtime's own items use are left out of training too,
except the shortest (there are only 100 products of single digits).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from testtime import tasks as room

TRAIN = 10_000_000
HELD_OUT = 1_000_000
SHORTEST = 5
"""Prompts of fewer characters are not kept apart: there are too few of them."""


@dataclass(frozen=True, slots=True)
class Item:
    """One problem: the task's name, its prompt without spaces, the right answer, and
    reasoning-gym's metadata.
    """

    task: str
    prompt: str
    gold: str
    meta: dict[str, Any]


@cache
def recipe(task: str) -> dict[str, Any]:
    """The task's YAML as a dictionary."""
    return dict(yaml.safe_load((Path(room.__file__).parent / f"{task}.yaml").read_text()))


@cache
def stream(task: str) -> Any:
    """All items of a task by seed: `stream(task)[seed]`."""
    import reasoning_gym

    loader = recipe(task)["loader"]
    return reasoning_gym.create_dataset(loader["dataset"], seed=0, size=2**40, **loader["settings"])


def item(task: str, seed: int) -> Item:
    """The item that reasoning-gym makes from this seed."""
    raw = stream(task)[seed]
    question = recipe(task)["question"].format(**raw)
    return Item(task, question.replace(" ", ""), raw["answer"], raw["metadata"])


@cache
def evaluated(task: str) -> frozenset[str]:
    """Prompts that testtime evaluates or the held-out loss reads: not to be trained on."""
    size = recipe(task)["loader"]["size"]
    seeds = [*range(size), *range(HELD_OUT, HELD_OUT + size)]
    return frozenset(
        prompt for prompt in (item(task, seed).prompt for seed in seeds) if len(prompt) >= SHORTEST
    )


def trainable(task: str, seed: int) -> Item | None:
    """The training item of this seed, or None where its prompt is kept for evaluation."""
    made = item(task, TRAIN + seed)
    return None if made.prompt in evaluated(task) else made
