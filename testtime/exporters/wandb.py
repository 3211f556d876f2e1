"""A run for Weights & Biases, written offline: `wandb sync` sends it where one wants it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from testtime.exporters import tracked
from testtime.storage.files import into

if TYPE_CHECKING:
    from testtime.runs.run import Run


def export_wandb(run: Run, folder: str | Path, *, project: str = "testtime") -> list[Path]:
    """wandb/offline-run-*: the config, cells as a table and as the summary's numbers, the figures.

    Returns that folder. Raises UserError without wandb, and where the folder cannot be written.
    """
    wandb = tracked.package("wandb")
    target = Path(folder)
    with into(target), TemporaryDirectory() as drawn:
        target.mkdir(parents=True, exist_ok=True)
        told = wandb.init(
            mode="offline",
            dir=target,
            project=project,
            name=tracked.title(run),
            config=run.manifest.config,
            settings=wandb.Settings(silent=True, console="off"),
        )
        pictures = {p.stem: wandb.Image(str(p)) for p in tracked.figures(run, Path(drawn))}
        told.log({"cells": wandb.Table(dataframe=run.cells), **pictures})
        told.summary.update(tracked.numbers(run))
        told.finish()
    return [Path(told.settings.sync_dir)]
