"""What proves each role of the agent, on held-out questions, each figure with a 95 % interval over
questions.

    python -m benchmarks.laboratory.prove

Questions of two and more functions were in no batch; attempts are the agent's own at temperature 1.
Intervals resample questions with all their samples, 2,000 times.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.laboratory import roles, sample, steps, world
from benchmarks.laboratory.agent import attempted, quiz
from benchmarks.laboratory.agent_data import Attempt
from benchmarks.laboratory.recipe import HERE
from benchmarks.laboratory.set_quality import auc

RESAMPLES = 2000
SAMPLES = 16
HARD = 100
"""A hard question has a function of at least this rank."""
Question = tuple[int, tuple[int, ...]]


def interval(figure: Callable[..., float], *columns: np.ndarray, seed: int = 0) -> dict[str, float]:
    """The figure of arrays whose first axis is the question, and its 95 % percentile interval over
    questions.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(columns[0]), size=len(columns[0]))
        drawn.append(figure(*(column[rows] for column in columns)))
    lo, hi = np.nanquantile(drawn, [0.025, 0.975])
    return {"value": figure(*columns), "lo": float(lo), "hi": float(hi)}


def share(part: np.ndarray, of: np.ndarray) -> float:
    """The share of `of` where `part` holds too."""
    return float((part & of).sum() / max(of.sum(), 1))


def vote(answers: Sequence[str], gold: str) -> float:
    """The chance that the most frequent answer is right; ties broken uniformly, empty answers do
    not vote.
    """
    names, counts = np.unique([a for a in answers if a] or [""], return_counts=True)
    best = names[counts == counts.max()]
    return float(gold in best) / len(best)


def golds(asked: Sequence[Question]) -> list[str]:
    """The right answers."""
    return [world.letter(world.states(s, f)[-1]) for s, f in asked]


def scored(
    asked: Sequence[Question], answers: Sequence[str], samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong (questions, samples), and the votes' accuracy (questions,), of answers
    question by question.
    """
    rows = [answers[n * samples : (n + 1) * samples] for n in range(len(asked))]
    right = np.array(
        [[a == gold for a in row] for row, gold in zip(rows, golds(asked), strict=True)]
    )
    return right, np.array([vote(row, gold) for row, gold in zip(rows, golds(asked), strict=True)])


def prompt(start: int, functions: Sequence[int], tool: bool = False) -> list[int]:
    """The conversation that asks a question, up to `<think>`."""
    return roles.solve(start, functions, 0, tool).tokens[:-3]


def compared(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Two ways of answering the same questions, at one sample and by majority of all, and their
    paired difference.
    """
    out: dict[str, Any] = {}
    for name, a, b in (
        ("1", one[0].mean(1), other[0].mean(1)),
        (str(one[0].shape[1]), one[1], other[1]),
    ):
        out[name] = {
            "without": interval(np.mean, a),
            "with": interval(np.mean, b),
            "gain": interval(lambda x, y: float(np.mean(y - x)), a, b),
        }
    return out


def revision(
    model: Any, own: list[Attempt], samples: int, temperature: float = 1.0
) -> dict[str, Any]:
    """P(right after | wrong before), P(wrong after | right before), accuracy before and after; the
    revision is drawn at this temperature.
    """
    prompts = [roles.after(a.start, a.functions, a.written, "revise").tokens for a in own]
    said = [
        sample.answer(row)
        for row in sample.generate(model, prompts, temperature=temperature, seed=5)
    ]
    before = np.array([a.right for a in own]).reshape(-1, samples)
    asked = [(a.start, a.functions) for a in own[::samples]]
    after, _ = scored(asked, said, samples)
    return {
        "mended": interval(lambda b, a: share(a, ~b), before, after),
        "spoilt": interval(lambda b, a: share(~a, b), before, after),
        "mended less spoilt": interval(lambda b, a: share(a, ~b) - share(~a, b), before, after),
        "before": interval(np.mean, before),
        "after": interval(np.mean, after),
        "gain": interval(lambda b, a: float(a.mean() - b.mean()), before, after),
    }


def unthought(model: Any, asked: Sequence[Question], samples: int) -> list[Attempt]:
    """Attempts whose thinking was closed at once, answers out of the head, question by question."""
    close = roles.ids()["</think>"]
    rows = [q for q in asked for _ in range(samples)]
    made = sample.generate(model, [[*prompt(*q), close] for q in rows], seed=4)
    out = []
    for (s, f), row in zip(rows, made, strict=True):
        written = (close, *sample.attempts([row])[0])
        said = sample.answer([close, *row])
        out.append(Attempt(s, f, written, said, said in golds([(s, f)]), ()))
    return out


def ranked(right: np.ndarray, score: np.ndarray) -> dict[str, Any]:
    """How a score (questions, samples) ranks attempts: over all, inside questions that have right
    and wrong ones, and what choosing the highest is worth beside one sample; ties are shared.
    """
    inside = [
        auc(row, said) for row, said in zip(right, score, strict=True) if 0 < row.sum() < row.size
    ]
    best = [row[said == said.max()].mean() for row, said in zip(right, score, strict=True)]
    return {
        "auc": interval(auc, right, score),
        "inside": interval(np.mean, np.array(inside)),
        "one sample": interval(np.mean, right),
        f"best of {right.shape[1]}": interval(np.mean, np.array(best)),
    }


def verification(model: Any, own: list[Attempt], samples: int, times: int = 0) -> dict[str, Any]:
    """How P(yes) ranks attempts: said at once, or the mean behind `times` drawn thoughts."""
    close = roles.ids()["</think>"]
    asked = [roles.after(a.start, a.functions, a.written, "verify").tokens for a in own]
    said = np.zeros(len(own))
    for seed in range(max(times, 1)):
        thoughts = (
            sample.generate(model, asked, seed=seed, stops=("</think>",))
            if times
            else [[close]] * len(own)
        )
        prompts = [[*tokens, *thought] for tokens, thought in zip(asked, thoughts, strict=True)]
        both = sample.first_token(model, prompts, ["yes", "no"])
        said += both[:, 0] / both.sum(1) / max(times, 1)
    right = np.array([a.right for a in own]).reshape(-1, samples)
    return ranked(right, said.reshape(right.shape))


def stepping(model: Any, own: list[Attempt], samples: int) -> dict[str, Any]:
    """The step model's AUC for "right so far", over all steps and for each place of a step; and how
    its last step ranks attempts.
    """
    made = [a for a in own if a.steps]
    scores = steps.scores(model, made)
    last = dict(zip(map(id, made), (float(score[-1]) for score in scores), strict=True))
    right = np.array([a.right for a in own]).reshape(-1, samples)
    answers = ranked(right, np.array([last.get(id(a), 0.0) for a in own]).reshape(right.shape))
    where = {}
    for hop in range(max(len(a.steps) for a in made)):
        rows = [(a.steps[hop], s[hop]) for a, s in zip(made, scores, strict=True) if len(s) > hop]
        truth, values = map(np.array, zip(*rows, strict=True))
        if truth.size >= 50 and 0 < truth.sum() < truth.size:
            where[f"step {hop + 1}"] = interval(auc, truth, values)
    asked: dict[Question, list[int]] = {}
    for n, a in enumerate(made):
        asked.setdefault((a.start, a.functions), []).append(n)
    groups = list(asked.values())

    def over(rows: np.ndarray) -> float:
        picked = [n for row in rows for n in groups[row]]
        return auc(
            np.concatenate([made[n].steps for n in picked]),
            np.concatenate([scores[n] for n in picked]),
        )

    everywhere = interval(over, np.arange(len(groups)))
    return {"steps": {"all steps": everywhere, **where}, "answers": answers}


def tool(model: Any, asked: list[Question]) -> dict[str, Any]:
    """Hard questions without and with the look-up tool."""
    rows = [q for q in asked for _ in range(SAMPLES)]
    alone = [
        sample.answer(row) for row in sample.generate(model, [prompt(*q) for q in rows], seed=3)
    ]
    made, calls = sample.with_tool(model, [prompt(*q, tool=True) for q in rows], seed=3)
    out = compared(
        scored(asked, alone, SAMPLES), scored(asked, [sample.answer(row) for row in made], SAMPLES)
    )
    return {**out, "calls a question": float(np.mean(calls))}


def parsed(said: str) -> list[str]:
    """The sub-questions of a split: `a123045?`, then those that begin with `#1`, `#2`, ..."""
    return [part for part in said.split(world.STEP) if part]


def decomposed(model: Any, asked: list[Question], samples: int) -> tuple[list[str], float]:
    """Answers by splitting, solving each part in turn, and joining; and the share of splits that
    were unusable.

    An unusable split falls back to the whole question.
    """
    rows = [q for q in asked for _ in range(samples)]
    heads = [roles.split(*q).tokens for q in rows]
    heads = [head[: head.index(roles.ids()["<think>"]) + 1] for head in heads]
    plans = [parsed(sample.answer(row)) for row in sample.generate(model, heads, seed=7)]
    answers: list[list[str]] = [[] for _ in rows]
    broken = [not plan or not all(part.endswith("?") for part in plan) for plan in plans]
    plans = [
        ["".join(roles.asked(*q))] if bad else plan
        for q, plan, bad in zip(rows, plans, broken, strict=True)
    ]
    for depth in range(max(map(len, plans))):
        todo = [n for n, plan in enumerate(plans) if len(plan) > depth]
        texts = [
            plans[n][depth].replace(f"#{depth}", answers[n][-1] if answers[n] else "") for n in todo
        ]
        tokens = [_tokens(text) for text in texts]
        head, tail = prompt(0, [0])[:2], prompt(0, [0])[-2:]
        asks = [[*head, *t, *tail] for t in tokens]
        for n, row in zip(todo, sample.generate(model, asks, seed=8 + depth), strict=True):
            said = sample.answer(row)[:1]
            answers[n].append(said if said.isalpha() else "a")
    joins = []
    for (s, f), found in zip(rows, answers, strict=True):
        made = roles.join(s, f, [ord(a) - 97 for a in found]).tokens
        joins.append(made[: made.index(roles.ids()["<think>"]) + 1])
    said = [sample.answer(row) for row in sample.generate(model, joins, seed=99)]
    return said, float(np.mean(broken))


def _tokens(text: str) -> list[int]:
    """A sub-question's ids by the saved tokenizer."""
    from benchmarks.laboratory.vocabulary import build

    global _TOKENIZER
    _TOKENIZER = _TOKENIZER or build()
    return list(_TOKENIZER(text, add_special_tokens=False)["input_ids"])


_TOKENIZER: Any = None


def main() -> None:
    """Command line: the folder with the agent and the step model, and the file to write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=HERE / "out" / "agent")
    parser.add_argument("--file", type=Path, default=HERE / "roles.json")
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

    torch.set_num_threads(1)
    agent = AutoModelForCausalLM.from_pretrained(given.folder / "agent").eval()
    prm = AutoModelForTokenClassification.from_pretrained(given.folder / "prm").eval()
    many, few = given.questions, given.questions // 2
    asked = quiz(many, 21, (2, 3, 4), (1, 1, 1), held_out=True)
    own = attempted(agent, asked, 8, seed=22)
    right, votes = scored(asked, [a.answer for a in own], 8)
    rare = [
        q
        for q in quiz(8 * many, 23, (2, 3, 4), (1, 1, 1), held_out=True)
        if max(world.ranks()[list(q[1])]) >= HARD
    ]
    long = quiz(few, 24, (8, 10), (1, 1), held_out=True)
    rows = [q for q in long for _ in range(SAMPLES)]
    direct = [
        sample.answer(row) for row in sample.generate(agent, [prompt(*q) for q in rows], seed=3)
    ]
    joined, broken = decomposed(agent, long, SAMPLES)
    found = {
        "solve": {
            "1": interval(np.mean, right),
            "8": interval(np.mean, votes),
            "questions": len(asked),
        },
        "revise": revision(agent, own, 8),
        "revise greedily": revision(agent, own, 8, temperature=0.0),
        "revise unthought": revision(agent, unthought(agent, asked, 8), 8),
        "verify": verification(agent, own, 8),
        "verify by thinking": verification(agent, own, 8, times=1),
        "verify by thinking, 4 times": verification(agent, own, 8, times=4),
        "steps": stepping(prm, own, 8),
        "tool": {**tool(agent, rare[:few]), "questions": len(rare[:few])},
        "decompose": {
            **compared(scored(long, direct, SAMPLES), scored(long, joined, SAMPLES)),
            "unusable splits": broken,
            "questions": len(long),
        },
    }
    given.file.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
