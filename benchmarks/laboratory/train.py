"""Trains the rungs of the ladder: constant learning rate, and a short cool-down for every
checkpoint that is wanted.

One trunk at constant rate serves all token counts of a run; at (1 - cooldown) of each count a
branch cools down, is measured and saved, and the trunk goes on from where the branch began. The
trunk is on disk at every branch, so a killed run goes on where it was. One thread, since two are
slower than one on models of this size; not compiled, since compiling takes longer than it saves.

    python -m benchmarks.laboratory.train
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.laboratory import evaluate
from benchmarks.laboratory.data import Examples, batches, held_out
from benchmarks.laboratory.recipe import HERE, Recipe, Rung, build, load, sizes
from testtime.compute.flops import Flops

FIELDS = [
    "run",
    "rung",
    "seed",
    "target",
    "parameters",
    "parameters_total",
    "tokens",
    "c_6nd",
    "flops",
    "loss",
]
FIELDS += ["loss_se", "loss_written", "loss_written_se", "loss_copied", "loss_guesses", "seconds"]


Stream = Callable[[int, int], Iterator[Examples]]


class Run:
    """One rung's training state: model, optimizer, and the counters that say how far it is.

    stream: training batches of a seed, from a batch number on; by default the ladder's. `begin`
    starts another seed on the same model.
    """

    def __init__(self, recipe: Recipe, rung: Rung, stream: Stream | None = None) -> None:
        import torch

        self.recipe, self.rung, self.seed = recipe, rung, 0
        self.stream = stream or (
            lambda seed, start: batches(seed, recipe.batch_tokens, recipe.cut, start)
        )
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = build(rung, 0).to(self.device)
        self.costs = Flops.from_config(self.model.config.to_dict())

    def begin(self, seed: int) -> None:
        """Fresh weights and optimizer for this seed."""
        import torch

        self.seed = seed
        self.model.load_state_dict(build(self.rung, seed).state_dict())
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim == 1]
        groups = [
            {"params": matrices, "weight_decay": self.recipe.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.98), fused=True)
        self.counters = {"step": 0, "tokens": 0, "flops": 0.0, "seconds": 0.0, "done": 0}
        self.coming: Iterator[Examples] | None = None

    def loss(self, x: Any, learnt: Any) -> Any:
        """Mean cross-entropy over the tokens that carry loss."""
        from torch.nn import functional

        states = self.model.model(input_ids=x[:, :-1], use_cache=False).last_hidden_state
        where = learnt[:, 1:]
        return functional.cross_entropy(self.model.lm_head(states[where]), x[:, 1:][where])

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "counters": self.counters,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.counters = dict(state["counters"])
        self.coming = None  # the stream is made again from the first batch, which takes long

    def advance(self, until: float, cool_from: float | None) -> None:
        """Trains to `until` tokens; from `cool_from` on the learning rate falls linearly to 0."""
        import torch

        c, recipe = self.counters, self.recipe
        begin = time.monotonic()
        self.coming = self.coming or self.stream(self.seed, int(c["step"]))
        while c["tokens"] < until:
            one = next(self.coming)
            scale = min(1.0, (c["tokens"] + 1) / recipe.warmup_tokens)
            if cool_from is not None:
                scale = min(scale, max(0.0, (until - c["tokens"]) / (until - cool_from)))
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.rate / self.rung.hidden * scale
            x, learnt = torch.from_numpy(one.tokens), torch.from_numpy(one.kinds > 0)
            self.loss(x.to(self.device), learnt.to(self.device)).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            lengths = (one.tokens != 0).sum(1)
            c["step"] += 1
            c["tokens"] += int(lengths.sum())
            c["flops"] += 3 * float(
                self.costs.forward(0, lengths, lengths).sum()
            )  # forward, and backward twice that
        c["seconds"] += time.monotonic() - begin


def measure(run: Run, folder: Path, tokens: int, quiz: list[Any]) -> dict[str, Any]:
    """The row of the ladder's table for the model as it stands; the model is saved beside it."""
    from benchmarks.laboratory.vocabulary import build as tokenizer

    run.model.eval()
    values = evaluate.losses(run.model, quiz)
    run.model.train()
    small, total = sizes(run.model)
    c = run.counters
    row = {
        "run": f"{run.rung.name}/{run.seed}", "rung": run.rung.name, "seed": run.seed,
        "target": tokens, "parameters": small, "parameters_total": total, "tokens": c["tokens"],
        "c_6nd": 6.0 * small * c["tokens"],
        "flops": c["flops"], **values, "seconds": c["seconds"],
    }  # fmt: skip
    weights = folder / f"{tokens}"
    run.model.save_pretrained(weights)
    tokenizer().save_pretrained(weights)
    (weights / "measured.json").write_text(json.dumps(row, indent=2) + "\n")
    return row


def train(run: Run, seed: int, folder: Path, quiz: list[Any]) -> None:
    """Trains one run to all its checkpoints, from wherever it stands."""
    import torch

    recipe, trunk = run.recipe, folder / "trunk.pt"
    folder.mkdir(parents=True, exist_ok=True)
    run.begin(seed)
    if trunk.exists():
        run.restore(torch.load(trunk, map_location=run.device))
    for number, tokens in enumerate(recipe.tokens):
        if number < run.counters["done"]:
            continue
        run.advance((1 - recipe.cooldown) * tokens, None)
        torch.save(run.state(), folder / "begun.pt")
        run.advance(tokens, float(run.counters["tokens"]))
        row = measure(run, folder, tokens, quiz)
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        spent = run.counters["seconds"]
        run.restore(torch.load(folder / "begun.pt", map_location=run.device))
        run.counters.update(done=number + 1, seconds=spent)
        torch.save(run.state(), folder / "part.pt")
        (folder / "part.pt").replace(trunk)
        (folder / "begun.pt").unlink()


def table(out: Path) -> None:
    """Collects every checkpoint's row into `ladder.csv`, by run and tokens."""
    rows = [json.loads(found.read_text()) for found in out.glob("*/*/*/measured.json")]
    with (out / "ladder.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(
            sorted(rows, key=lambda row: (int(row["rung"]), row["seed"], row["target"]))
        )


def main() -> None:
    """Command line: a recipe, an output folder, optionally only some rungs and seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default=HERE / "ladder.yaml")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "ladder")
    parser.add_argument("--rungs", nargs="*", help="only these; default all, in the recipe's order")
    parser.add_argument(
        "--seeds", nargs="*", type=int, help="only these; default all that the recipe names"
    )
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    recipe = load(given.recipe)
    quiz = held_out(recipe.held_out, recipe.cut, 4 * recipe.batch_tokens)
    for name in given.rungs or recipe.rungs:
        run = Run(recipe, recipe.rungs[name])
        for seed in given.seeds or recipe.rungs[name].seeds:
            train(run, seed, given.out / name / str(seed), quiz)
            table(given.out)


if __name__ == "__main__":
    main()
