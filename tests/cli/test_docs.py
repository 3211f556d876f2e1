"""Every command of the README and of docs/commands.md is run, in the order they stand there, with
the files that the README shows.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import testtime
from tests.engines.test_reward import build
from tests.importers import test_inspect, test_lm_eval
from tests.report import made
from testtime.cli.app import app
from testtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = README + (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
LADDER = ["--set", "task=[{name: facts, limit: 8}]", "--set", "model=[ladder/0, ladder/1]"]
SMALL = ["--set", "task.limit=8", "--set", "samples=4", "--set", "engine=transformers"]


def commands() -> list[str]:
    """Lines of sh blocks, and commands in the first column of the table of commands."""
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    table = re.findall(r"^\| `((?:testtime|make) [^`]*)` \|", TEXT, re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [*(part.strip() for line in lines for part in line.split("&&")), *table]


def call(line: str) -> Result:
    words = [
        name
        for word in shlex.split(line)[1:]
        for name in (sorted(map(str, Path().glob(word))) or [word] if "*" in word else [word])
    ]
    if words[:2] == ["run", "configs/ladder.yaml"]:
        words += [*LADDER, *SMALL[2:]]
    elif (
        words[0] == "run"
    ):  # the same command on fewer problems; what a line sets itself comes last and wins
        words = (
            [*words[:2], *SMALL, *words[2:]] if "try.yaml" not in words else [*words, *SMALL[-2:]]
        )
    return CliRunner().invoke(app, words)


def folder(root: Path) -> None:
    """A folder as a reader of the README would have it."""
    shutil.copytree(ROOT / "configs", root / "configs")
    shown = re.findall(r"```yaml\n# (\S+)\n(.*?)```", README, re.DOTALL)
    for name, content in shown + re.findall(
        r"`(\S+\.csv)`:\n\n```csv\n(.*?)```", README, re.DOTALL
    ):
        (root / name).write_text(content)
    test_lm_eval.folder(root / "lm-eval-output", [test_lm_eval.STRICT], test_lm_eval.ROWS)
    log = test_inspect.log([test_inspect.sample("a", 1, "C"), test_inspect.sample("b", 1, "I")])
    log["eval"]["task"] = "quiz"
    (root / "inspect-log.json").write_text(json.dumps(log))
    made.scores(4, 2).rename(columns={"problem_id": "question_id"}).to_csv(
        root / "scores.csv", index=False
    )
    runs = [
        f"{n},{d},{1.8 + 480 / n**0.35 + 2000 / d**0.37}"
        for n in (1e7, 1e8, 1e9)
        for d in (1e9, 1e10, 1e11)
    ]
    build(root / "reward-model")
    (root / "training-runs.csv").write_text("\n".join(["N,D,loss", *runs]))


def test_readme_and_commands_show_every_command() -> None:
    shown = {shlex.split(line)[1] for line in commands() if line.startswith("testtime")}
    assert shown == set(commands_of(app))


def test_files_that_the_readme_names_exist() -> None:
    for name in re.findall(r"\]\((?!http)([^)]+)\)|`((?:configs/|CONTRIB)[^`*]+)`", README):
        assert (ROOT / (name[0] or name[1])).exists(), name


@pytest.mark.slow
def test_every_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in commands():
        if line.startswith("make "):
            plan = subprocess.run(
                ["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True
            )
            assert plan.returncode == 0, plan.stderr
            continue
        result = call(line)
        assert result.exit_code == 0 and result.output.strip(), (
            f"{line}: {result.output} {result.exception!r}"
        )
    run = testtime.run
    monkeypatch.setattr(testtime, "run", lambda config: run(config, SMALL[1::2]))
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(block, {"__name__": "__main__"})
    assert (
        tmp_path / "runs" / "quickstart" / "quickstart" / "report" / "index.html"
    ).stat().st_size > 100_000
    assert (tmp_path / "runs" / "try" / "quickstart" / "tables" / "cells.parquet").is_file()
    assert (tmp_path / "exported" / "README.md").is_file()
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("ladder.png", "compare.png"))
    assert len(list((tmp_path / "imported").glob("*/*/run.json"))) == 3


def test_help_of_every_command_has_an_example() -> None:
    for name, inner in commands_of(app).items():
        for words in [[name, sub] for sub in inner] or [[name]]:
            helped(words)


def commands_of(typed: Any) -> dict[str, list[str]]:
    """Every command, and those of a group."""
    group: Any = typer.main.get_command(typed)
    return {name: [*getattr(one, "commands", {})] for name, one in group.commands.items()}


def helped(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    said = " ".join(result.output.split())
    assert result.exit_code == 0 and f"Example: testtime {' '.join(words)}" in said, words


@pytest.mark.parametrize(
    "words",
    [["report", "nowhere"], ["show", "nowhere"], ["laws", "testtime", "nowhere.csv"], ["import", "csv", "nowhere.csv"],
     ["import", "inspect", "nowhere.eval"], ["import", "lm-eval", "nowhere"], ["export", "tidy", "nowhere", "x"]],
)  # fmt: skip
def test_what_does_not_exist_is_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, UserError) and "nowhere" in str(result.exception)
    assert "\n" not in str(result.exception)
