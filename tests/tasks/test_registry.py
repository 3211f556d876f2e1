"""Loading benchmarks: determinism, sampling, overrides, and the one clear line for every
mistake.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testtime import tasks
from testtime.errors import UserError
from testtime.grading import check_golds

OWN = """
name: capitals
description: Capitals of countries.
license: CC0
loader: {kind: file, path: PATH}
id: "{code}"
question: What is the capital of {country}?
gold: "{capital}"
prompt: "{question} One word."
grader: {name: text}
meta: {size: "{size}"}
"""
ROWS = [
    {"code": "fr", "country": "France", "capital": "Paris", "size": 3},
    {"code": "it", "country": "Italy", "capital": "Rome", "size": 2},
    {"code": "es", "country": "Spain", "capital": "Madrid", "size": 1},
]
LOCAL = {
    "gsm8k": ("gsm8k_test.jsonl", 1319, "18"),
    "math500": ("math500.jsonl", 500, r"\left( 3, \frac{\pi}{2} \right)"),
    "aime_2024": ("aime_2024.jsonl", 30, "204"),
    "aime_2025": ("aime_2025.jsonl", 30, "70"),
    "aqua": ("aqua_test.jsonl", 254, None),
    "mmlu_stem": ("mmlu_stem_test.jsonl", 3018, None),
    "humaneval": ("humaneval.jsonl.gz", 164, None),
    "mbpp": ("mbpp.jsonl", 500, None),
    "bbh_choice": ("bbh/date_understanding.json", 250, "(B)"),
    "bbh_free": ("bbh/object_counting.json", 250, "8"),
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A benchmark of one's own in one YAML and one data file."""
    data = tmp_path / "capitals.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n")
    yaml = tmp_path / "capitals.yaml"
    yaml.write_text(OWN.replace("PATH", str(data)))
    return yaml


def test_a_new_benchmark_is_one_yaml(own: Path) -> None:
    task = tasks.load(own)
    assert [problem.id for problem in task.problems] == ["fr", "it", "es"]
    first = task.problems[0]
    assert (first.question, first.gold) == ("What is the capital of France?", "Paris")
    assert first.messages == [
        {"role": "user", "content": "What is the capital of France? One word."}
    ]
    assert first.meta == {"size": 3}
    assert (task.name, task.grader, task.grader_options) == ("capitals", "text", {})


def test_loading_is_deterministic_and_a_larger_limit_extends_a_smaller(own: Path) -> None:
    for seed in range(5):
        small = {problem.id for problem in tasks.load(own, limit=1, seed=seed).problems}
        large = [problem.id for problem in tasks.load(own, limit=2, seed=seed).problems]
        assert small < set(large)
        assert large == [problem.id for problem in tasks.load(own, limit=2, seed=seed).problems]
        assert large == sorted(large, key=["fr", "it", "es"].index)
    assert len({tasks.load(own, limit=1, seed=seed).problems[0].id for seed in range(20)}) == 3


def test_overrides_reach_every_part(own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({**ROWS[0], "capital": "Lyon"}))
    task = tasks.load(
        own, overrides={"path": other, "grader": {"options": {}}, "prompt": "{question}"}
    )
    assert task.problems[0].gold == "Lyon"
    assert tasks.load(own, overrides={"where": {"size": {"min": 2}}}).problems[1].id == "it"
    assert [
        p.id for p in tasks.load(own, overrides={"where": {"code": ["es", "it"]}}).problems
    ] == ["it", "es"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"promt": "x"}, "unknown key 'promt'; did you mean 'prompt'?"),
        ({"grader": {"nam": "x"}}, "unknown key 'grader.nam'; did you mean 'name'?"),
        ({"loader": {"kind": "hubb"}}, "'loader.kind' is 'hubb'; did you mean 'hub'?"),
        ({"loader": {"pth": "x"}}, "unknown key 'loader.pth'; did you mean 'path'?"),
        ({"prompt": "{questoin}"}, "no field 'questoin'; did you mean 'question'?"),
        ({"prompt": r"\boxed{}"}, "double a literal brace"),
        ({"path": "/nowhere.jsonl"}, "/nowhere.jsonl does not exist"),
        ({"where": {"size": {"min": 9}}}, "the benchmark is empty: no row matches its `where`"),
        ({"where": {"sise": 1}}, "`where` names field 'sise'"),
        ({"id": "same"}, "problem id 'same' occurs twice"),
        ({"shots": 2}, "shots is 2, but the benchmark has 0 examples"),
        ({"shots": -1}, "key 'shots'"),
        ({"gold_pattern": r"(\d+)"}, "finds nothing in 'Paris'"),
    ],
)
def test_mistakes_are_one_line_that_says_where(
    own: Path, overrides: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        tasks.load(own, overrides=overrides)
    assert words in str(caught.value)
    assert "capitals.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_names_and_files() -> None:
    with pytest.raises(UserError, match=r"no benchmark 'gsm8'.*did you mean 'gsm8k'"):
        tasks.load("gsm8")
    with pytest.raises(UserError, match=r"benchmark file ./none.yaml does not exist"):
        tasks.load("./none.yaml")
    with pytest.raises(UserError, match="limit is 0"):
        tasks.load("gsm8k", limit=0)


def test_any_data_set_of_reasoning_gym_by_name() -> None:
    pytest.importorskip("reasoning_gym")
    task = tasks.load(
        "reasoning_gym/countdown", limit=2, overrides={"settings": {"max_numbers": 4}, "size": 5}
    )
    assert task.grader == "gym" and len(task.problems) == 2
    gold = json.loads(task.problems[0].gold)
    assert gold["dataset"] == "countdown" and len(gold["metadata"]["numbers"]) == 4
    with pytest.raises(UserError, match="did you mean 'countdown'"):
        tasks.load("reasoning_gym/countdwn")


def test_an_empty_file_is_an_empty_benchmark(own: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="the benchmark is empty: its data holds no row"):
        tasks.load(own, overrides={"path": str(tmp_path / "empty.jsonl")})


def test_yaml_that_is_none(tmp_path: Path) -> None:
    for text, words in (
        ("[1, 2]", "expected a mapping"),
        ("a: [", "not valid YAML"),
        ("name: x", "is missing"),
    ):
        path = tmp_path / "x.yaml"
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            tasks.load(path)


def test_show_renders_prompt_gold_and_grader(own: Path) -> None:
    shown = tasks.show(tasks.load(own, limit=1))
    for part in ("capitals", "license: CC0", "[user]", "One word.", "[gold]", "[grader]\ntext"):
        assert part in shown


def test_every_shipped_benchmark_is_pinned_licensed_and_says_how_its_prompt_was_chosen() -> None:
    from testtime.tasks.registry import FOLDER
    from testtime.tasks.spec import HubLoader, parse_spec, read_yaml

    wanted = {
        "gsm8k",
        "math500",
        "math",
        "aime_2024",
        "aime_2025",
        "amc",
        "gpqa_diamond",
        "mmlu_pro",
        "mmlu_stem",
    }
    assert wanted | {
        "arc_challenge",
        "aqua",
        "humaneval",
        "humaneval_plus",
        "mbpp",
        "mbpp_plus",
    } <= set(tasks.names())
    for name in tasks.names():
        spec = parse_spec(read_yaml(FOLDER / f"{name}.yaml"), name)
        assert spec.name == name and spec.license and spec.description
        if isinstance(spec.loader, HubLoader):
            assert len(spec.loader.revision) == 40, name
            assert spec.prompt_note, name


@pytest.mark.parametrize("name", LOCAL)
def test_shipped_benchmarks_read_the_real_files(name: str, shared_data: Path) -> None:
    file, count, gold = LOCAL[name]
    task = tasks.load(name, overrides={"path": shared_data / "benchmarks" / file})
    assert len(task.problems) == count
    assert gold is None or task.problems[0].gold == gold
    assert all(problem.gold and problem.question and problem.messages for problem in task.problems)


@pytest.mark.parametrize("name", ["aime_2026", "hmmt_feb_2025", "hmmt_feb_2026", "brumo_2025"])
def test_contests_of_matharena_are_read_in_its_columns(name: str, tmp_path: Path) -> None:
    """Whole numbers as numbers, other answers as LaTeX, several in one gold."""
    golds = [277, r"\frac{1}{576}", r"1-\frac{2}{\pi}", r"2^{25} \cdot 26!", "-984", "3, 5"]
    rows = [{"problem_idx": i, "problem": f"What is {i}?", "answer": g, "problem_type": ["Algebra"]}
            for i, g in enumerate(golds, 1)]  # fmt: skip
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    task = tasks.load(name, overrides={"path": file})
    assert [problem.gold for problem in task.problems] == list(map(str, golds))
    assert not check_golds(task.grader, task.grader_options, task.problems)
    asked = task.problems[0].messages
    assert asked and asked[-1]["content"].endswith(r"within \boxed{}.")
