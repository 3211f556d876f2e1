"""A task's YAML and data from a stranger: it reads nothing but its row, and permits itself nothing."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from testtime import tasks
from testtime.errors import UserError
from testtime.tasks import patterns, render
from testtime.tasks.template import fill

ROW = {
    "question": "q", "n": 3, "x": 0.123456, "when": datetime.date(2024, 1, 2), "metadata": {"a b": "deep", "l": [5, 6]},
    "Correct Answer": "yes", "list": ["first", "second"],
}  # fmt: skip


@pytest.mark.parametrize(
    "template",
    [
        "{when.isoformat.__globals__}", "{question.__class__}", "{question!r}", "{metadata.items}", "{question[0]}",
        "{question:>9999999999}", "{n:999999d}", "{x:.99999f}", "{n:{n}}", "{when:%Y}", "{list:>5}", "{metadata[__class__]}",
        "{list[-1]}", "{list[9]}", "{}", "{0}", "{", "}", "{question", "{metadata[a b]", "{n:>201}",
    ],
)  # fmt: skip
def test_a_template_reaches_no_attribute_and_pads_to_no_width(template: str) -> None:
    with pytest.raises(UserError, match=r"no template|no field"):
        render.text(template, ROW, "x.yaml")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{question} {{n}} {n}", "q {n} 3"), ("{x:.2f}|{n:>4}|{n:03d}|{x:%}", "0.12|   3|003|12.345600%"),
        ("{metadata[a b]}{metadata[l][1]}{list[0]}", "deep6first"), ("{Correct Answer}", "yes"), ("\\boxed{{{n}}}", "\\boxed{3}"),
        ("{when}", "2024-01-02"), ("", ""),
    ],
)  # fmt: skip
def test_what_templates_can_say(template: str, said: str) -> None:
    assert fill(template, ROW) == said


def task(tmp_path: Path, rows: list[dict[str, Any]] | None = None, **more: Any) -> str:
    (tmp_path / "rows.jsonl").write_text(
        "\n".join(json.dumps(row) for row in rows or [{"question": "q", "answer": "1"}])
    )
    spec = {
        "name": "t", "description": "d", "license": "MIT", "loader": {"kind": "file", "path": str(tmp_path / "rows.jsonl")},
        "grader": {"name": "math"}, **more,
    }  # fmt: skip
    path = tmp_path / "t.yaml"
    path.write_text(json.dumps(spec))
    return str(path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"allow_code": True}, "cannot permit this"),
        ({"allow_unsandboxed": False}, "cannot permit this"),
        ({"model": "m", "engine": {"name": "endpoint", "args": {"urls": "http://h/v1"}}}, "which server"),
    ],
)  # fmt: skip
def test_a_file_grants_itself_nothing(tmp_path: Path, options: Any, says: str) -> None:
    path = task(tmp_path, grader={"name": "code", "options": options})
    with pytest.raises(UserError, match=says):
        tasks.load(path)


def test_the_config_may_and_keeps_the_files_other_options(tmp_path: Path) -> None:
    path = task(tmp_path, grader={"name": "code", "options": {"cpu_s": 30}})
    loaded = tasks.load(path, overrides={"grader": {"options": {"allow_code": True}}})
    assert loaded.grader_options == {"cpu_s": 30, "allow_code": True}


def test_a_pattern_that_would_hang_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.2)
    rows = [{"question": "q", "answer": "a" * 60 + "!"}]
    for pattern, says in (
        (r"^((a|aa|a?)+)+$", "takes over"), ("(", "no regular expression"), ("a+", "captures nothing"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=says):
            tasks.load(task(tmp_path, rows, gold_pattern=pattern))
    assert tasks.load(task(tmp_path, rows, gold_pattern="(a+)")).problems[0].gold == "a" * 60
