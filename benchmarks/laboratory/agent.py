"""Trains the agent and its step model: what can be written down, its own attempts, then the roles
that look at them.

    python -m benchmarks.laboratory.agent

A stage that is finished is not done again; a stage that was killed goes on from its last fifth.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.laboratory import roles, sample, steps, world
from benchmarks.laboratory.agent_data import SOLVE_HOPS, SOLVE_WEIGHTS, Attempt, frequent, mixed
from benchmarks.laboratory.data import questions
from benchmarks.laboratory.recipe import HERE, Recipe, Rung
from benchmarks.laboratory.train import Run, Stream

FIRST = {
    "solve": 0.38,
    "lookup": 0.09,
    "lookup/even": 0.06,
    "split": 0.04,
    "split/even": 0.03,
    "join": 0.05,
    "check": 0.15,
    "revise": 0.04,
    "verify": 0.08,
    "verify/thought": 0.08,
}
SECOND = {
    "solve": 0.24,
    "lookup": 0.06,
    "lookup/even": 0.06,
    "split": 0.03,
    "split/even": 0.03,
    "join": 0.04,
    "check": 0.06,
    "revise": 0.18,
    "verify": 0.15,
    "verify/thought": 0.15,
}
SURE = 0.4
"""A fact is known where the first stage gives its letter at least this probability."""


class Early(Run):
    """A run whose middle layer, too, is to foretell what is written: a letter that is known there
    can be compared with the one that was written, by the layers that are left (deep supervision,
    Lee et al. 2015).
    """

    def loss(self, x: Any, learnt: Any) -> Any:
        """Mean cross-entropy over the tokens that carry loss, of the last and the middle layer."""
        from torch.nn import functional

        body, where = self.model.model, learnt[:, 1:]
        made = body(input_ids=x[:, :-1], use_cache=False, output_hidden_states=True)
        middle = body.norm(made.hidden_states[self.rung.layers // 2][where])
        both = [self.model.lm_head(states) for states in (made.last_hidden_state[where], middle)]
        truth = x[:, 1:][where]
        return sum(functional.cross_entropy(logits, truth) for logits in both)


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
        run = Early(recipe, rung, stream)
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
        for row, said in zip(mine, answers, strict=True):
            written = tuple(sample.attempts([row])[0])
            out.append(Attempt(s, f, written, said, said == gold, steps.truth(s, f, written)))
    return out


def known(model: Any) -> np.ndarray:
    """Which facts the model knows, asked one by one; shape (functions, letters)."""
    letters = [world.letter(x) for x in range(world.LETTERS)]
    prompts = [
        [*roles.solve(x, [f], 0).tokens[:-3], *roles.solve(x, [f]).tokens[7:9]]
        for f in range(world.FUNCTIONS)
        for x in range(world.LETTERS)
    ]
    chances = sample.first_token(model, prompts, letters).reshape(*world.tables().shape, -1)
    right = np.take_along_axis(chances, world.tables()[..., None], axis=2)[..., 0]
    return np.asarray(right >= SURE)


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
        mixed(FIRST, size, [], frequent()),
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
    sure = known(first)
    print(f"{np.mean([a.right for a in own]):.3f} right, {sure.sum()} facts known", flush=True)
    second = mixed(SECOND, size, own, sure)
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
