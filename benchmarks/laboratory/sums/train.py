r"""Trains the rungs of a recipe: constant learning rate, and a short cool-down for every checkpoint
that is wanted.

One trunk at constant rate serves all token counts of a rung; at (1 - cooldown) of each count a
branch cools down, is measured and saved, and the trunk goes on from where the branch began.
Everything is written to disk every two minutes, so a killed run goes on where it was. One thread,
compiled: two threads are slower than one on models of this size when anything else runs.

    python -m benchmarks.laboratory.sums.train benchmarks/laboratory/sums/quickstart.yaml \
        --out benchmarks/laboratory/out/quickstart
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.laboratory.sums import evaluate
from benchmarks.laboratory.sums.data import batches
from benchmarks.laboratory.sums.recipe import Recipe, Rung, build, load, sizes
from testtime.compute.flops import Flops

SAVE_SECONDS = 120.0
FIELDS = [
    "rung",
    "parameters",
    "parameters_total",
    "tokens",
    "c_6nd",
    "flops",
    "loss",
    "loss_se",
    "accuracy",
    "seconds",
]


class Run:
    """One rung's training state: model, optimizer, and the counters that say how far it is."""

    def __init__(self, recipe: Recipe, rung: Rung, folder: Path) -> None:
        import torch

        self.recipe, self.rung, self.folder = recipe, rung, folder
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = build(rung, recipe.seed).to(self.device)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim == 1]
        groups = [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=rung.lr, betas=(0.9, 0.98), fused=True)
        self.counters = {"step": 0, "tokens": 0, "flops": 0.0, "seconds": 0.0, "done": 0}
        self.costs = Flops.from_config(self.model.config.to_dict())
        self.compiled = torch.compile(self.loss, dynamic=True)

    def loss(self, x: Any, w: Any) -> Any:
        """Mean cross-entropy over the tokens that carry loss."""
        from torch.nn import functional

        logits = self.model(input_ids=x[:, :-1].contiguous(), use_cache=False).logits
        each = functional.cross_entropy(
            logits.flatten(0, 1).float(), x[:, 1:].flatten(), reduction="none"
        )
        return (each * w[:, 1:].flatten()).sum() / w[:, 1:].sum()

    def save(self, name: str) -> None:
        """Writes the whole state; renamed into place, so a file is whole or absent."""
        import torch

        part = self.folder / f"{name}.part"
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "counters": self.counters,
        }
        torch.save(state, part)
        part.replace(self.folder / f"{name}.pt")

    def restore(self, name: str) -> None:
        """Reads the state back, if there is one."""
        import torch

        if (self.folder / f"{name}.pt").exists():
            state = torch.load(self.folder / f"{name}.pt", map_location=self.device)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.counters = state["counters"]

    def advance(self, until: float, cool_from: float | None, bar: Any) -> None:
        """Trains to `until` tokens; from `cool_from` on the learning rate falls linearly to 0."""
        import torch

        c = self.counters
        saved = time.monotonic()
        for inputs, mask in batches(
            self.recipe.mixture, self.recipe.seed, self.recipe.batch_tokens, int(c["step"])
        ):
            if c["tokens"] >= until:
                return
            begin = time.monotonic()
            scale = min(1.0, (c["tokens"] + 1) / self.recipe.warmup_tokens)
            if cool_from is not None:
                scale = max(0.0, (until - c["tokens"]) / (until - cool_from))
            for group in self.optimizer.param_groups:
                group["lr"] = self.rung.lr * scale
            loss = self.compiled(
                torch.from_numpy(inputs).to(self.device), torch.from_numpy(mask).to(self.device)
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            lengths = (inputs != 0).sum(1)
            c["step"] += 1
            c["tokens"] += int(lengths.sum())
            c["flops"] += 3 * float(
                self.costs.forward(0, lengths, lengths).sum()
            )  # forward, and backward twice that
            c["seconds"] += time.monotonic() - begin
            bar.update(int(lengths.sum()))
            if c["step"] % 50 == 0:
                bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
            if cool_from is None and time.monotonic() - saved > SAVE_SECONDS:
                self.save("trunk")
                saved = time.monotonic()


def measure(run: Run, tokens: int) -> dict[str, Any]:
    """The row of the ladder's table for the model as it stands; the model is saved beside it."""
    from benchmarks.laboratory.sums.vocabulary import build as tokenizer

    recipe = run.recipe
    run.model.eval()
    tasks = list(recipe.mixture.tasks)
    value, error = evaluate.loss(
        run.model, recipe.mixture, recipe.held_out, 4 * recipe.batch_tokens
    )
    scores = evaluate.accuracy(run.model, tasks, 200)
    run.model.train()
    small, total = sizes(run.model)
    c = run.counters
    weights = run.folder / f"{tokens}"
    run.model.save_pretrained(weights)
    tokenizer().save_pretrained(weights)
    row = {
        "rung": run.rung.name, "parameters": small, "parameters_total": total,
        "tokens": c["tokens"], "c_6nd": 6.0 * small * c["tokens"], "flops": c["flops"],
        "loss": value, "loss_se": error,
        "accuracy": float(sum(scores[t].mean() for t in tasks) / len(tasks)),
        "seconds": c["seconds"],
    }  # fmt: skip
    (weights / "measured.json").write_text(
        json.dumps({**row, "by_task": {t: float(scores[t].mean()) for t in tasks}})
    )
    return row


def train(recipe: Recipe, rung: Rung, folder: Path) -> None:
    """Trains one rung to all its checkpoints, from wherever it stands."""
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    run = Run(recipe, rung, folder)
    run.restore("trunk")
    for number, tokens in enumerate(rung.tokens):
        if number < run.counters["done"]:
            continue
        begin = (1 - recipe.cooldown) * tokens
        done = int(run.counters["tokens"])
        with tqdm(
            total=tokens, initial=done, desc=f"rung {rung.name}", unit="tok", mininterval=5
        ) as bar:
            run.advance(begin, None, bar)
            run.save("trunk")
            run.advance(tokens, float(run.counters["tokens"]), bar)
        row = measure(run, tokens)
        with (folder / "checkpoints.jsonl").open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(row, flush=True)
        spent = run.counters["seconds"]
        run.restore("trunk")
        run.counters["done"], run.counters["seconds"] = number + 1, spent
        run.save("trunk")


def table(out: Path, names: list[str]) -> None:
    """Collects every rung's checkpoints into `ladder.csv`; a checkpoint measured twice keeps its
    last row.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for name in names:
        lines = out / name / "checkpoints.jsonl"
        for line in lines.read_text().splitlines() if lines.exists() else []:
            row = json.loads(line)
            rows[name, row["tokens"]] = row
    with (out / "ladder.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows.values())


def main() -> None:
    """Command line: a recipe, an output folder, optionally only some rungs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rungs", nargs="*", help="only these; default all, in the recipe's order")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    recipe = load(given.recipe)
    for name in given.rungs or recipe.rungs:
        train(recipe, recipe.rungs[name], given.out / name)
        table(given.out, list(recipe.rungs))


if __name__ == "__main__":
    main()
