"""How far a run is, from its directory alone: safe to call while the run is going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from testtime.config import load as config_file
from testtime.storage.store import Store


def status(path: str | Path) -> dict[str, Any]:
    """Counts of a run directory. Raises UserError when there is none."""
    import pyarrow.compute as pc

    from testtime.pipeline import plan_of

    store = Store(path)
    manifest = store.manifest()
    if "imported" in manifest:
        return _imported(store, manifest)
    config = config_file.parse(manifest["config"], str(store.root / "run.json"))
    chains, answers = store.read("chains", ["tokens"]), store.read("answers", ["tokens"])
    plan, problems = plan_of(config, manifest), set(manifest["problems"])
    begun = {  # of what the config asks for now; earlier ones may have asked for more
        (row["problem_id"], row["sample"], row["variant"])
        for row in chains.drop_columns(["tokens"]).to_pylist()
        if row["problem_id"] in problems and row["sample"] < config.samples
    }
    first, *longer = (
        {
            variant.name for variant in group if plan.whole or variant.cap > 0
        }  # budget 0 has no chain
        for group in plan.passes()
    )
    return {
        "path": str(store.root),
        "model": manifest["model"],
        "problems": len(manifest["problems"]),
        "samples": config.samples,
        "budgets": config.thinking.budgets,
        "chains": sum(variant in first for *_, variant in begun),
        "chains_wanted": len(problems) * config.samples * len(first),
        "chains_extended": sum(variant in group for *_, variant in begun for group in longer),
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
            f"{found['path']}: {found['model']}, imported from {found['imported']} "
            f"({', '.join(found['files'])})\n"
            f"{found['problems']} problems, up to {found['samples']} samples, {found['rows']:,} "
            f"rows,"
            f" {found['scored']:,} of them scored; nothing to draw"
        )
    budgets = ", ".join(map(str, found["budgets"]))
    begun = f"chains {found['chains']:,} of {found['chains_wanted']:,} begun"
    begun += f", {found['chains_extended']:,} extended" if found["chains_extended"] else ""
    tokens = f"{found['chain_tokens']:,} thinking and {found['answer_tokens']:,} answer tokens"
    lines = [
        f"{found['path']}: {found['model']}, {found['problems']} problems x {found['samples']} "
        f"samples",
        f"budgets {budgets}",
        f"{begun}, answers {found['answers']:,}, distinct verdicts {found['grades']:,}",
        f"{tokens} in {found['seconds']:,} s of sampling",
        "tables are written" if found["tables"] else "no tables yet: `testtime run` finishes it",
    ]
    return "\n".join([*lines, *(f"damaged part: {part}" for part in found["damaged_parts"])])
