"""How far a run is, from its directory alone: safe to call while the run is going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from testtime import config_file
from testtime.store import Store


def status(path: str | Path) -> dict[str, Any]:
    """Counts of a run directory. Raises UserError when there is none."""
    import pyarrow.compute as pc

    store = Store(path)
    manifest = store.manifest()
    if "imported" in manifest:
        return _imported(store, manifest)
    config = config_file.parse(manifest["config"], str(store.root / "run.json"))
    chains, answers = store.read("chains", ["tokens"]), store.read("answers", ["tokens"])
    drawn = {(row["problem_id"], row["sample"], row["variant"]) for row in chains.drop_columns(["tokens"]).to_pylist()}
    thinking = [budget for budget in config.thinking.budgets if budget > 0]  # budget 0 has no chain
    if config.thinking.mode == "engine":
        variants = len(config.thinking.budgets)
    else:
        variants = len(thinking) if config.thinking.mode == "fresh" else min(1, len(thinking))
    return {
        "path": str(store.root),
        "model": manifest["model"],
        "problems": len(manifest["problems"]),
        "samples": config.samples,
        "budgets": config.thinking.budgets,
        "chains": len(drawn),
        "chains_wanted": len(manifest["problems"]) * config.samples * variants,
        "answers": len(answers),
        "grades": len(store.read("grades", [])),
        "chain_tokens": pc.sum(chains["tokens"]).as_py() or 0,
        "answer_tokens": pc.sum(answers["tokens"]).as_py() or 0,
        "seconds": round(sum(session["seconds"] for session in manifest["sessions"]), 1),
        "tables": store.has("tables/cells.parquet"),
        "damaged_parts": [*map(str, store.set_aside()), *store.damaged],
    }


def _imported(store: Store, manifest: dict[str, Any]) -> dict[str, Any]:
    """The same of a log from elsewhere, which has no chains to count."""
    from testtime.pipeline import load

    scores = load(store.root).scores
    return {
        "path": str(store.root),
        "model": manifest["model"],
        "imported": manifest["imported"]["format"],
        "files": manifest["imported"]["files"],
        "problems": len(manifest["problems"]),
        "samples": manifest["config"]["samples"],
        "rows": len(scores),
        "scored": int(scores["score"].notna().sum()),
    }


def describe(found: dict[str, Any]) -> str:
    """A status for people."""
    if "imported" in found:
        return (
            f"{found['path']}: {found['model']}, imported from {found['imported']} ({', '.join(found['files'])})\n"
            f"{found['problems']} problems, up to {found['samples']} samples, {found['rows']:,} rows,"
            f" {found['scored']:,} of them scored; nothing to draw"
        )
    budgets = ", ".join(map(str, found["budgets"]))
    begun = f"chains {found['chains']:,} of {found['chains_wanted']:,} begun"
    tokens = f"{found['chain_tokens']:,} thinking and {found['answer_tokens']:,} answer tokens"
    lines = [
        f"{found['path']}: {found['model']}, {found['problems']} problems x {found['samples']} samples",
        f"budgets {budgets}",
        f"{begun}, answers {found['answers']:,}, distinct verdicts {found['grades']:,}",
        f"{tokens} in {found['seconds']:,} s of sampling",
        "tables are written" if found["tables"] else "no tables yet: `testtime run` finishes it",
    ]
    return "\n".join([*lines, *(f"damaged part: {part}" for part in found["damaged_parts"])])
