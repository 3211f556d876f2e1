"""What a model wrote, put back together from a run directory: chains and their cuts, the answers
there, verdicts.

Analysis never needs these texts; people do (`testtime show`, the report's browser, exported logs).
Chains are kept as token ids, so the model's tokenizer is needed to read them; where it is out of
reach, the answers are still there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.errors import UserError, suggest
from testtime.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

CONTEXT = (
    8  # tokens decoded before a segment, so that its first characters come out as in the whole text
)
BLOCK = 64  # problems whose tokens are in memory at once
Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class Answer:
    """What followed a cut. labels: its budgets or setting; key: the grader's; tokens: thinking
    tokens before it.
    """

    labels: tuple[str, ...]
    text: str
    forced: bool
    verdict: str
    key: str | None
    tokens: int | None


@dataclass(frozen=True)
class Chain:
    """One chain. segments: (thinking tokens at its end, text) between cuts; None where no tokenizer
    could read them.
    """

    sample: int
    finish: str
    tokens: int | None
    segments: list[tuple[int, str]] | None
    answers: list[Answer]


@dataclass(frozen=True)
class Transcript:
    """A problem with its chains; `meta` is what its benchmark kept of the row."""

    problem_id: str
    question: str
    gold: str
    chains: list[Chain] = field(default_factory=list)


def read(
    path: str | Path,
    scores: pd.DataFrame,
    problems: Sequence[str],
    samples: Sequence[int] | None = None,
) -> Iterator[Transcript]:
    """The transcripts of some problems of a run (one model's scores), in order.

    samples: which (None: all). Raises UserError naming the nearest problem when one is not in the
    run.
    """
    store = Store(path)
    known = set(scores["problem_id"].astype(str))
    for name in problems:
        if name not in known:
            raise UserError(
                f"{path}: no problem {name!r} in this run{suggest(name, list(known)[:5000])}"
            )
    texts = "tables/texts.parquet"
    imported, told = "imported" in store.manifest(), store.has(texts)
    decode = None if imported else decoder(store.manifest())  # an import asks no hub
    for start in range(0, len(problems), BLOCK):
        block = list(problems[start : start + BLOCK])
        rows = scores[scores["problem_id"].isin(block)]
        if samples is not None:
            rows = rows[rows["sample"].isin(samples)]
        asked = {
            r["problem_id"]: r for r in _rows(store, "problems", ["question", "gold"], block, None)
        }
        if imported and not told:
            chains = {}
        elif imported:
            chains = _imported(store.frame(texts, [("problem_id", "in", block)]), rows)
        else:
            chains = _stored(store, rows, block, samples, decode)
        for name in block:
            row = asked.get(name, {"question": "", "gold": ""})
            yield Transcript(name, row["question"] or "", row["gold"] or "", chains.get(name, []))


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
    from testtime.pipeline import load

    run = load(path)
    scores = run.scores.assign(problem_id=run.scores["problem_id"].astype(str))
    if problem is None:
        solved = scores.groupby("problem_id", sort=False)["score"].mean()
        if as_json:
            return json.dumps(
                {str(k): None if v != v else round(float(v), 6) for k, v in solved.items()}
            )
        return "\n".join(f"{100 * v:6.1f}% right  {k}" for k, v in solved.items())
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
        text = ""
        for end, part in chain.segments or []:
            mark = marks.get(end)
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


def decoder(manifest: dict[str, Any]) -> Decode | None:
    """Token ids to text with the run's own tokenizer; None where it cannot be loaded."""
    ref = manifest["config"]["model"][0]
    return _decoder(ref["name"], ref.get("revision"))


@lru_cache(maxsize=2)
def _decoder(name: str, revision: str | None) -> Decode | None:
    """A folder's tokenizer.json is read as it is, in milliseconds; only what lies elsewhere, or in
    another form, needs transformers.
    """
    from testtime import zoo

    file = (zoo.path(name) if name in zoo.names() else Path(name)) / "tokenizer.json"
    try:
        if file.is_file():
            import tokenizers

            fast = tokenizers.Tokenizer.from_file(str(file))
            return lambda ids: str(fast.decode(list(ids), skip_special_tokens=False))
        from testtime.models import resolve as models

        slow = models.resolve(name, revision).tokenizer
    except (UserError, ImportError, OSError):
        return None
    plain = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    return lambda ids: str(slow.decode(list(ids), **plain))


def segments(ids: Sequence[int], cuts: Sequence[int], decode: Decode) -> list[tuple[int, str]]:
    """The text between cuts, each with the token count at its end. Joined they are the whole
    text.
    """
    ends = [*sorted({c for c in cuts if 0 < c < len(ids)}), len(ids)]
    found, start = [], 0
    for end in ends:
        before = max(0, start - CONTEXT)
        lead = decode(ids[before:start]) if start else ""
        found.append((end, decode(ids[before:end])[len(lead) :]))
        start = end
    return found


def _stored(
    store: Store,
    scores: pd.DataFrame,
    block: list[str],
    samples: Sequence[int] | None,
    decode: Decode | None,
) -> dict[str, list[Chain]]:
    """The chains of a sampled run by problem."""
    pools: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in _rows(store, "answers", ["forced", "text"], block, samples):
        pools.setdefault((row["problem_id"], row["sample"], row["variant"]), []).append(row)
    if not pools:
        return {}
    drawn: dict[tuple[str, int, str], dict[str, Any]] = {}
    for row in sorted(
        _rows(store, "chains", ["token_ids", "tokens", "finish"], block, samples),
        key=lambda r: int(r["start"]),
    ):
        key = (row["problem_id"], row["sample"], row["variant"])
        earlier = drawn.get(key, {"ids": []})
        drawn[key] = {
            "ids": [*earlier["ids"][: row["start"]], *row["token_ids"]],
            "finish": row["finish"],
            "tokens": row["start"] + row["tokens"],
        }
    verdicts, told = _verdicts(scores), str(scores["setting"].iloc[0])
    result: dict[str, list[Chain]] = {}
    for key in sorted(pools, key=lambda k: (k[0], k[1], _number(k[2]))):
        name, sample, variant = key
        chain = drawn.get(key, {"ids": [], "finish": "none", "tokens": 0})
        answers = []
        for row in sorted(pools[key], key=lambda r: int(r["cut"])):
            held = verdicts.get((name, sample, row["cut"], bool(row["forced"])), [])
            if variant.startswith("budget="):
                held = [h for h in held if h[0] in (None, _number(variant))]
            if held:  # an answer for a budget that is no longer asked for is left out
                labels = tuple(told if b is None else f"{b:,}" for b, _, _ in held)
                answers.append(
                    Answer(
                        labels, row["text"], bool(row["forced"]), held[0][1], held[0][2], row["cut"]
                    )
                )
        cuts = [a.tokens for a in answers if a.tokens is not None]
        parts = (
            segments(chain["ids"], cuts, decode)
            if decode and chain["ids"]
            else None
            if chain["ids"]
            else []
        )
        result.setdefault(name, []).append(
            Chain(sample, chain["finish"], chain["tokens"], parts, answers)
        )
    return result


def _verdicts(
    scores: pd.DataFrame,
) -> dict[tuple[str, int, int, bool], list[tuple[int | None, str, str | None]]]:
    """(problem, sample, cut, forced) -> its (budget, verdict, key)s; no budget where a level was
    told.
    """
    found: dict[tuple[str, int, int, bool], list[tuple[int | None, str, str | None]]] = {}
    known = scores[scores["thinking_tokens"].notna()].sort_values("budget")
    columns = [
        "problem_id",
        "sample",
        "thinking_tokens",
        "forced",
        "budget",
        "verdict",
        "answer_key",
    ]
    for name, sample, cut, forced, budget, verdict, key in known[columns].itertuples(index=False):
        entry = (
            None if budget != budget else int(budget),
            str(verdict),
            None if key is None or key != key else str(key),
        )
        found.setdefault((name, int(sample), int(cut), bool(forced)), []).append(entry)
    return found


def _imported(texts: pd.DataFrame, scores: pd.DataFrame) -> dict[str, list[Chain]]:
    """The chains of an imported run by problem: what its log said, as one piece."""
    keys = ["problem_id", "model", "setting", "budget", "sample"]
    told = scores.merge(texts, on=keys, how="left")
    result: dict[str, list[Chain]] = {}
    for row in told.sort_values(["problem_id", "sample"]).to_dict("records"):
        thinking, text = (row[c] if isinstance(row[c], str) else "" for c in ("thinking", "text"))
        tokens = row.get("thinking_tokens")
        count = None if tokens is None or tokens != tokens else int(tokens)
        verdict = row["verdict"] if isinstance(row.get("verdict"), str) else _scored(row["score"])
        key = row.get("answer_key") if isinstance(row.get("answer_key"), str) else None
        label = row["setting"] or (
            "" if row["budget"] != row["budget"] else f"{row['budget']:,.0f}"
        )
        answer = Answer((label,) if label else (), text, False, str(verdict), key, count)
        parts = [(count or 0, thinking)] if thinking else []
        result.setdefault(row["problem_id"], []).append(
            Chain(int(row["sample"]), "", count, parts, [answer])
        )
    return result


def _scored(score: float) -> str:
    """The verdict of a log that gives scores alone."""
    known = {1.0: "correct", 0.0: "wrong"}
    return "missing" if score != score else known.get(score, f"score {score:g}")


def _rows(
    store: Store, table: str, columns: list[str], problems: list[str], samples: Sequence[int] | None
) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    wanted = pc.field("problem_id").isin(problems)
    if samples is not None:
        wanted &= pc.field("sample").isin(list(samples))
    rows: list[dict[str, Any]] = store.read(table, columns, wanted).to_pylist()
    return rows


def _number(variant: str) -> int:
    return int(variant.partition("=")[2] or 0) if variant.startswith("budget=") else -1
