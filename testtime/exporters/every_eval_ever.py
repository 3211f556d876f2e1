"""A run as records of Every Eval Ever 0.3.0: one JSON a model with all its cells,
and a line a sample.

The datastore finds a model by its folder, data/BENCHMARK/DEVELOPER/MODEL, so a model without a
developer cannot be placed. Every cell is a result of its own with its interval, n (samples drawn)
and k (samples spent); samples belong to the result of one sample at their level.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
import uuid
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from testtime import grammar, labels, zoo
from testtime.errors import UserError
from testtime.exporters.eval_results import hub_loader
from testtime.exporters.samples import Sample, at_level, told
from testtime.storage.files import into
from testtime.storage.names import file_name

if TYPE_CHECKING:
    import pandas as pd

    from testtime.runs.run import Run

Data = dict[str, Any]
SCHEMA = "0.3.0"
COSTS = ("thinking_tokens", "tokens", "prompt_tokens", "flops", "usd", "seconds", "latency")
INTERVAL = "Student's t over problems with two pseudo-problems"


def export_every_eval_ever(
    run: Run, folder: str | Path, *, organization: str = "unknown", developer: str | None = None
) -> list[Path]:
    """data/BENCHMARK/DEVELOPER/MODEL/UUID.json and UUID_samples.jsonl for each model; returns the
    files. Exported again, a run has the same UUID.

    organization: who ran the evaluation; developer: who made the model (None: what stands before
    the slash in its name). Samples without a score are left out. Raises UserError for a model
    without a developer, and where the folder cannot be written.
    """
    task = ", ".join(str(t["name"]) for t in run.manifest.config["task"])
    paths = []
    for model, cells in run.cells.groupby("model", sort=False):
        identity = _identity(str(model), developer)
        single = cells["n"] == 1  # whatever the selector
        once = cells[~(single & cells.duplicated(["setting", "budget", "n"]))]
        scores = run.scores[run.scores["model"] == model]
        place = PurePosixPath("data", *(file_name(part) for part in (task, *identity.split("/"))))
        source = f"{task}{identity}{run.manifest.created}{run.manifest.identity}"
        name = uuid.UUID(bytes=hashlib.sha256(source.encode()).digest()[:16], version=4)
        now = str(int(time.time()))
        record = {
            "schema_version": SCHEMA,
            "evaluation_id": f"{task}/{identity}/{now}",
            "evaluation_timestamp": str(int(run.manifest.created)),
            "retrieved_timestamp": now,
            "source_metadata": {
                "source_name": "testtime",
                "source_type": "evaluation_run",
                "source_organization_name": organization,
                "evaluator_relationship": "other",
            },
            "eval_library": {"name": "testtime", "version": run.manifest.testtime or "unknown"},
            "model_info": _model(run, str(model), identity),
            "evaluation_results": [_result(run, task, row) for row in once.to_dict("records")],
        }
        lines = [_line(one, record) for one in _samples(run, scores)]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        samples = place / f"{name}_samples.jsonl"
        record["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": str(samples),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(text.encode()).hexdigest(),
            "total_rows": len(lines),
        }
        paths += [Path(folder) / place / f"{name}.json", Path(folder) / samples]
        with into(Path(folder)):
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            whole = json.dumps(record, indent=1, ensure_ascii=False)
            paths[-2].write_text(whole, encoding="utf-8")
            paths[-1].write_text(text, encoding="utf-8")
    return paths


def _identity(model: str, developer: str | None) -> str:
    """DEVELOPER/MODEL: a hub id as it is, a model that comes with the package under its name."""
    if model in zoo.names():
        return f"testtime/{model.replace('/', '-')}"
    parts = [part for part in model.split("/") if part not in ("", ".", "..")]
    if developer:
        return f"{developer}/{parts[-1]}"
    if model.startswith((".", "/")) or len(parts) != 2:
        raise UserError(
            f"export every-eval-ever: {model} does not say who made it; name its --developer"
        )
    return "/".join(parts)


def _model(run: Run, model: str, identity: str) -> Data:
    """Whose weights ran where, as far as the run knows: an import and a server do not tell."""
    own = run.manifest.imported is None and run.manifest.config["engine"]["name"] != "endpoint"
    found: Data = {
        "name": model,
        "id": identity,
        "developer": identity.partition("/")[0],
        "additional_details": {
            "deployment_type": "self_deployed" if own else "unknown",
            "model_availability": "open_weights" if own else "unknown",
        },
    }
    if run.manifest.sessions:
        engine = run.manifest.sessions[-1]["engine"].partition(" ")[0].rstrip(":")
        version = run.manifest.sessions[-1].get("versions", {}).get(engine, "unknown")
        found["inference_engine"] = {"name": engine, "version": version}
    return found


def _result(run: Run, task: str, row: dict[Any, Any]) -> Data:
    level, n = labels.row_level(row), int(row["n"])
    selector = str(row["selector"]) if n > 1 else "mean"
    kind = grammar.selector(selector).kind
    metric = {"mean": "accuracy", "oracle": "pass_at_k", "majority": "majority_at_k"}
    name = metric.get(kind, f"testtime.{kind}_at_k")
    problems = int(row["problems"])
    return {
        "evaluation_result_id": _result_id(level, n, selector),
        "evaluation_name": task,
        "source_data": _source(run),
        "evaluation_timestamp": str(int(run.manifest.created)),
        "metric_config": {
            "evaluation_description": labels.cell(row),
            "metric_id": name,
            "metric_name": labels.sentence(labels.selector(selector, n)),
            "metric_kind": "pass_rate" if kind == "oracle" else "accuracy",
            "metric_unit": "proportion",
            "metric_parameters": {
                "n": int(run.scores["sample"].nunique()),
                "k": n,
                "selector": selector,
                **_told(level),
            },
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        "score_details": {
            "score": float(row["value"]),
            "details": {
                c: f"{row[c]:.6g}" for c in COSTS if c in row and math.isfinite(row[c] or 0.0)
            },
            "uncertainty": _uncertainty(row, problems),
        },
        "generation_config": _generation(run, level),
    }


def _uncertainty(row: dict[Any, Any], problems: int) -> Data:
    """The interval over problems; one problem has none."""
    if math.isnan(row["lo"]):
        return {"num_samples": problems}
    ends = {"lower": float(row["lo"]), "upper": float(row["hi"]), "confidence_level": 0.95}
    return {"confidence_interval": {**ends, "method": INTERVAL}, "num_samples": problems}


def _generation(run: Run, level: labels.Level) -> Data:
    told = {key: str(value) for key, value in _told(level).items()}
    if run.manifest.imported is not None:  # its sampling is not known
        return {"additional_details": told}
    config = run.manifest.config
    sampling = config["sampling"]
    args: Data = {key: sampling[key] for key in ("temperature", "top_p", "top_k")}
    if not math.isnan(level[1]):
        args |= {"max_tokens": int(level[1]) + config["answer"]["max_tokens"]}
        args |= {"reasoning": level[1] > 0}
    strategy = str(config["thinking"]["strategy"])
    return {"generation_args": args, "additional_details": {**told, "strategy": strategy}}


def _told(level: labels.Level) -> Data:
    """What the model was told and allowed, where it was anything."""
    setting, budget = level
    return {
        **({"setting": setting} if setting else {}),
        **({} if math.isnan(budget) else {"thinking_budget": int(budget)}),
    }


def _source(run: Run) -> Data:
    tasks = [str(t["name"]) for t in run.manifest.config["task"]]
    loader = hub_loader(tasks[0]) if len(tasks) == 1 else None
    if loader is None:
        return {"dataset_name": ", ".join(tasks), "source_type": "other"}
    return {
        "dataset_name": tasks[0],
        "source_type": "hf_dataset",
        "hf_repo": loader.dataset,
        "samples_number": len(run.manifest.problems),
        "additional_details": {"revision": loader.revision},
    }


def _samples(run: Run, scores: pd.DataFrame) -> list[Sample]:
    problems, found = told(run, scores), list[Sample]()
    scored = scores[scores["score"].notna()]
    for _, rows in scored.groupby(["setting", "budget"], sort=False, dropna=False):
        found += at_level(problems, labels.row_level(rows.iloc[0]), rows)
    return found


def _line(one: Sample, record: Data) -> Data:
    level, score, gold = labels.row_level(one.row), float(one.row["score"]), one.problem.gold
    attribution = {
        "turn_idx": 0,
        "source": "output.raw",
        "extracted_value": one.key,
        "extraction_method": "custom",
        "is_terminal": True,
    }
    verdict = {"verdict": str(one.row.get("verdict") or ""), "sample": str(one.number)}
    return {
        "schema_version": SCHEMA,
        "evaluation_id": record["evaluation_id"],
        "model_id": record["model_info"]["id"],
        "evaluation_name": record["evaluation_results"][0]["evaluation_name"],
        "evaluation_result_id": _result_id(level, 1, "mean"),
        "sample_id": one.problem.problem_id,
        "sample_hash": hashlib.sha256((one.problem.question + gold).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": one.problem.question, "reference": [gold]},
        "output": {"raw": [one.text], "reasoning_trace": [one.thinking] if one.thinking else None},
        "answer_attribution": [attribution] if one.key else [],
        "evaluation": {"score": score, "is_correct": score >= 1},
        "token_usage": one.usage,
        "metadata": {**verdict, **{key: str(value) for key, value in _told(level).items()}},
    }


def _result_id(level: labels.Level, n: int, selector: str) -> str:
    return f"{labels.level(level)}/{selector}/k={n}"
