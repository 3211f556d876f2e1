"""What the terminal shows of a run's problems: all with their share of right answers, or one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from testtime.runs.run import load
from testtime.runs.transcripts import Transcript, read


def show(
    path: str | Path,
    problem: str | None,
    samples: Sequence[int] | None = None,
    as_json: bool = False,
) -> str:
    """For the terminal: the problems of a run with their share of right answers, or one of them in
    full.

    Raises UserError for an unknown problem, and for a run without tables.
    """
    run = load(path)
    scores = run.scores.assign(problem_id=run.scores["problem_id"].astype(str))
    if problem is None:
        solved = scores.groupby("problem_id", sort=False)["score"].mean()
        if as_json:
            return json.dumps(
                {str(k): None if v != v else round(float(v), 6) for k, v in solved.items()}
            )
        head = (
            "right answers, % of all budgets and samples (the page's list: of the largest budget)"
        )
        return "\n".join([head, *(f"{100 * v:6.1f}  {k}" for k, v in solved.items())])
    models = list(dict.fromkeys(scores["model"]))
    parts = []
    for model in models:
        found = next(iter(read(path, scores[scores["model"] == model], [problem], samples)))
        parts.append(
            json.dumps({"model": model, **asdict(found)})
            if as_json
            else _page(found, model, len(models) > 1)
        )
    return "\n".join(parts)


def _page(found: Transcript, model: str, several: bool) -> str:
    """One transcript as text; control characters are shown, not obeyed by the terminal."""
    lines = [
        found.problem_id + (f", {model}" if several else ""),
        "",
        found.question,
        "",
        f"right answer: {found.gold}",
    ]
    for chain in found.chains:
        tokens = (
            ""
            if chain.tokens is None
            else f": {chain.tokens:,} thinking tokens"
            + (f", {chain.finish}" if chain.finish else "")
        )
        lines += ["", f"--- sample {chain.sample}{tokens}"]
        marks = {a.tokens: a for a in chain.answers if a.forced}
        tools = {used.until: used for used in chain.tools}
        text = ""
        for end, part in chain.segments or []:
            mark, used = marks.get(end), tools.get(end)
            text += f" [{used.name}, {used.status}, {used.seconds:.3g} s] " if used else ""
            text += part + (
                f" [cut {', '.join(mark.labels)}: {mark.key or mark.verdict}, {mark.verdict}] "
                if mark
                else ""
            )
        lines += (
            [text]
            if text
            else ["(the model's tokenizer is out of reach: no thinking shown)"]
            if chain.segments is None
            else []
        )
        for answer in chain.answers:
            lines.append(
                f"{', '.join(answer.labels) or 'answer':>12}  {answer.verdict:<9} "
                f"{' '.join(answer.text.split())}"
            )
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in "\n".join(lines))
