"""How far a run is, from its directory alone: safe to call while the run is going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from testtime.runs.run import load, recipe_of
from testtime.storage.manifest import Imported, Manifest
from testtime.storage.store import Store
from testtime.strategies.registry import parse


def status(path: str | Path) -> dict[str, Any]:
    """Counts of a run directory. Raises UserError when there is none.

    A sample counts as begun with its first stored call, as done with all its attempts.
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
    asked = pc.field("problem_id").isin(problems) & (pc.field("sample") < samples)
    begun = calls.filter(asked).select(["problem_id", "sample"]).to_pandas().drop_duplicates()
    ours = asked & (pc.field("recipe") == recipe) & pc.field("cell").isin(cells)
    attempts = store.read("attempts", [], ours).select(["problem_id", "sample"]).to_pandas()
    done = int((attempts.value_counts() >= len(cells)).sum()) if len(attempts) else 0
    sums = calls.group_by("kind").aggregate([("tokens", "sum"), ("thinking", "sum")]).to_pylist()
    drawn = {row["kind"]: (row["tokens_sum"], row["thinking_sum"]) for row in sums}
    told, thought = drawn.get("told", (0, 0))
    called = drawn.get("turn", (0, 0))[0]
    return {
        "path": str(store.root),
        "model": manifest.model,
        "strategy": config.thinking.strategy,
        "problems": len(problems),
        "left_out": manifest.left_out,
        "samples": samples,
        "cells": cells,
        "begun": len(begun),
        "done": done,
        "wanted": len(problems) * samples,
        "attempts": len(attempts),
        "grades": len(store.read("grades", [])),
        "chain_tokens": drawn.get("think", (0, 0))[0] + thought + called,
        "answer_tokens": drawn.get("answer", (0, 0))[0] + told - thought,
        "seconds": round(sum(session["seconds"] for session in manifest.sessions), 1),
        "tables": store.has("tables/cells.parquet"),
        "damaged_parts": [*map(str, store.set_aside()), *store.damaged],
    }


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
    tokens = (
        f"{counts['chain_tokens']:,} thinking and {counts['answer_tokens']:,} answer tokens in "
        f"{counts['seconds']:,} s of sampling"
    )
    lines = [
        f"{counts['path']}: {counts['model']}, {counts['problems']} problems x {counts['samples']} "
        f"samples, strategy {counts['strategy']}",
        f"cells {' '.join(cell or 'one' for cell in counts['cells'])}",
        f"samples {counts['done']:,} of {counts['wanted']:,} done, {counts['begun']:,} begun, "
        f"attempts {counts['attempts']:,}, distinct verdicts {counts['grades']:,}",
        tokens,
        "tables are written" if counts["tables"] else "no tables yet: `testtime run` finishes it",
    ]
    lines += [f"left out: {line}" for line in counts["left_out"]]
    return "\n".join([*lines, *(f"damaged part: {part}" for part in counts["damaged_parts"])])
