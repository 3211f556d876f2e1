"""How far a run is, from its directory alone: safe to call while the run is going on."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from testtime.runs.recipe import recipe_of
from testtime.runs.run import load
from testtime.storage.manifest import Imported, Manifest
from testtime.storage.store import Store, encoded, row_codes
from testtime.strategies.registry import parse


def status(path: str | Path) -> dict[str, Any]:
    """Counts of a run directory. Raises UserError when there is none.

    A sample counts as begun with its first stored call, as done with all its attempts. Of the
    prompt_tokens of all requests, cached_tokens were not computed again.
    """
    store = Store(path)
    manifest = store.manifest()
    if manifest.imported is not None:
        return _imported(store, manifest, manifest.imported)
    config = parse(manifest.config, str(store.root / "run.json"))
    recipe, amounts = recipe_of(config, manifest)
    cells = list(amounts)
    problems, samples = manifest.problems, config.samples
    calls = store.read("calls", ["problem_id", "sample", "kind", "tokens", "thinking"])
    asked = {"problem_id": problems, "sample": range(samples)}
    begun = _a_sample(calls, asked)
    attempts = _a_sample(store.read("attempts", []), asked | {"recipe": [recipe], "cell": cells})
    told, thought = _sum(calls, "told", "tokens"), _sum(calls, "told", "thinking")
    called = _sum(calls, "turn", "tokens")
    return {
        "path": str(store.root),
        "model": manifest.model,
        "strategy": config.thinking.strategy,
        "problems": len(problems),
        "left_out": manifest.left_out,
        "samples": samples,
        "cells": cells,
        "begun": len(begun),
        "done": int((attempts >= len(cells)).sum()),
        "wanted": len(problems) * samples,
        "attempts": int(attempts.sum()),
        "grades": len(store.read("grades", [])),
        "chain_tokens": _sum(calls, "think", "tokens") + thought + called,
        "answer_tokens": _sum(calls, "answer", "tokens") + told - thought,
        "prompt_tokens": sum(one.get("prompt_tokens", 0) for one in manifest.sessions),
        "cached_tokens": sum(one.get("cached_tokens", 0) for one in manifest.sessions),
        "seconds": round(sum(session["seconds"] for session in manifest.sessions), 1),
        "tables": store.has("tables/cells.parquet"),
        "damaged_parts": [*map(str, store.set_aside()), *store.damaged],
    }


def _a_sample(rows: pa.Table, asked: Mapping[str, Container[Any]]) -> np.ndarray:
    """How many rows each sample has whose columns hold what is asked, of those that have any."""
    ours = np.ones(len(rows), bool)
    for name, wanted in asked.items():  # in numpy: filters of pyarrow import pandas
        values, which = encoded(rows[name])
        ours &= np.array([value in wanted for value in values], bool)[which]
    return np.unique(row_codes(rows, ["problem_id", "sample"])[ours], return_counts=True)[1]


def _sum(calls: pa.Table, kind: str, column: str) -> int:
    kinds, which = encoded(calls["kind"])
    amounts, amount = encoded(calls[column])
    ours = np.array([one == kind for one in kinds], bool)[which]
    return int(np.array([one or 0 for one in amounts], int)[amount[ours]].sum())


def _imported(store: Store, manifest: Manifest, imported: Imported) -> dict[str, Any]:
    """The same of a log from elsewhere, which has no chains to count."""
    scores = load(store.root).scores
    return {
        "path": str(store.root),
        "model": manifest.model,
        "imported": imported.format,
        "files": imported.files,
        "problems": len(manifest.problems),
        "samples": manifest.config["samples"],
        "rows": len(scores),
        "scored": int(scores["score"].notna().sum()),
    }


def describe(counts: dict[str, Any]) -> str:
    """A status for people."""
    if "imported" in counts:
        return (
            f"{counts['path']}: {counts['model']}, imported from {counts['imported']} "
            f"({', '.join(counts['files'])})\n"
            f"{counts['problems']} problems, up to {counts['samples']} samples, {counts['rows']:,} "
            f"rows,"
            f" {counts['scored']:,} of them scored; nothing to draw"
        )
    took = (
        f" in {counts['seconds']:,} s of sampling" if counts["seconds"] else ""
    )  # told at its end
    tokens = (
        f"{counts['chain_tokens']:,} thinking and {counts['answer_tokens']:,} answer tokens{took}"
    )
    read = (
        f"{counts['prompt_tokens']:,} prompt tokens, {counts['cached_tokens']:,} of them from the "
        "engine's cache"
    )
    lines = [
        f"{counts['path']}: {counts['model']}, {counts['problems']} problems x {counts['samples']} "
        f"samples, strategy {counts['strategy']}",
        f"cells {' '.join(cell or 'one' for cell in counts['cells'])}",
        f"samples {counts['done']:,} of {counts['wanted']:,} done, {counts['begun']:,} begun, "
        f"attempts {counts['attempts']:,}, distinct verdicts {counts['grades']:,}",
        tokens,
        read,
        "tables are written" if counts["tables"] else "no tables yet: `testtime run` finishes it",
    ]
    lines += [f"left out: {line}" for line in counts["left_out"]]
    return "\n".join([*lines, *(f"damaged part: {part}" for part in counts["damaged_parts"])])
