"""Ten thousand mutated replies, answers, logs and run directories, by seed: no traceback, and for
each of them no hang over 10 s and no GiB of memory.

`python -m pytest tests/test_fuzz.py -m slow`; each part says in its parameters how many.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from testtime import pipeline
from testtime.engines.base import Completion, Request
from testtime.engines.wire import WIRES
from testtime.grading import Limits, grade
from testtime.importers import import_csv, import_inspect, import_lm_eval
from testtime.runs.status import describe, status

from .importers.test_hostile_logs import LOG
from .mutate import bounded, damaged, mutants, peak, survives

pytestmark = pytest.mark.slow
PIECES = [
    r"\boxed{", "}", "{", r"\frac", r"\sqrt", "^", "_", "9", "1e9", "(", ")", "[", "]", "$", "$$", r"\(", r"\)", " ", r"\,", "x", "sin", "pi", "!", "=", ",",
    "%", r"\text{", r"\begin{pmatrix}", r"\\", "&", "<think>", "</think>", "<answer>", "</answer>", "answer is", "####", "\x00", "\ud800", "答案", "١", "½",
    "√", "∞", "A)", "B", "yes", "```python\n", "\n", "def f", "0.", "/", "-", "cm", r"\infty", r"\cup", "|", "±", r"\pm", "9" * 50, "\u202e", "e", "i",
]  # fmt: skip
GOLDS = {
    "math": ["0", r"\frac{1}{2}", "x^2+1", "(1,2)", "even", "2pi"], "numeric": ["12", "-0.5"], "choice": ["B"], "text": ["The Beatles", "A"], "exact": ["1"],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["completions", "chat"])
@pytest.mark.timeout(600)
def test_3000_replies(kind: str) -> None:
    usage = {
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 1},
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    choice: dict[str, Any] = {
        "finish_reason": "stop",
        "text": "a",
        "token_ids": [1, 2, 3],
        "logprobs": {"token_logprobs": [-1.0] * 3},
    }
    if kind == "chat":
        choice = {"finish_reason": "stop", "message": {"content": "a", "reasoning": "b"}}
    reply = {"choices": [choice], "usage": usage}
    asked = Request((1, 2) if kind == "completions" else None, 30, 1, messages=())
    chance, whole, read = random.Random(3), json.dumps(reply).encode(), 0
    trees = (json.dumps(tree).encode() for tree in mutants(reply, 1, 750))
    for data in [*trees, *(damaged(whole, chance) for _ in range(750))]:
        try:
            with bounded():
                done = WIRES[kind].read(data, asked)
        except ValueError as error:
            assert "\n" not in str(error)[:300]
            continue
        if done is not None:
            assert isinstance(done, Completion) and all(0 <= i < 2**31 for i in done.token_ids)
            done.text.encode()
            read += 1
    assert 0 < read < 1500


@pytest.mark.parametrize("grader", GOLDS)
@pytest.mark.timeout(1200)
def test_4000_answers(grader: str) -> None:
    chance = random.Random(grader)
    held, theirs, pairs = peak(), peak(resource.RUSAGE_CHILDREN), []
    for number in range(1600 if grader == "math" else 600):
        length = 3000 if number % 100 == 0 else chance.randrange(1, 25)
        answer = "".join(chance.choice(PIECES) for _ in range(length))
        if chance.random() < 0.5:
            answer = rf"So \boxed{{{answer}}}"
        pairs.append((chance.choice(GOLDS[grader]), answer))
    limits = Limits(cpu_s=2.0, total_s=900)
    found = grade(grader, pairs, workers=2, limits=limits)
    assert len(found) == len(pairs) and peak() - held < 1024
    # the workers', which are killed after 2 s of one answer
    assert peak(resource.RUSAGE_CHILDREN) < max(theirs, held) + 1024  # they inherit ours
    counted = {v: sum(g.verdict == v for g in found) for v in ("timeout", "error")}
    assert counted["error"] <= len(pairs) / 50 and counted["timeout"] <= len(pairs) / 100, counted


@pytest.mark.timeout(1200)
def test_1500_logs(tmp_path: Path) -> None:
    rows = "problem_id,sample,score,model,thinking_tokens,budget\n" + "".join(
        f"p{n % 5},{n // 5},{n % 2},m,{n},{n % 3}\n" for n in range(20)
    )
    chance = random.Random(7)
    for _ in range(500):
        path = tmp_path / "t.csv"
        path.write_bytes(damaged(rows.encode(), chance))
        survives(lambda path=path: import_csv(path, tmp_path / "csv"))
        shutil.rmtree(tmp_path / "csv", ignore_errors=True)
    for number, log in enumerate(mutants(LOG, 11, 500)):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(log))
        survives(lambda path=path: import_inspect([path], tmp_path / "inspect"))
        shutil.rmtree(tmp_path / "inspect", ignore_errors=True)
    row = {
        "doc_id": 1,
        "resps": [["4"]],
        "filtered_resps": ["4"],
        "filter": "f",
        "metrics": ["exact_match"],
        "exact_match": 1.0,
        "target": "4",
    }
    for one in mutants(row, 12, 500):
        path = tmp_path / "samples_t_1.jsonl"
        path.write_text(json.dumps(one))
        survives(lambda: import_lm_eval(tmp_path, tmp_path / "lm"))
        shutil.rmtree(tmp_path / "lm", ignore_errors=True)


@pytest.mark.timeout(1800)
def test_1500_run_directories(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "problem_id,sample,score,model,thinking_tokens,budget,gold\n"
        + "".join(f"p{n % 5},{n // 5},{n % 2},m,{n},{n % 3},g\n" for n in range(30))
    )
    run = import_csv(table, tmp_path / "runs")
    root, chance = Path(str(run.path)), random.Random(5)
    kept = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    manifest = json.loads(kept[root / "run.json"])
    changes: list[tuple[Path, bytes | None]] = [
        (root / "run.json", json.dumps(tree).encode()) for tree in mutants(manifest, 2, 900)
    ]
    for _ in range(600):
        path = chance.choice(sorted(kept))
        changes.append((path, damaged(kept[path], chance) if chance.random() < 0.9 else None))
    bad: list[str] = []
    read = 0
    for path, data in changes:
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)

        def look() -> None:
            loaded = pipeline.load(root)
            len(loaded.scores), len(loaded.cells)
            describe(status(root))

        try:
            read += survives(look)
        except Exception as error:
            bad.append(f"{path.name}: {type(error).__name__}: {str(error)[:100]}")
        for file, content in kept.items():
            if not file.exists() or file.stat().st_size != len(content) or file == path:
                file.write_bytes(content)
    assert 0 < read < len(changes), "every one refused, or none: nothing was tried"
    assert not bad, f"{len(bad)} of {len(changes)}: " + "; ".join(dict.fromkeys(bad[:40]))
