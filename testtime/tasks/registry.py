"""From a benchmark's name to its problems: read the YAML, its rows, and render one prompt a row.

Loading is deterministic: the same name, seed, limit and overrides give the same problems on every
machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testtime.errors import UserError, suggest
from testtime.redact import vet
from testtime.tasks import loaders, render
from testtime.tasks.spec import (
    GymLoader,
    Range,
    Scalar,
    TaskSpec,
    parse_spec,
    read_yaml,
    with_overrides,
)

FOLDER = Path(__file__).parent
GRANTS = ("allow_code", "allow_unsandboxed")  # what a task's file may not permit itself
GYM = "reasoning_gym/"


@dataclass(frozen=True, slots=True)
class Problem:
    """One question, ready to be asked and graded.

    id: unique in the task; gold: what the grader compares with (JSON for choice and code).
    messages: the chat turns; where the style is "base" they are empty and `prompt` is the plain
    text to continue. meta: what the YAML's `meta` keeps of the row (level, subject, date).
    """

    id: str
    question: str
    gold: str
    messages: list[dict[str, str]]
    prompt: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A loaded benchmark: its problems, the grader's name and options, and the YAML it came
    from.
    """

    name: str
    problems: list[Problem]
    grader: str
    grader_options: dict[str, Any]
    spec: TaskSpec
    source: str


def names() -> list[str]:
    """The benchmarks that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(
    name_or_path: str | Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    overrides: dict[str, Any] | None = None,
) -> Task:
    """Problems of a benchmark that comes with the package, of a YAML file of one's own, or of one
    of reasoning-gym's data sets as `reasoning_gym/NAME`.

    limit: at most this many problems. A generated data set gives its first ones; a file those with
        the smallest hash of (seed, id), in the file's order: a fair sample of a file sorted by
        subject, and a larger limit extends it. seed: the generator's, the sample's and that of the
        shuffled options. overrides: changes to the YAML (see `with_overrides`): {"path":
        "gsm8k.jsonl"}, {"size": 200, "settings": {...}}.

    Raises UserError for an unknown name, a wrong key or value, data that cannot be had, and an
    empty benchmark.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit is {limit}: write a whole number of at least 1, or leave it out")
    spec, where = _spec(name_or_path, overrides or {})
    generated = isinstance(spec.loader, GymLoader)
    kept = []
    for index, row in enumerate(
        loaders.rows(spec.loader, seed, limit if not spec.where else None, where)
    ):
        if _kept(row, spec.where, where):
            default = f"{spec.name}/{seed}/{index}" if generated else f"{spec.name}/{index}"
            kept.append((render.text(spec.id, row, f"{where}: id") if spec.id else default, row))
    if not kept:
        why = "no row matches its `where`" if spec.where else "its data holds no row"
        raise UserError(f"{where}: the benchmark is empty: {why}")
    if repeated := _first_repeated([problem_id for problem_id, _ in kept]):
        raise UserError(
            f"{where}: problem id {repeated!r} occurs twice; make `id` unique or leave it out"
        )
    if limit is not None:
        kept = kept[:limit] if generated else _sample(kept, limit, seed)
    problems = [_problem(problem_id, row, spec, seed, where) for problem_id, row in kept]
    return Task(spec.name, problems, spec.grader.name, dict(spec.grader.options), spec, where)


def show(task: Task) -> str:
    """One rendered prompt of a benchmark, its gold answer and how it is graded, for people."""
    problem = task.problems[0]
    turns = [f"[{turn['role']}]\n{turn['content']}" for turn in problem.messages] or [
        f"[plain text]\n{problem.prompt}"
    ]
    head = (
        f"{task.name}: {task.spec.description}\nlicense: {task.spec.license}    problem: "
        f"{problem.id}"
    )
    note = f"\nprompt: {task.spec.prompt_note}" if task.spec.prompt_note else ""
    options = f" {task.grader_options}" if task.grader_options else ""
    return "\n\n".join(
        [head + note, *turns, f"[gold]\n{problem.gold}", f"[grader]\n{task.grader}{options}"]
    )


def _spec(name_or_path: str | Path, overrides: dict[str, Any]) -> tuple[TaskSpec, str]:
    given = str(name_or_path)
    if given.startswith(GYM):
        return parse_spec(
            with_overrides(_gym(given.removeprefix(GYM)), overrides), f"benchmark {given}"
        ), f"benchmark {given}"
    is_path = isinstance(name_or_path, Path) or given.endswith((".yaml", ".yml")) or "/" in given
    path = Path(given).expanduser() if is_path else FOLDER / f"{given}.yaml"
    if not path.is_file():
        if is_path:
            raise UserError(f"benchmark file {given} does not exist")
        raise UserError(
            f"there is no benchmark {given!r} (one of your own: give its .yaml "
            f"file){suggest(given, names())}"
        )
    where = str(path) if is_path else f"benchmark {given}"
    raw = read_yaml(path)
    _refuse_grants(raw, where)
    if trouble := vet({"task": [raw, overrides]}, where):
        raise UserError(trouble)
    loader = raw.get("loader")
    if not is_path and isinstance(loader, dict) and loader.get("kind") == "file":
        # Data that comes with the package.
        raw["loader"] = {**loader, "path": str(FOLDER / loader["path"])}
    return parse_spec(with_overrides(raw, overrides), where), where


def _refuse_grants(raw: dict[str, Any], where: str) -> None:
    """A file may come from a stranger: what runs programs, and where keys are sent, is for the
    run's config to say.
    """
    grader = raw.get("grader")
    options = grader.get("options") if isinstance(grader, dict) else None
    if not isinstance(options, dict):
        return
    for name in GRANTS:
        if name in options:
            raise UserError(
                f"{where}: grader.options.{name}: a task's file cannot permit this; write it into "
                f"the run's config: task: [{{name: ..., overrides: {{grader: {{options: {{{name}: "
                f"true}}}}}}}}]"
            )
    engine = options.get("engine")
    if isinstance(engine, dict) and "args" in engine:
        raise UserError(
            f"{where}: grader.options.engine.args: a task's file cannot say which server is asked "
            f"(it would be sent your key); write it into the run's config, under the task's "
            f"overrides"
        )


def _gym(dataset: str) -> dict[str, Any]:
    """The benchmark of one of reasoning-gym's data sets, which needs no YAML of its own."""
    gold = {
        "dataset": dataset,
        "question": "{question}",
        "answer": "{answer}",
        "metadata": "{metadata}",
    }
    return {
        "name": dataset,
        "description": f"The data set {dataset} of reasoning-gym, generated.",
        "license": "Apache-2.0",
        "loader": {"kind": "reasoning_gym", "dataset": dataset, "size": 100},
        "gold": gold,
        "prompt": "{question}\n\nGive only the final answer inside <answer></answer> tags.",
        "prompt_note": "The tags are those of reasoning-gym's own evaluations.",
        "grader": {"name": "gym"},
    }


def _kept(
    row: dict[str, Any], conditions: dict[str, Range | list[Scalar] | Scalar], where: str
) -> bool:
    for key, wanted in conditions.items():
        if key not in row:
            raise UserError(
                f"{where}: `where` names field {key!r}, which the data does not "
                f"have{suggest(key, row)}"
            )
        value = row[key]
        if isinstance(wanted, Range):
            try:
                if (wanted.min is not None and value < wanted.min) or (
                    wanted.max is not None and value > wanted.max
                ):
                    return False
            except TypeError:
                raise UserError(
                    f"{where}: `where.{key}`: {value!r} in the data cannot be compared with it"
                ) from None
        elif value not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def _first_repeated(ids: list[str]) -> str | None:
    seen: set[str] = set()
    for problem_id in ids:
        if problem_id in seen:
            return problem_id
        seen.add(problem_id)
    return None


def _sample(
    found: list[tuple[str, dict[str, Any]]], limit: int, seed: int
) -> list[tuple[str, dict[str, Any]]]:
    ranks = sorted(
        range(len(found)), key=lambda i: hashlib.sha256(f"{seed}/{found[i][0]}".encode()).digest()
    )
    return [found[i] for i in sorted(ranks[:limit])]


def _problem(
    problem_id: str, row: dict[str, Any], spec: TaskSpec, seed: int, where: str
) -> Problem:
    spot = f"{where}: problem {problem_id}"
    question = render.text(spec.question, row, f"{spot}: question")
    if spec.choices is None:
        fields = {**row, "question": question}
        gold = render.gold(spec, row, spot)
    else:
        options, letter = render.options(spec.choices, row, f"{seed}/{problem_id}", spot)
        shown = {"options": render.lettered(options), "letters": render.LETTERS[: len(options)]}
        fields = {**row, "question": question, **shown}
        gold = render.choice_gold(options, letter)
    messages, prompt = render.prompt(spec, fields, spot)
    meta = {
        key: render.value(template, row, f"{spot}: meta.{key}")
        for key, template in spec.meta.items()
    }
    return Problem(problem_id, question, gold, messages, prompt, meta)
