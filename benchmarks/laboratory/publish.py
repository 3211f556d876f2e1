"""Copies finished models into the zoo as half-precision weights, each with a card that says how it was made.

    python -m benchmarks.laboratory.publish ladder benchmarks/laboratory/ladder.yaml --out benchmarks/laboratory/out/ladder
    python -m benchmarks.laboratory.publish agent benchmarks/laboratory/agent.yaml --out benchmarks/laboratory/out/agent

The weights are half precision to keep the package small; the configuration says float32, so that is what they are
loaded as.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.laboratory import agent
from benchmarks.laboratory.recipe import Recipe, Rung, load
from testtime import zoo

FILES = ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja")
CARDS = Path(__file__).parent / "cards"


def copy(source: Path, name: str) -> Path:
    """The model in `source` as the zoo's `name`, without its card; returns the folder."""
    import torch
    from safetensors.torch import load_file, save_file

    target = zoo.ROOT / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in FILES:
        if (source / file).exists():
            shutil.copyfile(source / file, target / file)
    weights = {
        key: value.to(torch.float16)
        for key, value in load_file(source / "model.safetensors").items()
    }
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings.pop("backend", None)
    settings["tokenizer_class"] = (
        "PreTrainedTokenizerFast"  # the name that transformers 4 and 5 both know
    )
    (target / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    return target


def rung_card(name: str, recipe: Recipe, rung: Rung, row: dict[str, Any], command: str) -> str:
    """The card of a rung: what it is, how it was trained, on how many tokens, with which loss, in
    how long.
    """
    return (
        (CARDS / "ladder.md")
        .read_text()
        .format(
            name=name,
            recipe=recipe,
            rung=rung,
            rate=recipe.rate / rung.hidden,
            command=command,
            **row,
        )
    )


def ladder(recipe_path: str, out: Path) -> None:
    """Every rung's first seed at its last token count, and the table of all runs."""
    recipe = load(recipe_path)
    rows = pd.read_csv(out / "ladder.csv", dtype={"rung": str})
    shutil.rmtree(zoo.ROOT / "ladder", ignore_errors=True)
    for rung in recipe.rungs.values():
        mine = rows[(rows["rung"] == rung.name) & (rows["seed"] == rung.seeds[0])]
        row: dict[str, Any] = mine.sort_values("target").iloc[-1].to_dict()
        target = copy(
            out / rung.name / str(rung.seeds[0]) / str(row["target"]), f"ladder/{rung.name}"
        )
        command = (
            f"python -m benchmarks.laboratory.train {recipe_path} --out {out} --rungs {rung.name}"
        )
        (target / "training.json").write_text(json.dumps(row, indent=2) + "\n")
        (target / "README.md").write_text(
            rung_card(f"ladder/{rung.name}", recipe, rung, row, command)
        )
    rows.to_csv(zoo.ROOT / "ladder" / "ladder.csv", index=False)


def one(found: dict[str, Any], form: str = ".3f") -> str:
    """A figure with its interval: `.812 [.790, .833]`."""
    return "{} [{}, {}]".format(
        *(format(found[key], form).replace("0.", ".") for key in ("value", "lo", "hi"))
    )


def agents(recipe_path: str, out: Path, proofs: Path) -> None:
    """The agent and its step model, with the card of roles."""
    raw = yaml.safe_load(Path(recipe_path).read_text())
    found = json.loads(proofs.read_text())
    command = f"python -m benchmarks.laboratory.agent {recipe_path} --out {out}"
    for name in ("agent", "prm"):
        target = copy(out / name, name)
        made = json.loads((out / name / "training.json").read_text())
        (target / "training.json").write_text(json.dumps(made, indent=2) + "\n")
        text = (CARDS / f"{name}.md").read_text()
        (target / "README.md").write_text(
            text.format(
                command=command, raw=raw, rows=rows(found), steps=by_step(found), first=agent.FIRST
            )
        )
    (zoo.ROOT / "agent" / "roles.json").write_text(json.dumps(found, indent=1) + "\n")


def rows(found: dict[str, Any]) -> str:
    """The roles' figures as lines of a table."""
    solve, revise, verify = found["solve"], found["revise"], found["verify"]
    lines = [
        (
            "solve, 2 to 4 functions",
            f"one sample {one(solve['1'])}, majority of 8 {one(solve['8'])}",
        ),
        (
            "revise",
            f"P(wrong -> right) {one(revise['mended'])}, P(right -> wrong) {one(revise['spoilt'])}",
        ),
        (
            "",
            f"accuracy {one(revise['before'])} -> {one(revise['after'])}, gain {one(revise['gain'], '+.3f')}",
        ),
        (
            "verify, P(yes)",
            f"AUC {one(verify['auc'])}, within a question {one(verify['auc within questions'])}",
        ),
        (
            "",
            f"one sample {one(verify['one sample'])}, best of 8 by P(yes) {one(verify['best of 8 by P(yes)'])}",
        ),
    ]
    for role, words in (
        ("tool", "lookup, hard questions"),
        ("decompose", "split and join, 8 and 10 functions"),
    ):
        for n in ("1", "16"):
            part = found[role][n]
            how = f"without {one(part['without'])}, with {one(part['with'])}, gain {one(part['gain'], '+.3f')}"
            lines.append(
                (
                    words if n == "1" else "",
                    f"{'one sample' if n == '1' else 'majority of 16'}: {how}",
                )
            )
    return "\n".join(f"| {words} | {figures} |" for words, figures in lines)


def by_step(found: dict[str, Any]) -> str:
    """The step model's figures as lines of a table."""
    return "\n".join(
        f"| {'all steps' if key == 'auc' else key} | {one(v)} |"
        for key, v in found["steps"].items()
    )


def main() -> None:
    """Command line: which family, its recipe and its output folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["ladder", "agent"])
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--proofs", type=Path, default=Path(__file__).parent / "roles.json")
    given = parser.parse_args()
    if given.what == "ladder":
        ladder(given.recipe, given.out)
    else:
        agents(given.recipe, given.out, given.proofs)


if __name__ == "__main__":
    main()
