"""A run as Inspect (inspect_ai) JSON logs: one file a model and level, because Inspect knows no
budget.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime import labels
from testtime.runs import transcripts
from testtime.storage.files import into
from testtime.storage.names import file_name

if TYPE_CHECKING:
    import pandas as pd

    from testtime.runs.run import Run

Data = dict[str, Any]
VERSION = 2  # of the log format
SCORER = "testtime"


def export_inspect(run: Run, folder: str | Path) -> list[Path]:
    """TASK_MODEL_LEVEL.json for each model and level; returns the files.

    Samples that were not drawn are left out. Raises UserError where the folder cannot be written.
    """
    target = Path(folder)
    task = ", ".join(t["name"] for t in run.manifest.config["task"])
    created = datetime.datetime.fromtimestamp(run.manifest.created, datetime.UTC)
    paths = []
    with into(target):
        target.mkdir(parents=True, exist_ok=True)
        for model, scores in run.scores.groupby("model", sort=False):
            problems = [str(p) for p in dict.fromkeys(scores["problem_id"])]
            told = list(transcripts.read(run.path, scores, problems))
            for _, rows in scores.groupby(["setting", "budget"], sort=False, dropna=False):
                level = labels.row_level(rows.iloc[0])
                names = (task, str(model), labels.level(level))
                paths.append(target / f"{'_'.join(map(file_name, names))}.json")
                log = _log(task, str(model), level, rows, told, created.isoformat())
                paths[-1].write_text(json.dumps(log), encoding="utf-8")
    return paths


def _log(
    task: str,
    model: str,
    level: labels.Level,
    scores: pd.DataFrame,
    told: list[transcripts.Transcript],
    created: str,
) -> Data:
    rows: dict[tuple[str, int], Any] = {
        (r["problem_id"], r["sample"]): r for r in scores.to_dict("records")
    }
    samples = []
    for problem in told:
        for chain in problem.chains:
            answer = next(
                (a for a in chain.answers if labels.level(level) in a.labels or not a.labels), None
            )
            row = rows.get((problem.problem_id, chain.sample))
            if answer and row:
                samples.append(_sample(problem, chain, answer, row, model))
    scored = scores.groupby("problem_id")["score"].mean().dropna()
    settings = {} if level[1] != level[1] else {"reasoning_tokens": int(level[1])}
    identity = hashlib.blake2b(
        f"{task}{model}{level}{created}".encode(), digest_size=11
    ).hexdigest()
    metric = {"accuracy": {"name": "accuracy", "value": float(scored.mean()), "params": {}}}
    score = {"name": SCORER, "scorer": SCORER, "reducer": "mean", "params": {}, "metrics": metric}
    names = [t.problem_id for t in told]
    return {
        "version": VERSION,
        "status": "success",
        "eval": {
            "eval_id": identity,
            "run_id": identity,
            "task_id": identity,
            "created": created,
            "task": task,
            "task_version": 0,
            "task_args": {},
            "dataset": {"name": task, "samples": len(told), "sample_ids": names, "shuffled": False},
            "model": model,
            "model_args": {},
            "model_generate_config": settings,
            "metadata": {"level": labels.level(level)},
            "config": {"epochs": int(scores["sample"].nunique()), "epochs_reducer": ["mean"]},
            "packages": {"testtime": metadata.version("testtime")},
        },
        "plan": {"name": "plan", "steps": [], "config": settings},
        "results": {
            "total_samples": len(samples),
            "completed_samples": len(samples),
            "scores": [score],
        },
        "stats": {"started_at": created, "completed_at": created, "model_usage": {}},
        "samples": samples,
    }


def _sample(
    problem: transcripts.Transcript,
    chain: transcripts.Chain,
    answer: transcripts.Answer,
    row: Data,
    model: str,
) -> Data:
    cut = answer.tokens if answer.forced and answer.tokens is not None else float("inf")
    thinking = "".join(text for end, text in chain.segments or [] if end <= cut)
    content: Any = answer.text
    if thinking:
        content = [{"type": "reasoning", "reasoning": thinking}, {"type": "text", "text": content}]
    message = {"role": "assistant", "content": content, "source": "generate", "model": model}
    usage = _usage(row)
    sample: Data = {
        "id": problem.problem_id,
        "epoch": chain.sample + 1,
        "input": problem.question,
        "target": problem.gold,
        "messages": [{"role": "user", "content": problem.question, "source": "input"}, message],
        "output": {
            "model": model,
            "choices": [{"message": message, "stop_reason": "stop"}],
            "usage": usage,
        },
        "scores": {},
        "metadata": {"verdict": row.get("verdict"), "forced": bool(row.get("forced") is True)},
        "store": {},
        "events": [],
        "model_usage": {model: usage},
        "attachments": {},
    }
    if row["score"] == row["score"] and row["score"] is not None:
        value = {1.0: "C", 0.0: "I"}.get(float(row["score"]), float(row["score"]))
        key = row.get("answer_key")
        sample["scores"][SCORER] = {
            "value": value,
            "answer": key if isinstance(key, str) else "",
            "explanation": row.get("verdict"),
        }
    return sample


def _usage(row: Data) -> Data:
    def count(name: str) -> int:
        value = row.get(name)
        return 0 if value is None or value != value else int(value)

    thinking, answer, prompt = (
        count("thinking_tokens"),
        count("answer_tokens"),
        count("prompt_tokens"),
    )
    total = thinking + answer
    return {
        "input_tokens": prompt,
        "output_tokens": total,
        "total_tokens": prompt + total,
        "reasoning_tokens": thinking,
    }
