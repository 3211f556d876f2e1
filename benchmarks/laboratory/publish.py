"""Copies finished models into the zoo as half-precision weights, each with a card that says how it
was made.

    python -m benchmarks.laboratory.publish ladder
    python -m benchmarks.laboratory.publish agent

The weights are half precision to keep the package small; the configuration says float32, so that is
what they are loaded as.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.laboratory.recipe import HERE, Recipe, Rung, load
from testtime import zoo

FILES = ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja")
CARDS = HERE / "cards"


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
    (target / "model.safetensors").chmod(0o644)
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
            rate=recipe.rate / rung.hidden,
            command=command,
            **{**row, "rung": rung},
        )
    )


def ladder(out: Path) -> None:
    """Every rung's first seed at its last token count, and the table of all runs."""
    recipe = load(HERE / "ladder.yaml")
    rows = pd.read_csv(out / "ladder.csv", dtype={"rung": str})
    shutil.rmtree(zoo.ROOT / "ladder", ignore_errors=True)
    for rung in recipe.rungs.values():
        mine = rows[(rows["rung"] == rung.name) & (rows["seed"] == rung.seeds[0])]
        last = mine.sort_values("target").iloc[[-1]]
        row = json.loads(last.to_json(orient="records", double_precision=15))[0]
        target = copy(
            out / rung.name / str(rung.seeds[0]) / str(row["target"]), f"ladder/{rung.name}"
        )
        command = f"python -m benchmarks.laboratory.train --rungs {rung.name}"
        (target / "training.json").write_text(json.dumps(row, indent=2) + "\n")
        (target / "README.md").write_text(
            rung_card(f"ladder/{rung.name}", recipe, rung, row, command)
        )
    rows.to_csv(zoo.ROOT / "ladder" / "ladder.csv", index=False)


def one(found: dict[str, float], form: str = ".3f") -> str:
    """A figure with its interval: `.812 [.790, .833]`."""
    return "{} [{}, {}]".format(
        *(format(found[key], form).replace("0.", ".") for key in ("value", "lo", "hi"))
    )


def agents(out: Path) -> None:
    """The agent and its step model, with the card of roles."""
    raw = yaml.safe_load((HERE / "agent.yaml").read_text())
    found = json.loads((HERE / "roles.json").read_text())
    command = "python -m benchmarks.laboratory.agent"
    for name in ("agent", "prm"):
        target = copy(out / name, name)
        stages = [out / "first", out / "agent", out / "prm"][: 2 if name == "agent" else 3]
        (target / "training.json").write_text(json.dumps(spent(stages), indent=2) + "\n")
        text = (CARDS / f"{name}.md").read_text()
        (target / "README.md").write_text(
            text.format(command=command, raw=raw, rows=rows(found), steps=by_step(found))
        )
    (zoo.ROOT / "agent" / "roles.json").write_text(json.dumps(found, indent=1) + "\n")


def spent(stages: list[Path]) -> dict[str, float]:
    """Parameters without embeddings, and the tokens, FLOPs and seconds of all stages together."""
    from safetensors import safe_open

    with safe_open(stages[-1] / "model.safetensors", "pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    size = sum(math.prod(shape) for key, shape in shapes.items() if "embed" not in key)
    made = [json.loads((stage / "training.json").read_text()) for stage in stages]
    sums = {key: sum(one[key] for one in made) for key in ("tokens", "flops", "seconds")}
    return {"parameters": size, **sums}


def rows(found: dict[str, Any]) -> str:
    """The roles' figures as lines of a table."""
    solve = found["solve"]
    lines = [
        (
            "solve, 2 to 4 functions",
            f"one sample {one(solve['1'])}, majority of 8 {one(solve['8'])}",
        ),
    ]
    for key in ("revise", "revise greedily"):
        said = {name: one(value) for name, value in found[key].items()}
        lines += [
            (key, f"P(wrong to right) {said['mended']}, P(right to wrong) {said['spoilt']}"),
            ("", f"accuracy {said['before']}, after {said['after']}, gain {said['gain']}"),
        ]
    for key in ("verify", "verify by thinking", "verify by thinking, 4 times"):
        said = {name: one(value) for name, value in found[key].items()}
        lines += [
            (f"{key}, P(yes)", f"AUC {said['auc']}, inside a question {said['inside']}"),
            ("", f"one sample {said['one sample']}, best of 8 by P(yes) {said['best of 8']}"),
        ]
    for role, words in (("tool", "lookup, hard questions"), ("decompose", "split and join")):
        for n, drawn in (("1", "one sample"), ("16", "majority of 16")):
            part = {key: one(value) for key, value in found[role][n].items()}
            how = f"without {part['without']}, with {part['with']}, gain {part['gain']}"
            lines.append((words if n == "1" else "", f"{drawn}: {how}"))
    return "\n".join(f"| {words} | {figures} |" for words, figures in lines)


def by_step(found: dict[str, Any]) -> str:
    """The step model's figures as lines of a table."""
    answers = {key: one(value) for key, value in found["steps"]["answers"].items()}
    lines = [(key, one(value)) for key, value in found["steps"]["steps"].items()]
    lines += [
        ("answers, by the last step", f"{answers['auc']}, inside a question {answers['inside']}"),
        (
            "choosing by the last step",
            f"best of 8 {answers['best of 8']}, one sample {answers['one sample']}",
        ),
    ]
    return "\n".join(f"| {words} | {figures} |" for words, figures in lines)


def main() -> None:
    """Command line: which family, its recipe and its output folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["ladder", "agent"])
    parser.add_argument("--out", type=Path, help="default: benchmarks/laboratory/out/WHAT")
    given = parser.parse_args()
    out = given.out or HERE / "out" / given.what
    if given.what == "ladder":
        ladder(out)
    else:
        agents(out)


if __name__ == "__main__":
    main()
