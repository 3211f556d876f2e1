"""Trains the agent and its step model: what can be written down, its own attempts, then the roles
that look at them.

    python -m benchmarks.laboratory.agent

A stage that is finished is not done again; a stage that was killed goes on from its last fifth.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.laboratory import roles, sample, steps, world
from benchmarks.laboratory.agent_data import SOLVE_HOPS, SOLVE_WEIGHTS, Attempt, by_use, mixed
from benchmarks.laboratory.data import questions
from benchmarks.laboratory.recipe import HERE, Recipe, Rung
from benchmarks.laboratory.train import Run, Stream

FIRST = {"solve": 0.6, "lookup": 0.2, "split": 0.12, "join": 0.08}
SECOND = {
    "solve": 0.28,
    "lookup": 0.1,
    "lookup/even": 0.1,
    "split": 0.03,
    "split/even": 0.03,
    "join": 0.04,
    "revise": 0.18,
    "verify": 0.24,
}


def stage(
    recipe: Recipe,
    rung: Rung,
    stream: Stream,
    tokens: int,
    out: Path,
    seed: int,
    start: Path | None = None,
) -> Any:
    """A model trained on `tokens` tokens, cooled down over the last fifth, saved at `out`; from
    `start`, or fresh.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from benchmarks.laboratory.vocabulary import build as tokenizer

    if not (out / "model.safetensors").exists():
        out.mkdir(parents=True, exist_ok=True)
        run = Run(recipe, rung, stream)
        run.begin(seed)
        if start is not None:
            run.model.load_state_dict(AutoModelForCausalLM.from_pretrained(start).state_dict())
        trunk = out / "trunk.pt"
        if trunk.exists():
            run.restore(torch.load(trunk))
        for fifth in range(1, 5):
            run.advance(tokens * fifth / 5, None)
            torch.save(run.state(), out / "part.pt")
            (out / "part.pt").replace(trunk)
        run.advance(tokens, float(run.counters["tokens"]))
        run.model.save_pretrained(out)
        tokenizer().save_pretrained(out)
        (out / "training.json").write_text(json.dumps(run.counters))
        trunk.unlink()
    return AutoModelForCausalLM.from_pretrained(out).eval()


def quiz(
    count: int, seed: int, hops: tuple[int, ...], weights: tuple[int, ...], held_out: bool
) -> list[Any]:
    """`count` different questions (start, functions), held out or not."""
    rng = np.random.default_rng(seed)
    many = rng.multinomial(count, np.array(weights) / sum(weights))
    out: dict[Any, None] = {}
    for h, number in zip(hops, many, strict=True):
        starts, functions = questions(rng, int(number), h, held_out)
        out.update(
            dict.fromkeys(
                (int(s), tuple(f)) for s, f in zip(starts, functions.tolist(), strict=True)
            )
        )
    return list(out)


def attempted(model: Any, asked: list[Any], samples: int, seed: int) -> list[Attempt]:
    """`samples` own attempts at each question, at temperature 1, question by question."""
    prompts = [roles.solve(s, f, 0).tokens[:-3] for s, f in asked for _ in range(samples)]
    rows = sample.generate(model, prompts, seed=seed)
    out = []
    for n, (s, f) in enumerate(asked):
        mine = rows[n * samples : (n + 1) * samples]
        gold = world.letter(world.states(s, f)[-1])
        answers = [sample.answer(row) for row in mine]
        rate = sum(a == gold for a in answers) / samples
        for row, said in zip(mine, answers, strict=True):
            written = tuple(sample.attempts([row])[0])
            out.append(Attempt(s, f, written, said, said == gold, rate, steps.truth(s, f, written)))
    return out


def main() -> None:
    """Command line: the recipe and the folder of the stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default=HERE / "agent.yaml")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "agent")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    raw = yaml.safe_load(Path(given.recipe).read_text())
    rung = Rung(**{**raw["rung"], "seeds": tuple(raw["rung"]["seeds"])})
    size, out, seed = int(raw["batch_tokens"]), given.out, rung.seeds[0]

    def recipe(rate: float) -> Recipe:
        return Recipe({rung.name: rung}, (), rate, 0.0, size, 0)

    first = stage(
        recipe(raw["rate"]),
        rung,
        mixed(FIRST, size, {}),
        int(float(raw["tokens"])),
        out / "first",
        seed,
    )
    pool = out / "attempts.jsonl"
    if not pool.exists():
        asked = quiz(int(raw["questions"]), 11, SOLVE_HOPS, SOLVE_WEIGHTS, held_out=False)
        found = attempted(first, asked, int(raw["samples"]), seed)
        pool.write_text("".join(json.dumps(asdict(one)) + "\n" for one in found))
    lines = [json.loads(line) for line in pool.read_text().splitlines()]
    own = [
        Attempt(**{k: tuple(v) if isinstance(v, list) else v for k, v in one.items()})
        for one in lines
    ]
    uses = by_use(own)
    print(Counter({use: len(some) for use, some in uses.items()}), flush=True)
    second = mixed(SECOND, size, uses)
    tokens = int(float(raw["tuning_tokens"]))
    stage(
        recipe(raw["tuning_rate"]),
        rung,
        second,
        tokens,
        out / "agent",
        seed + 100,
        start=out / "first",
    )
    steps.train(
        own,
        out / "agent",
        out / "prm",
        int(float(raw["scoring_tokens"])),
        raw["tuning_rate"] / rung.hidden,
    )


if __name__ == "__main__":
    main()
