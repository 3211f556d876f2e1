"""The commands as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """\
task: {name: chain_sum, limit: 4}
model: quickstart
engine: transformers
thinking: {budgets: [0, 16]}
answer: {max_tokens: 8}
samples: 2
resamples: 100
"""


def typed(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "testtime", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `testtime run study.yaml` has run."""
    path = tmp_path_factory.mktemp("cli")
    (path / "study.yaml").write_text(CONFIG)
    done = typed("run", "study.yaml", cwd=path)
    assert done.returncode == 0, done.stderr
    (path / "said.txt").write_text(done.stdout + done.stderr)
    return path


def test_run_says_the_engine_prints_a_table_and_where_the_report_is(folder: Path) -> None:
    said = (folder / "said.txt").read_text()
    assert "engine: transformers" in said and "accuracy in % by thinking budget and n" in said
    assert "next: testtime compare runs/" in said and "testtime show runs/" in said
    assert "report: " in said and "n = 2" in said and "Loading weights" not in said


def test_status_grade_and_report_on_a_finished_run(folder: Path) -> None:
    run = "runs/study/quickstart"
    status = json.loads(typed("status", run, "--json", cwd=folder).stdout)
    assert status["done"] == status["wanted"] == 8 and status["tables"]
    assert "accuracy" in typed("grade", run, cwd=folder).stdout
    assert "report" in typed("report", run, cwd=folder).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "study.yaml", "--set", "sampels=3"], "did you mean 'samples'"),
        (["run", "study.yaml", "--set", "thinking.budgets=[-1]"], "thinking.budgets"),
        (["run", "study.yaml", "--set", "n=[64]"], "n: 64 is more than samples"),
        (["run", "study.yaml", "--set", "sampling.presence_penalty=1"], "presence_penalty"),
        (["run", "study.yaml", "--set", "model=./no/model"], "no folder with a config.json"),
        (["run", "study.yaml", "--set", "task.overrides={path: empty.jsonl}"], "empty"),
        (["run", "absent.yaml"], "cannot be read"),
        (["status", "nowhere"], "no run here"),
        (["grade", "nowhere"], "no run here"),
        (["report", "nowhere"], "no run here"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2_and_writes_nothing(
    tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "study.yaml").write_text(CONFIG)
    (tmp_path / "empty.jsonl").write_text("")
    before = sorted(tmp_path.rglob("*"))
    done = typed(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    last = [line for line in done.stderr.strip().splitlines() if line.startswith("testtime: ")]
    assert len(last) == 1 and said in last[0] and "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "pandas", "matplotlib", "scipy", "transformers")
    code = f"import sys, testtime.cli.app; print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        == "[]"
    )


def test_doctor_says_what_can_run(tmp_path: Path) -> None:
    found = json.loads(typed("doctor", "--json", cwd=tmp_path).stdout)
    assert found["engines"]["transformers"]["ready"] and set(found["engines"]) == {
        "transformers",
        "vllm",
        "endpoint",
        "ray",
    }


def test_a_figure_that_cannot_be_drawn_is_refused_before_the_work(tmp_path: Path) -> None:
    done = typed("compare", "absent.csv", "--figure", "x.jpg", cwd=tmp_path)
    assert done.returncode == 2 and "x.jpg: a figure's name ends in one of .png" in done.stderr


def test_the_version(tmp_path: Path) -> None:
    assert typed("--version", cwd=tmp_path).stdout.startswith("testtime 0.")


def test_warnings_of_libraries_stay_away_here_and_in_processes_below(tmp_path: Path) -> None:
    warn = "import warnings; warnings.warn('old', FutureWarning); warnings.warn('mine')"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {warn!r}])"
    code = f"from testtime.cli.app import quiet; quiet(); {warn}; {below}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "old" not in done.stderr and done.stderr.count("UserWarning: mine") == 2


def test_an_unknown_problem_lists_few_others(folder: Path) -> None:
    done = typed("show", "runs/study/quickstart", "zebra", cwd=folder)
    assert (
        done.returncode == 2 and "no problem 'zebra' in this run; known: chain_sum/0" in done.stderr
    )
