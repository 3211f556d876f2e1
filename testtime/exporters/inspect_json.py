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
from testtime.exporters.samples import Sample, at_level, told
from testtime.storage.files import into
from testtime.storage.names import file_name

if TYPE_CHECKING:
    import pandas as pd

    from testtime.runs.run import Run
    from testtime.runs.transcripts import Transcript

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
            problems = told(run, scores)
            for _, rows in scores.groupby(["setting", "budget"], sort=False, dropna=False):
                level = labels.row_level(rows.iloc[0])
                names = (task, str(model), labels.level(level))
                paths.append(target / f"{'_'.join(map(file_name, names))}.json")
                log = _log(task, str(model), level, rows, problems, created.isoformat())
                paths[-1].write_text(json.dumps(log), encoding="utf-8")
    return paths


def _log(
    task: str,
    model: str,
    level: labels.Level,
    scores: pd.DataFrame,
    problems: list[Transcript],
    created: str,
) -> Data:
    samples = [_sample(one, model) for one in at_level(problems, level, scores)]
    scored = scores.groupby("problem_id")["score"].mean().dropna()
    settings = {} if level[1] != level[1] else {"reasoning_tokens": int(level[1])}
    identity = hashlib.blake2b(
        f"{task}{model}{level}{created}".encode(), digest_size=11
    ).hexdigest()
    metric = {"accuracy": {"name": "accuracy", "value": float(scored.mean()), "params": {}}}
    score = {"name": SCORER, "scorer": SCORER, "reducer": "mean", "params": {}, "metrics": metric}
    names = [t.problem_id for t in problems]
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
            "dataset": {
                "name": task,
                "samples": len(problems),
                "sample_ids": names,
                "shuffled": False,
            },
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


def _sample(one: Sample, model: str) -> Data:
    content: Any = one.text
    if one.thinking:
        thought = {"type": "reasoning", "reasoning": one.thinking}
        content = [thought, {"type": "text", "text": content}]
    message = {"role": "assistant", "content": content, "source": "generate", "model": model}
    question, row = one.problem.question, one.row
    sample: Data = {
        "id": one.problem.problem_id,
        "epoch": one.number + 1,
        "input": question,
        "target": one.problem.gold,
        "messages": [{"role": "user", "content": question, "source": "input"}, message],
        "output": {
            "model": model,
            "choices": [{"message": message, "stop_reason": "stop"}],
            "usage": one.usage,
        },
        "scores": {},
        "metadata": {"verdict": row.get("verdict"), "forced": bool(row.get("forced") is True)},
        "store": {},
        "events": [],
        "model_usage": {model: one.usage},
        "attachments": {},
    }
    if row["score"] == row["score"] and row["score"] is not None:
        value = {1.0: "C", 0.0: "I"}.get(float(row["score"]), float(row["score"]))
        told_by = {"value": value, "answer": one.key, "explanation": row.get("verdict")}
        sample["scores"][SCORER] = told_by
    return sample
