"""Experiment trackers are given cells and figures; the stores are read back with their own
packages, where these are installed.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testtime.errors import UserError
from testtime.exporters import export_mlflow, export_wandb, tracked
from testtime.runs.run import Run


def test_numbers_have_names_that_say_their_cell(run: Run) -> None:
    cell = run.cells.query("budget == 512 and n == 2 and selector == 'majority'").iloc[0]
    found = tracked.numbers(run)
    assert (
        found["512/majority of 2/value"] == cell["value"]
        and found["512/majority of 2/lo"] == cell["lo"]
    )
    assert not any(name.endswith("usd") for name in found)


@pytest.mark.parametrize("export", [export_wandb, export_mlflow])
def test_a_missing_package_is_one_line_that_names_the_extra(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export: Callable[..., list[Path]]
) -> None:
    name = export.__name__.removeprefix("export_")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"{name} is not installed; install testtime\[{name}\]$"):
        export(run, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_mlflow_store_holds_numbers_tables_and_figures(run: Run, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    for _ in range(2):  # a second run joins the first
        (store,) = export_mlflow(run, tmp_path)
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    group = client.get_experiment_by_name("testtime")
    first, second = client.search_runs([group.experiment_id])
    for told in (first, second):
        assert told.info.status == "FINISHED" and told.data.params["samples"] == "3"
        assert told.data.metrics == pytest.approx(tracked.numbers(run))
        names = {f.path for f in client.list_artifacts(told.info.run_id)}
        assert names == {"cells.csv", "scores.csv", "figures"}
        assert client.list_artifacts(told.info.run_id, "figures")


def records(log: bytes) -> Iterator[bytes]:
    """Of W&B's file: blocks of 32 KiB, in them pieces (checksum, length, kind: whole, first, middle,
    last), after a header of 7 bytes.
    """
    at, whole = 7, b""
    while at + 7 <= len(log):
        if -at % 32768 < 7:
            at += -at % 32768  # no room for a piece: padding
        length, kind = struct.unpack_from("<HB", log, at + 4)
        whole += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def test_an_offline_wandb_run_holds_numbers_table_and_figures(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    (folder,) = export_wandb(run, tmp_path)
    pictures = [p.name for p in (folder / "files/media/images").glob("*.png")]
    assert any(name.startswith("accuracy-flops") for name in pictures)
    (table,) = (folder / "files/media/table").glob("cells*.json")
    assert len(json.loads(table.read_text())["data"]) == len(run.cells)
    (log,) = folder.glob("*.wandb")
    summary = {}
    for data in records(log.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for item in record.summary.update:
            summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    told = tracked.numbers(run)
    assert {name: summary[name] for name in told} == pytest.approx(told)
