"""Logs of EleutherAI's lm-evaluation-harness: a folder with results_*.json and
samples_TASK_*.jsonl.

A row of its log is a (document, filter) and holds every repeat, but most filters score only the
first. The other repeats are scored by applying the log's own filter and exact match to them; this
is used only where it gives lm-eval's recorded score on the first repeat of every document.
Otherwise one sample a document is imported, as lm-eval scored it.
"""

from __future__ import annotations

import contextlib
import json
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.errors import UserError, suggest
from testtime.importers.log import Log, save
from testtime.tasks import patterns as limited

if TYPE_CHECKING:
    from testtime.runs.run import Run

Row = dict[str, Any]
NO_MATCH = "[invalid]"  # lm-eval's default where a regex finds nothing


def import_lm_eval(
    folder: str | Path,
    out: str | Path = "runs",
    *,
    task: str | None = None,
    metric: str | None = None,
    filter_name: str | None = None,
) -> list[Run]:
    """Every task of a folder as a run directory. task, metric, filter_name: default all tasks, each
    one's first.

    Raises UserError for a folder without such logs, and for unknown tasks, metrics and filters.
    """
    root = Path(folder)
    files = [root] if root.is_file() else sorted(root.rglob("samples_*.jsonl"))
    if not files:
        raise UserError(
            f"{root}: no samples_*.jsonl here; run lm-eval with --log_samples, and give its "
            f"output folder"
        )
    logs = []
    for file in files:
        with _well_formed(file):
            logs.append(_read(file, metric, filter_name))
    known = [log.task for log in logs]
    if task is not None:
        if task not in known:
            raise UserError(f"{root}: no task {task!r} in these logs{suggest(task, known)}")
        logs = [log for log in logs if log.task == task]
    return [save(log, out) for log in logs]


@contextlib.contextmanager
def _well_formed(file: Path) -> Iterator[None]:
    """Makes one line of what a log with other types or keys than lm-eval's does to its reader."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        said = f"{type(error).__name__}: {error}"[:120]
        raise UserError(f"{file}: not as lm-eval writes its logs ({said})") from None


def _read(file: Path, metric: str | None, filter_name: str | None) -> Log:
    import pandas as pd

    rows = _rows(file)
    results = _results(file)
    filters = list(dict.fromkeys(str(r.get("filter", "none")) for r in rows))
    chosen = filter_name or filters[0]
    if chosen not in filters:
        raise UserError(f"{file}: no filter {chosen!r}{suggest(chosen, filters)}")
    rows = [r for r in rows if str(r.get("filter", "none")) == chosen]
    metrics = [m for m in rows[0].get("metrics", []) if isinstance(rows[0].get(m), (int, float))]
    name = metric or next(iter(metrics), "")
    if name not in rows[0]:
        raise UserError(f"{file}: no metric {name!r}{suggest(name, metrics)}")
    task = _task_name(file, results)
    config = results.get("configs", {}).get(task, {})
    repeats = _rescored(rows, name, chosen, config)
    graded = []
    for row, scored in zip(rows, repeats, strict=True):
        for sample, (score, key, text) in enumerate(scored):
            verdict = "correct" if score == 1 else "wrong"
            graded.append(
                {
                    "problem_id": str(row["doc_id"]),
                    "sample": sample,
                    "score": score,
                    "answer_key": key,
                    "text": text,
                    "verdict": "unparsed" if key is None and score == 0 else verdict,
                }
            )
    scores = pd.DataFrame(graded).assign(model=str(results.get("model_name") or "model"))
    printed = results.get("results", {}).get(task, {}).get(f"{name},{chosen}")
    here = float(scores.loc[scores["sample"] == 0, "score"].mean())
    beside = (
        [(f"{name},{chosen}", float(printed), here)] if isinstance(printed, (int, float)) else []
    )
    return Log(
        task, "lm-eval", [str(file)], scores, {str(r["doc_id"]): _problem(r) for r in rows}, beside
    )


def _rows(file: Path) -> list[Row]:
    try:
        rows = [
            json.loads(line)
            for line in file.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{file}: not a log of lm-eval's samples ({error}); give the folder it wrote"
        ) from None
    if not rows or not all(isinstance(r, dict) and {"doc_id", "resps"} <= r.keys() for r in rows):
        raise UserError(
            f"{file}: not a log of lm-eval's samples: its rows have no doc_id and resps"
        )
    return rows


def _results(file: Path) -> Row:
    """The results_*.json of the same run (its name ends in the same time), or {}."""
    stamp = file.stem.rsplit("_", 1)[-1]
    beside = file.with_name(f"results_{stamp}.json")
    try:
        summary: Row = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{beside}: cannot be read ({error}); restore it or move it away") from None
    if not isinstance(summary, dict):
        raise UserError(f"{beside}: holds no mapping; restore it or move it away")
    return summary


def _task_name(file: Path, results: Row) -> str:
    name = file.stem.removeprefix("samples_").rsplit("_", 1)[0]
    return next((t for t in results.get("configs", {}) if t == name), name)


def _problem(row: Row) -> tuple[str, str]:
    doc = row.get("doc") or {}
    asked = next(
        (str(doc[k]) for k in ("question", "problem", "query", "input", "prompt") if k in doc), None
    )
    if asked is None:
        arguments = row.get("arguments") or {}
        first: Any = next(iter(arguments.values()), {}) if isinstance(arguments, dict) else {}
        asked = str(first.get("arg_0", "")) if isinstance(first, dict) else ""
    return asked, str(row.get("target", ""))


Scored = tuple[float | None, str | None, str]  # score, answer key, text


def _rescored(
    rows: Sequence[Row], metric: str, chosen: str, config: Mapping[str, Any]
) -> list[list[Scored]]:
    """The samples of every row: all repeats where the log's own rule could be repeated, else the
    first.
    """
    rule = _rule(metric, chosen, config)
    if rule is not None:
        try:
            every = [
                [rule(str(text), str(row["target"])) for text in row["resps"][0]] for row in rows
            ]
        except UserError:  # a pattern that would take for ever: no rule of ours
            every = []
        if every and all(
            scored[0][0] == float(row[metric]) for row, scored in zip(rows, every, strict=True)
        ):
            return every
    return [[(_number(row[metric]), _key(row), _text(row))] for row in rows]


def _rule(metric: str, chosen: str, config: Mapping[str, Any]) -> Any:
    """(text, target) -> Scored as lm-eval's regex filters and exact match do it; None for anything
    else.
    """
    filters = next(
        (f["filter"] for f in config.get("filter_list", []) if f["name"] == chosen), None
    )
    options = next((m for m in config.get("metric_list", []) if m.get("metric") == metric), None)
    if metric != "exact_match" or options is None or config.get("output_type") != "generate_until":
        return None
    steps = filters if filters is not None else [{"function": "take_first"}]
    if [s["function"] for s in steps if s["function"] != "regex"] != ["take_first"]:
        return None
    finds = [s for s in steps if s["function"] == "regex"]
    try:
        patterns = [
            (
                limited.compiled(str(s["regex_pattern"]), "regex_pattern"),
                int(s.get("group_select", 0)),
                str(s.get("fallback", NO_MATCH)),
            )
            for s in finds
        ]
        ignored = [str(p) for p in options.get("regexes_to_ignore") or []]
        for pattern in ignored:
            limited.compiled(pattern, "regexes_to_ignore")
    except UserError:
        return None

    def plain(text: str) -> str:
        for pattern in ignored:
            text = limited.remove(pattern, text, "regexes_to_ignore")
        text = text.lower() if options.get("ignore_case") else text
        drop = (string.punctuation if options.get("ignore_punctuation") else "") + (
            string.digits if options.get("ignore_numbers") else ""
        )
        return text.translate(str.maketrans("", "", drop))

    def rule(text: str, target: str) -> Scored:
        answer, parsed = text, True
        for pattern, group, fallback in patterns:
            answer, parsed = _match(pattern, group, fallback, answer)
        return float(plain(answer) == plain(target)), plain(answer) if parsed else None, text

    return rule


def _match(pattern: Any, group: int, fallback: str, text: str) -> tuple[str, bool]:
    """lm-eval's RegexFilter on one text, and whether anything was found."""
    matches = limited.find_all(pattern, text, "regex_pattern")
    if not matches or not -len(matches) <= group < len(matches):
        return fallback, False
    match = matches[group]
    if isinstance(match, tuple):
        match = next((m for m in match if m), None)
    return (fallback, False) if match is None else (match.strip(), True)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value == value else None


def _key(row: Row) -> str | None:
    """What the scored sample answered: the filtered text, or the likeliest choice."""
    filtered = row.get("filtered_resps") or [None]
    if all(isinstance(f, list) and len(f) == 2 for f in filtered):
        return str(max(range(len(filtered)), key=lambda i: float(filtered[i][0])))
    first = filtered[0]
    return None if first is None or first == NO_MATCH else str(first)


def _text(row: Row) -> str:
    first = row["resps"][0]
    return (
        str(first[0])
        if isinstance(first, list) and first and isinstance(first[0], str)
        else json.dumps(row["resps"])
    )
