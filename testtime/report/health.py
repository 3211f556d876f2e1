"""Run health: what was asked for against what happened, as small tables of (column names, rows)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testtime import labels
from testtime.estimators.grid import USES
from testtime.report.results import Results


@dataclass(frozen=True)
class Table:
    """A table of the page: name (its CSV file), title, columns, rows of text."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results) -> list[Table]:
    """Budgets, settings of the run, and its sessions; what the run does not know is not in them."""
    return [
        t
        for t in (
            _budgets(results),
            _conventions(results),
            _facts(results),
            _sessions(results),
            _printed(results),
        )
        if t.rows
    ]


def _budgets(results: Results) -> Table:
    """Requested against realised thinking, and what became of the answers."""
    scores, rows = results.scores, []
    known = (
        [
            v
            for v in ("correct", "wrong", "unparsed", "timeout", "error", "missing")
            if (scores["verdict"] == v).any()
        ]
        if "verdict" in scores
        else []
    )
    thinking, forced = "thinking_tokens" in scores, "forced" in scores
    tools = [name for name in USES if name.startswith("tool_") and "tool_calls" in scores]
    for level in results.levels:
        pool = results.at(level)
        row = [labels.level(level)]
        if thinking:
            tokens = pool["thinking_tokens"].dropna()
            row += [f"{tokens.mean():,.1f}", f"{tokens.max():,.0f}"] if len(tokens) else ["-", "-"]
        if forced:
            row.append(labels.percent(float(results.flag("forced", level).mean())) + "%")
        if tools:
            calls, failed, took = (float(pool[name].sum()) for name in tools)
            row += [
                f"{calls / len(pool):.2f}",
                labels.percent(failed / calls if calls else 0.0) + "%",
            ]
            row.append(f"{took / len(pool):.3g}")
        row += [f"{int((pool['verdict'] == v).sum()):,}" for v in known]
        rows.append(row)
    columns = [
        "budget or setting",
        *(["mean thinking tokens", "most"] if thinking else []),
        *(["forced"] if forced else []),
        *(["tool calls a sample", "failed", "tool seconds"] if tools else []),
        *known,
    ]
    return Table("budgets", "Requested against realised budgets, and verdicts", columns, rows)


def _conventions(results: Results) -> Table:
    """How much of the accuracy rests on what the grader forgives: benchmarks differ in that."""
    scores, rows = results.scores, []
    if "convention" in scores:
        scored = scores["score"].notna()
        correct = scored & (scores["score"] == 1)
        for name, count in scores.loc[correct, "convention"].value_counts().items():
            without = scores["score"].where(scores["convention"] != name, 0.0)[scored].mean()
            rows.append(
                [
                    str(name),
                    f"{count:,}",
                    labels.percent(count / correct.sum()),
                    labels.percent(float(scores.loc[scored, "score"].mean())),
                    labels.percent(float(without)),
                ]
            )
    columns = ("convention", "answers", "% of the correct", "accuracy, %", "without it, %")
    return Table(
        "conventions", "Correct by a convention of the grader, over all budgets", columns, rows
    )


def _facts(results: Results) -> Table:
    manifest = results.run.manifest
    config, imported = manifest.config, manifest.imported
    facts: list[tuple[str, Any]] = [
        ("model", results.model),
        ("task", ", ".join(t["name"] for t in config["task"])),
        ("problems × samples", f"{results.problems:,} × {results.samples:,}"),
        ("selectors", ", ".join(config["selectors"])),
        ("bootstrap resamples", f"{config['resamples']:,}"),
        ("testtime", manifest.testtime),
    ]
    price, rates = (config["model"][0].get(key) or config.get(key) for key in ("price", "rates"))
    if price:
        cached = price["input"] if price["cached"] is None else price["cached"]
        said = f"input {price['input']:g}, cached {cached:g}, output {price['output']:g}"
        facts.append(("dollars per million tokens", said))
    if rates and (rates := rates if rates["prefill"] else manifest.rates):
        said = (
            f"prefill {rates['prefill']:,.0f}, decode {rates['decode']:,.0f}, with "
            f"{rates['concurrency']} in flight"
        )
        facts.append(("tokens a second", said + (", measured" if "engine" in rates else "")))
    if manifest.left_out:
        facts.append(("problems left out", "; ".join(manifest.left_out)))
    if imported:
        facts += [("imported from", imported.format), ("files", ", ".join(imported.files))]
    else:
        sampling = {k: v for k, v in config["sampling"].items() if v is not None}
        facts += [
            ("seed", config["seed"]),
            ("sampling", ", ".join(f"{k} {v}" for k, v in sampling.items())),
            ("strategy", config["thinking"]["strategy"]),
            ("identity of the model", manifest.identity.get("model", "")),
        ]
    return Table(
        "run",
        "The run",
        ("what", "value"),
        [(name, str(value)) for name, value in facts if value != ""],
    )


def _sessions(results: Results) -> Table:
    """What this evaluation itself spent, session by session."""
    rows = []
    for session in results.run.manifest.sessions:
        started = datetime.datetime.fromtimestamp(session["started"], datetime.UTC).strftime(
            "%Y-%m-%d %H:%M UTC"
        )
        versions = ", ".join(f"{k} {v}" for k, v in session.get("versions", {}).items())
        prompt, cached = session.get("prompt_tokens", 0), session.get("cached_tokens", 0)
        rows.append(
            [
                started,
                session["engine"],
                f"{session['chain_tokens']:,}",
                f"{session['answer_tokens']:,}",
                f"{prompt:,} ({labels.percent(cached / prompt, 0) if prompt else 0}% cached)",
                f"{session['seconds']:,.1f}",
                (
                    labels.amount(
                        (session["chain_tokens"] + session["answer_tokens"]) / session["seconds"]
                    )
                    if session["seconds"]
                    else "-"
                ),
                f"{session['retries']:,}" if "retries" in session else "-",
                f"{session.get('missing', 0):,}",
                versions,
            ]
        )
    columns = (
        "started",
        "engine",
        "thinking tokens",
        "answer tokens",
        "prompt tokens",
        "seconds",
        "tokens/s",
        "retries",
        "missing chains",
        "versions",
    )
    return Table("sessions", "What this evaluation spent", columns, rows)


def _printed(results: Results) -> Table:
    """Accuracies that the log's own tool printed, beside ours."""
    printed = results.run.manifest.imported.printed if results.run.manifest.imported else []
    rows = [(p["metric"], f"{p['printed']:.6g}", f"{p['here']:.6g}") for p in printed]
    return Table(
        "printed",
        "Accuracy as the log's own tool printed it, and computed here",
        ("metric", "printed", "here"),
        rows,
    )
