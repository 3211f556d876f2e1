"""Copies a finished checkpoint into the zoo and writes its card.

python -m benchmarks.laboratory.sums.publish RECIPE --out FOLDER --zoo quickstart
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.laboratory.sums.recipe import Recipe, Rung, load
from testtime import zoo

FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "chat_template.jinja",
)


def card(name: str, recipe: Recipe, rung: Rung, measured: dict[str, Any], command: str) -> str:
    """The card: what the model is, how it was trained, on how many tokens, with which loss, in how
    long.
    """
    mixture = recipe.mixture
    by_task = ", ".join(f"{task} {value:.3f}" for task, value in measured["by_task"].items())
    return f"""# {name}

A Llama of {rung.layers} layers x {rung.hidden} ({rung.heads} heads of 32, MLP {rung.mlp}), float32:
{measured["parameters"]:,} parameters, {measured["parameters_total"]:,} with embeddings. Trained from scratch on
{", ".join(mixture.tasks)} (reasoning-gym), to write its working out between `<think>` and `</think>` and the answer
after it. Apache-2.0, as the package.

| | |
| --- | --- |
| tokens | {measured["tokens"]:,} (prompt, thinking and answer) |
| training FLOPs | {measured["flops"]:.3g} exact, {measured["c_6nd"]:.3g} as 6ND |
| held-out loss | {measured["loss"]:.4f} +- {measured["loss_se"]:.4f} nats per thinking or answer token |
| accuracy, greedy, full thinking | {by_task} (200 problems each) |
| time | {measured["seconds"] / 60:.1f} minutes on one shared CPU core, earlier checkpoints' cool-downs included |

Data: the tasks' own levels in `testtime/tasks`, traces as `benchmarks/laboratory/sums/traces.py` writes them.
{mixture.cut:.0%} of the chains are cut at a random place and closed by force. AdamW, constant learning
rate {rung.lr:g} with a linear cool-down over the last {recipe.cooldown:.1%}, batches of about
{recipe.batch_tokens:,} tokens, seed {recipe.seed}. Held-out loss on {recipe.held_out:,} examples of other seeds.

Trained again by `{command}`.
"""


def publish(recipe_path: str, recipe: Recipe, rung: Rung, out: Path, name: str) -> None:
    """Copies the rung's last checkpoint from `out` to the zoo folder `name`, with its card."""
    source = out / rung.name / str(rung.tokens[-1])
    target = zoo.ROOT / name
    target.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copyfile(source / file, target / file)
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings.pop("backend", None)
    settings["tokenizer_class"] = (
        "PreTrainedTokenizerFast"  # the name that transformers 4 and 5 both know
    )
    (target / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    measured = json.loads((source / "measured.json").read_text())
    command = (
        f"python -m benchmarks.laboratory.sums.train {recipe_path} --out {out} --rungs {rung.name}"
    )
    (target / "training.json").write_text(json.dumps(measured, indent=2) + "\n")
    (target / "README.md").write_text(card(name, recipe, rung, measured, command))


def main() -> None:
    """Command line: the recipe, its output folder, and the zoo's name (a folder of rungs where
    there are several).
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--zoo", required=True)
    given = parser.parse_args()
    recipe = load(given.recipe)
    for rung in recipe.rungs.values():
        name = given.zoo if len(recipe.rungs) == 1 else f"{given.zoo}/{rung.name}"
        publish(given.recipe, recipe, rung, given.out, name)


if __name__ == "__main__":
    main()
