"""GenSelect: k answers to one problem are shown together, and a model says which it takes
(Toshniwal et al. 2025, "GenSelect: a generative approach to best-of-N").

A pass of its own over the stored answers. Which samples are shown together, and in what order, is
drawn by the run's seed; budgets at which all of them answer alike share the reply. What is shown is
what the model said to its user: its answer, or the worked solution where it has no delimiters to
hide that.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc

from testtime.compute.flops import Flops
from testtime.errors import UserError
from testtime.models.resolve import decoder
from testtime.runs.choices import column
from testtime.runs.passes import Pass, made, opened, select_by
from testtime.runs.progress import Progress
from testtime.runs.recipe import cell_of
from testtime.runs.recipe import recipe as attempts_of
from testtime.runs.rewards import BLOCK
from testtime.storage.calls import read_calls, thinking_ids
from testtime.storage.store import Store
from testtime.storage.tables import CallRow, ChoiceRow, ProblemRow
from testtime.strategies.budget import closed, cut, paid, think
from testtime.strategies.drawing import Drawing
from testtime.strategies.ledger import SampleLedger, seed
from testtime.strategies.node import Turns, key_of

REPLY = 64  # tokens of a reply at most, behind its thinking


@dataclass(frozen=True)
class Chooser:
    """Who chooses, and how. model: None for the run's own; ask: what is asked behind the answers
    shown; budget: thinking tokens of each choice.
    """

    model: str | None = None
    ask: str = 'Which of these answers is right? End with "Judgment: " and its number.'
    budget: int = 0


@dataclass(frozen=True)
class _Shown:
    """A choice to make. samples, answers: which are shown, by number and key, in this order."""

    key: str
    problem: ProblemRow
    number: int
    samples: tuple[int, ...]
    answers: tuple[str, ...]
    texts: tuple[str, ...]


def choose(
    store: Store, name: str, k: int, subsets: int, chooser: Chooser, progress: Progress
) -> list[str]:
    """Have `k` answers at a time chosen from, `subsets` times a problem and budget, and put
    genselect:NAME_k among the selectors of the run's manifest, unless no reply names an answer;
    returns a line for each choice that failed. Raises UserError as `pipeline.choose` says.
    """
    given = opened(store, "choices", name, "choice", chooser, ids=False)
    if not 2 <= k <= given.job.config.samples:
        raise UserError(
            f"--k {k}: {given.job.config.samples} answers are drawn a problem; choose from 2 to "
            "so many"
        )
    done = {row["key"] for row in given.held}

    def asking(drawing: Drawing) -> Callable[[_Shown], Awaitable[ChoiceRow]]:
        shared = replace(drawing, answer_tokens=REPLY)
        return lambda shown: _chosen(shown, shared, chooser, given)

    failed = made(given, "choices", _questions(given, k, subsets, done), asking, progress)
    rows = store.read("choices", ["chosen"], pc.field("name") == name)
    lost = pc.sum(pc.less(rows["chosen"], 0)).as_py() or 0
    if lost and lost == rows.num_rows:
        progress.say(
            f"none of {lost} replies names an answer shown, so nothing was chosen; give an --ask "
            "that the model knows, or another --model (and --name)"
        )
        return failed
    if lost:
        progress.say(
            f"{lost} of {rows.num_rows} replies name none of the answers shown, or several: they "
            "count as a choice at random"
        )
    select_by(store, [f"genselect:{column(name, k)}"])
    return failed


def picked(text: str, k: int) -> int:
    """The number that a reply names, 1 to k: behind its last "Judgment:" or in its last box, else
    the only number that it holds; 0 where it names none.
    """
    told = re.findall(r"(?:[Jj]udge?ment\W+|\\boxed\{\s*)(\d{1,9})\b", text)
    alone = set(re.findall(r"\b\d{1,9}\b", text))
    number = int(told[-1] if told else alone.pop() if len(alone) == 1 else 0)
    return number if number <= k else 0


async def _chosen(shown: _Shown, drawing: Drawing, chooser: Chooser, given: Pass) -> ChoiceRow:
    ledger = SampleLedger(drawing, shown.problem.problem_id, shown.number, {})
    listed = [f"Answer {i}:\n{text}" for i, text in enumerate(shown.texts, 1)]
    content = "\n\n".join([shown.problem.question, *listed, chooser.ask])
    turns: Turns = ({"role": "user", "content": content},)
    if given.job.model.tokenizer is None:  # a server keeps it
        answer = await ledger.told(ledger.start((), turns), chooser.budget)
        text, tokens, flops = answer.text, answer.thinking + answer.tokens, float("nan")
    else:
        thinking = await think(ledger, ledger.prompt(turns), chooser.budget, shown.key)
        at = cut(thinking.node.length, thinking.finish, chooser.budget)
        assert at is not None
        place, answer = await closed(ledger, thinking.node.cut(at.tokens), at.forced, shown.key)
        calls, cost = paid(place, answer.tokens), Flops.from_config(given.job.model.config)
        flops = sum(float(cost.call(c.context, c.fed, c.drawn)) for c in calls)
        text, tokens = answer.text, sum(call.drawn for call in calls)
    chosen = picked(text, len(shown.samples)) - 1
    own = list(shown.samples), list(shown.answers)
    problem = shown.problem.problem_id
    return ChoiceRow(shown.key, given.name, given.recipe, problem, *own, chosen, tokens, flops)


def _questions(given: Pass, k: int, subsets: int, done: set[str]) -> Iterator[_Shown]:
    """What is still to be asked, problem by problem."""
    job, store = given.job, given.job.store
    cell_names = {cell_of(amounts) for amounts in job.config.thinking.cells(given.form)}
    of_run = pc.field("recipe") == attempts_of(job.config, given.form)
    for start in range(0, len(job.problems), BLOCK):
        block = {row.problem_id: row for row in job.problems[start : start + BLOCK]}
        ours = of_run & pc.field("problem_id").isin(list(block))
        cells: dict[tuple[str, str], dict[int, str]] = {}
        for row in store.read("attempts", ["answers"], ours).to_pylist():
            if len(row["answers"]) > 1:
                raise UserError(
                    f"{store.root}: a search joins its answers by votes after grading, so it has "
                    "none to show"
                )
            if row["cell"] in cell_names and row["sample"] < job.config.samples:
                held = cells.setdefault((row["problem_id"], row["cell"]), {})
                held[row["sample"]] = row["answers"][0]
        calls = read_calls(store, list(block)) if cells else {}
        asked = set(done)
        for (problem, _), held in sorted(cells.items()):
            for number in range(subsets):
                samples = _subset(job.config.seed, problem, number, k, job.config.samples)
                answers = tuple(held[sample] for sample in samples if sample in held)
                key = key_of(given.name, problem, samples, answers, number)
                if len(answers) < k or key in asked or not calls.keys() >= set(answers):
                    continue
                asked.add(key)
                texts = tuple(_said(calls, calls[answer], given) for answer in answers)
                yield _Shown(key, block[problem], number, samples, answers, texts)


def _subset(run: int, problem: str, number: int, k: int, samples: int) -> tuple[int, ...]:
    """The samples that are shown together the `number`th time, in the order shown."""
    rng = np.random.default_rng(seed(key_of(run, problem, "choice", number), 0))
    return tuple(rng.permutation(samples)[:k].tolist())


def _said(calls: Mapping[str, CallRow], answer: CallRow, given: Pass) -> str:
    """What a model's user reads of an attempt: its answer; of a worked solution that was cut short,
    that first.
    """
    if given.form.delimited or answer.kind != "answer":
        return answer.text.strip()
    working = decoder(given.own.tokenizer)(thinking_ids(calls, answer))
    return (working + answer.text).strip()
