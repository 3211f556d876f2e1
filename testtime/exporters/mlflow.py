"""A run in a local MLflow store: `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from testtime.exporters import tracked
from testtime.storage import sheets
from testtime.storage.files import into

if TYPE_CHECKING:
    from testtime.runs.run import Run

LONGEST = 500  # characters of a parameter
BATCH = 1000  # numbers in one request


def export_mlflow(run: Run, folder: str | Path, *, experiment: str = "testtime") -> list[Path]:
    """mlflow.db and artifacts/: the config, every cell's numbers as metrics, tables and figures as
    artifacts. Another run is added to a store that is there.

    Returns the store. Raises UserError without MLflow, and where the folder cannot be written.
    """
    mlflow, entities = tracked.package("mlflow"), tracked.package("mlflow.entities")
    target = Path(folder).absolute()
    with into(target), TemporaryDirectory() as drawn:
        target.mkdir(parents=True, exist_ok=True)
        client = mlflow.MlflowClient(f"sqlite:///{target / 'mlflow.db'}")
        known = client.get_experiment_by_name(experiment)
        place = (target / "artifacts").as_uri()
        group = known.experiment_id if known else client.create_experiment(experiment, place)
        told = client.create_run(group, run_name=tracked.title(run))
        key, at = told.info.run_id, int(1000 * run.manifest.created)
        for name, value in run.manifest.config.items():
            client.log_param(key, name, str(value)[:LONGEST])
        found = [entities.Metric(name, v, at, 0) for name, v in tracked.numbers(run).items()]
        for start in range(0, len(found), BATCH):
            client.log_batch(key, metrics=found[start : start + BATCH])
        for table in ("cells", "scores"):
            sheets.write(getattr(run, table), Path(drawn) / f"{table}.csv")
            client.log_artifact(key, str(Path(drawn) / f"{table}.csv"))
        for picture in tracked.figures(run, Path(drawn)):
            client.log_artifact(key, str(picture), "figures")
        client.set_terminated(key)
    return [target / "mlflow.db"]
