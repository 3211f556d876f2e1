"""What a model wrote, put back together from a run directory: chains and their cuts, the answers
there, verdicts.

Analysis never needs these texts; people do (`testtime show`, the report's browser, exported logs).
Chains are kept as token ids, so the model's tokenizer is needed to read them; where it is out of
reach, the answers are still there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from testtime import zoo
from testtime.errors import UserError, suggest
from testtime.models.resolve import resolve
from testtime.runs.dialogues import Piece, pieces, turns_before
from testtime.runs.recipe import recipe_of, setting_of
from testtime.storage.calls import fed_on_the_way, line_ids, read_calls, thinking_ids
from testtime.storage.manifest import Manifest
from testtime.storage.store import Store
from testtime.storage.tables import CallRow
from testtime.strategies.base import Amounts
from testtime.strategies.registry import parse

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
class Used:
    """A tool's result in a chain, from token `at` to `until`. status: as in `tools.base`; seconds:
    what it took.
    """

    name: str
    status: str
    seconds: float
    at: int
    until: int


@dataclass(frozen=True)
class Chain:
    """One chain. segments: (thinking tokens at its end, text) between cuts and results of tools;
    None where no tokenizer could read them.
    """

    sample: int
    finish: str
    tokens: int | None
    segments: list[tuple[int, str]] | None
    answers: list[Answer]
    tools: list[Used] = field(default_factory=list)


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
    imported, told = store.manifest().imported is not None, store.has(texts)
    drawn = None if imported else _Drawn.of(store)  # an import asks no hub
    for start in range(0, len(problems), BLOCK):
        block = list(problems[start : start + BLOCK])
        rows = scores[scores["problem_id"].isin(block)]
        if samples is not None:
            rows = rows[rows["sample"].isin(samples)]
        wanted = pc.field("problem_id").isin(block)
        rows_asked = store.read("problems", ["question", "gold"], wanted).to_pylist()
        asked = {row["problem_id"]: row for row in rows_asked}
        if drawn is None:
            said = store.frame(texts, [("problem_id", "in", block)]) if told else None
            chains = _imported(said, rows)
        else:
            chains = _stored(drawn, rows, block, samples)
        for name in block:
            row = asked.get(name, {"question": "", "gold": ""})
            yield Transcript(name, row["question"] or "", row["gold"] or "", chains.get(name, []))


def decoder(manifest: Manifest) -> Decode | None:
    """Token ids to text with the run's own tokenizer; None where it cannot be loaded."""
    ref = manifest.config["model"][0]
    return _decoder(ref["name"], ref.get("revision"))


@lru_cache(maxsize=2)
def _decoder(name: str, revision: str | None) -> Decode | None:
    """A folder's tokenizer.json is read as it is, in milliseconds; only what lies elsewhere, or in
    another form, needs transformers.
    """
    file = (zoo.path(name) if name in zoo.names() else Path(name)) / "tokenizer.json"
    try:
        if file.is_file():
            import tokenizers

            fast = tokenizers.Tokenizer.from_file(str(file))
            return lambda ids: str(fast.decode(list(ids), skip_special_tokens=False))
        slow = resolve(name, revision).tokenizer
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


@dataclass(frozen=True)
class _Drawn:
    """A sampled run as its transcripts read it. places: what each cell's attempts are called, and
    their setting and budget (-1 for none) in the scores table, in the order of its config.
    """

    store: Store
    recipe: str
    places: dict[str, tuple[str, str, float]]
    decode: Decode | None
    delimited: bool

    @classmethod
    def of(cls, store: Store) -> _Drawn:
        manifest = store.manifest()
        recipe, cells = recipe_of(parse(manifest.config), manifest)
        told = manifest.config["model"][0]["setting"]
        places = {cell: _place(amounts, told) for cell, amounts in cells.items()}
        delimited = bool(manifest.thinking_format["close"])
        return cls(store, recipe, places, decoder(manifest), delimited)


def _stored(
    drawn: _Drawn, scores: pd.DataFrame, block: list[str], samples: Sequence[int] | None
) -> dict[str, list[Chain]]:
    """The chains of a sampled run by problem: each with the answers that stand on it."""
    store, places = drawn.store, drawn.places
    calls = read_calls(store, block, samples)
    order = {cell: at for at, cell in enumerate(places)}
    ours = (pc.field("recipe") == drawn.recipe) & pc.field("cell").isin(list(places))
    ours &= pc.field("problem_id").isin(block)
    rows = store.read("attempts", ["answers"], ours).to_pylist()
    labels: defaultdict[str, list[tuple[str, str, str | None]]] = defaultdict(list)
    verdicts = _verdicts(scores)
    for row in sorted(rows, key=lambda row: order[row["cell"]]):
        label, setting, budget = places[row["cell"]]
        verdict, vote = verdicts.get(
            (row["problem_id"], row["sample"], setting, budget), ("missing", None)
        )
        for key in row["answers"]:
            labels[key].append((label, verdict, vote))
    groups: defaultdict[str, list[CallRow]] = defaultdict(list)
    first = {call.parent: key for key, call in reversed(calls.items()) if call.kind == "think"}
    for key in labels.keys() & calls.keys():  # an answer that is no longer asked for is left out
        answer = calls[key]
        at = answer.key if answer.kind == "told" else answer.parent
        groups[first.get(at, at) if at.startswith("#") else at].append(answer)
    tools = {(call.parent, call.kept): call for call in calls.values() if call.kind == "tool"}
    result: defaultdict[str, list[Chain]] = defaultdict(list)
    depth = {at: (answers[0].sample, _depth(calls, at)) for at, answers in groups.items()}
    for at, answers in sorted(groups.items(), key=lambda group: depth[group[0]]):
        chain = _chain(calls, at, answers, labels, drawn, tools)
        result[answers[0].problem_id].append(chain)
    return result


def _chain(
    calls: Mapping[str, CallRow],
    at: str,
    answers: Sequence[CallRow],
    labels: Mapping[str, list[tuple[str, str, str | None]]],
    drawn: _Drawn,
    tools: Mapping[tuple[str, int], CallRow],
) -> Chain:
    """One chain with its answers, in the order of their cuts."""
    call, ids = calls.get(at), list[int]()
    if call is not None:
        ids = thinking_ids(calls, call) if call.kind == "told" else line_ids(calls, call)
    natural = call is not None and (
        call.finish == "stop" or (call.finish, drawn.delimited) == ("eos", 0)
    )
    finish = "none" if call is None else "natural" if natural else call.finish
    made = []
    for answer in answers:
        held = labels[answer.key]
        cut = answer.thinking if answer.kind == "told" else len(thinking_ids(calls, answer))
        forced = answer.forced or (answer.kind == "answer" and bool(answer.fed))
        names = tuple(label for label, _, _ in held)
        made.append(Answer(names, answer.text, forced, held[0][1], held[0][2], cut))
    made.sort(key=lambda answer: answer.tokens or 0)
    tokens = call.thinking if call is not None and call.kind == "told" else len(ids)
    if turns := turns_before(calls, call):
        return _spoken(answers[0].sample, finish, pieces(turns, answers[0], tools), made, tokens)
    used = _used(calls, call, tools) if call is not None else []
    cuts = [answer.tokens for answer in made if answer.tokens is not None]
    cuts += [end for one in used for end in (one.at, one.until)]
    parts = segments(ids, cuts, drawn.decode) if drawn.decode and ids else None if ids else []
    return Chain(answers[0].sample, finish, tokens, parts, made, used)


def _spoken(
    sample: int, finish: str, told: Sequence[Piece], made: Sequence[Answer], tokens: int
) -> Chain:
    """A dialogue with a server, and the tokens that it thought before it answered."""
    ends = [0, *(end for end, _, _ in told)]
    used = [
        Used(tool.model, tool.finish, tool.seconds or 0.0, before, end)
        for before, (end, _, tool) in zip(ends, told, strict=False)
        if tool is not None
    ]
    total = ends[-1] + tokens
    answers = [replace(answer, tokens=total) for answer in made]
    return Chain(sample, finish, total, [(end, text) for end, text, _ in told], answers, used)


def _used(
    calls: Mapping[str, CallRow], call: CallRow, tools: Mapping[tuple[str, int], CallRow]
) -> list[Used]:
    """The results of tools on the way to the end of a chain."""
    return [
        Used(tool.model, tool.finish, tool.seconds or 0.0, at, at + len(row.fed))
        for at, row in fed_on_the_way(calls, call)
        if (tool := tools.get((row.parent, row.kept))) is not None
    ]


def _depth(calls: Mapping[str, CallRow], key: str) -> int:
    return 0 if key not in calls else 1 + _depth(calls, calls[key].parent)


def _place(amounts: Amounts, told: str) -> tuple[str, str, float]:
    """A cell's entry in `_Drawn.places`."""
    setting, budget = setting_of(amounts, told), amounts.get("budget", -1)
    label = "" if budget < 0 else f"{budget:,}"
    return ", ".join(filter(None, (setting, label))), setting, budget


def _verdicts(
    scores: pd.DataFrame,
) -> dict[tuple[str, int, str, float], tuple[str, str | None]]:
    """(problem, sample, setting, budget or -1) -> (verdict, key)."""
    columns = ["problem_id", "sample", "setting", "budget", "verdict", "answer_key"]
    return {
        (name, int(sample), setting, -1 if budget != budget else float(budget)): (
            str(verdict),
            None if key is None or key != key else str(key),
        )
        for name, sample, setting, budget, verdict, key in scores[columns].itertuples(index=False)
    }


def _imported(texts: pd.DataFrame | None, scores: pd.DataFrame) -> dict[str, list[Chain]]:
    """The chains of an imported run by problem: what its log said, as one piece; of a log without
    texts the verdicts alone.
    """
    keys = ["problem_id", "model", "setting", "budget", "sample"]
    told = scores.assign(thinking="", text="")
    if texts is not None:
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
