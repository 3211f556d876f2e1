"""Results for a model's page on the Hugging Face hub: YAML files for its folder `.eval_results`.

The hub's format (its documentation, "Evaluation Results"): one entry a file here, because entries
that differ in how they were asked stand in files of their own. An entry is a level with one sample;
votes and ceilings are not what a leaderboard compares.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime import labels
from testtime.errors import UserError
from testtime.storage.names import file_name
from testtime.tasks import names
from testtime.tasks.registry import FOLDER
from testtime.tasks.spec import HubLoader, parse_spec, read_yaml

if TYPE_CHECKING:
    from testtime.runs.run import Run


def export_eval_results(
    run: Run, folder: str | Path, *, dataset: str | None = None, task_id: str = "default"
) -> list[Path]:
    """`.eval_results/TASK-LEVEL.yaml` for each budget or effort level of a run; returns the files.

    dataset: the benchmark's id on the hub (None: where the task comes from); task_id: of its
    leaderboard. Values are in percent, of one sample. Raises UserError for a run of several models,
    a benchmark whose data set is not known, and where the folder cannot be written.
    """
    cells = run.cells[run.cells["n"] == 1].drop_duplicates(["model", "setting", "budget"])
    if cells["model"].nunique() > 1:
        raise UserError(f"{run.path}: holds several models; the results are of one model's page")
    task = str(run.manifest.config["task"][0]["name"])
    of = {**_origin(task, dataset), "task_id": task_id}
    date = datetime.fromtimestamp(run.manifest.created, UTC).date().isoformat()
    target = Path(folder) / ".eval_results"
    paths = []
    for row in cells.to_dict("records"):
        level = labels.row_level(row)
        noted = (
            f"{labels.where(level)}; mean of {labels.counted(_samples(run), 'sample')} of "
            f"{labels.counted(int(row['problems']), 'problem')}, 95 % interval "
            f"{labels.percent(row['lo'])} to {labels.percent(row['hi'])}; testtime "
            f"{run.manifest.testtime}"
        )
        entry = {"dataset": of, "value": round(100 * float(row["value"]), 2), "date": date}
        told = [level[0].replace("=", "-"), "" if math.isnan(level[1]) else f"{level[1]:.0f}"]
        name = file_name("-".join(filter(None, (Path(task).stem, *told))))
        paths.append(target / f"{name}.yaml")
        _write(paths[-1], [{**entry, "notes": noted}])
    return paths


def _origin(task: str, dataset: str | None) -> dict[str, str]:
    """The data set on the hub; of a benchmark that comes with the package also its revision."""
    if dataset is not None:
        return {"id": dataset}
    if loader := hub_loader(task):
        return {"id": loader.dataset, "revision": loader.revision}
    raise UserError(
        f"export eval-results: {task} comes from no data set of the hub; name the benchmark's with "
        f"--dataset"
    )


def hub_loader(task: str) -> HubLoader | None:
    """Where a benchmark that comes with the package comes from, if that is the hub."""
    loader = (
        parse_spec(read_yaml(FOLDER / f"{task}.yaml"), task).loader if task in names() else None
    )
    return loader if isinstance(loader, HubLoader) else None


def _samples(run: Run) -> int:
    return int(run.scores["sample"].nunique())


def _write(path: Path, entries: list[dict[str, Any]]) -> None:
    import yaml

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path.parent}: cannot be written ({error.strerror or error}); give another folder"
        ) from None
