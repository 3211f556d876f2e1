"""Decomposition on a model that is written down, and on the shipped agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.strategies.drawn import Drawn, draw
from tests.tiny import CLOSE, EOS, evaluated
from testtime.compute.flops import Flops
from testtime.engines.base import Completion, EngineError, Request
from testtime.errors import UserError
from testtime.runs import prepare
from testtime.runs.draw import draw as draw_job
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.strategies.decompose import Decompose, split
from testtime.strategies.node import Turns
from testtime.strategies.registry import parse

A = 1000  # the id of the character of code 0
THINKS = 6  # tokens before it closes its thinking


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(A + ord(c) for c in text)


def text_of(ids: Sequence[int]) -> str:
    return "".join(chr(i - A) for i in ids if i >= A)


def render(turns: Turns) -> tuple[int, ...]:
    return ids_of("\f".join(turn["content"] for turn in turns))


class Written:
    """Thinks six tokens, then says what a function makes of the prompt. left: requests until it
    dies; asked: the prompts that were thought about.
    """

    name = "written"
    max_num_seqs = 8

    def __init__(self, says: Callable[[str], str], left: int = 1 << 30) -> None:
        self.says, self.left, self.asked = says, left, list[str]()

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        self.left -= 1
        if self.left < 0:
            raise EngineError("killed")
        ids = list(request.prompt or ())
        if CLOSE in ids:
            made = [*ids_of(self.says(text_of(ids))), EOS]
        else:
            self.asked.append(text_of(ids))
            made = [5, 5, 5, 5, 5, CLOSE][: request.max_tokens]
        return Completion(made, "", "stop" if made[-1] in (EOS, CLOSE) else "length", [], len(ids))

    async def close(self) -> None: ...


def sums(prompt: str) -> str:
    """Splits `1+2+3` into its additions, adds, and joins by repeating the last answer."""
    last = prompt.split("\f")[-1]
    if last.startswith("split "):
        first, *rest = last.removeprefix("split ").split("+")
        steps = [f"{first if i == 0 else f'#{i}'}+{x}" for i, x in enumerate(rest)]
        return "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1))
    if last.startswith("join "):
        return last.split()[-1]
    return f"it is\n{sum(map(int, last.split('+')))}"


PART = {"strategy": "nested", "budgets": [0, 16]}
TEXTS = {"split": "split {question}", "join": "join {question} {earlier}", "each": " {answer}"}


def decompose(**options: Any) -> Decompose:
    return Decompose(**{"part": PART, "ask": "{part}", **TEXTS, **options})


def drawn_by(engine: Written, question: str = "1+2+3", **options: Any) -> Drawn:
    turns = ({"role": "user", "content": question},)
    chosen = options.pop("chosen", None) or decompose()
    return draw(
        engine,
        chosen,
        turns=turns,
        prompt=ids_of(question),
        decode=text_of,
        render=render,
        **options,
    )


def by_cell(drawn: Drawn, sample: int = 0) -> dict[tuple[int, int], Any]:
    attempts = drawn.attempts["p0", sample]
    return {(a.amounts["budget"], a.amounts["depth"]): a for a in attempts}


def said(attempt: Any) -> str:
    return str(attempt.answers[0][0].text)


def test_parts_read_the_answers_they_name_and_a_last_call_joins() -> None:
    engine = Written(sums)
    cells = by_cell(drawn_by(engine))
    assert set(cells) == {(b, d) for b in (0, 16) for d in (0, 1)}
    # The split, then each part with the answer it names, then the joining of both answers.
    for text in ("split 1+2+3", "1+2", "3+3", "join 1+2+3  3 6"):
        assert engine.asked.count(text) == 1
    assert said(cells[16, 1]) == "6" and cells[16, 1].fallbacks == 0
    # Split and join think 6 tokens; so does each part where its budget lets it.
    plan, join = THINKS + len("1. 1+2\n2. #1+3") + 1, THINKS + len("6") + 1
    parts = [THINKS + len("it is\n3") + 1] * 2
    assert [c.drawn for c in cells[16, 1].spent] == [plan, *parts, join]
    assert cells[16, 1].path == plan + sum(parts) + join
    assert cells[0, 1].path == plan + sum(parts) - 2 * THINKS + join
    assert said(cells[16, 0]) == "it is\n6" and len(cells[16, 0].spent) == 1


def halves(prompt: str) -> str:
    """Splits `1+2+3+4` into two halves and their sum, which names both."""
    if prompt.startswith("split "):
        a, b, c, d = prompt.removeprefix("split ").split("+")
        return f"{a}+{b}\n{c}+{d}+0000\n#1+#2"
    return sums(prompt)


def test_parts_that_name_no_answer_are_side_by_side_on_the_path() -> None:
    attempt = by_cell(drawn_by(Written(halves), "1+2+3+4"))[16, 1]
    assert said(attempt) == "10"
    plan, first, second, third, join = (call.drawn for call in attempt.spent)
    assert attempt.path == plan + max(first, second) + third + join


def test_least_to_most_shows_every_part_the_earlier_ones() -> None:
    told = decompose(ask="{earlier}\f{part}", each="{part} is {answer}; ")
    engine = Written(halves)
    cells = by_cell(drawn_by(engine, "1+2+3+4", chosen=told))
    assert "1+2 is 3; \f3+4+0000" in engine.asked
    assert "1+2 is 3; 3+4+0000 is 7; \f3+7" in engine.asked
    attempt = cells[16, 1]
    assert attempt.path == sum(call.drawn for call in attempt.spent)  # none is side by side


@pytest.mark.parametrize(
    ("plan", "fallbacks"),
    [("", 1), ("#1+1\n1+1", 1), ("\n".join(["1+1"] * 10), 1), ("1+2+3", 0)],
)
def test_a_split_that_cannot_be_used_is_the_whole_question_and_counted(
    plan: str, fallbacks: int
) -> None:
    engine = Written(lambda prompt: plan if prompt.startswith("split ") else sums(prompt))
    cells = by_cell(drawn_by(engine))
    assert said(cells[16, 1]) == said(cells[16, 0]) == "it is\n6"
    assert cells[16, 1].fallbacks == fallbacks and cells[16, 0].fallbacks == 0
    assert cells[16, 1].path == cells[16, 0].path + cells[16, 1].spent[0].drawn


def test_at_depth_two_the_parts_are_split_again() -> None:
    engine = Written(halves_of_halves)
    chosen = decompose(depths=[2])
    attempt = by_cell(drawn_by(engine, "1+2+3+4", chosen=chosen))[16, 2]
    assert said(attempt) == "10"
    assert {"split 1+2+3+4", "split 1+2+3", "split 6+4", "1+2", "3+3"} <= set(engine.asked)


def halves_of_halves(prompt: str) -> str:
    if prompt.startswith("split "):
        *most, last = prompt.removeprefix("split ").split("+")
        return f"{'+'.join(most)}\n#1+{last}" if len(most) > 1 else f"{most[0]}+{last}"
    return sums(prompt)


@pytest.mark.parametrize("death", range(0, 18, 2))
def test_killed_at_a_request_it_replays_to_identical_attempts(death: int) -> None:
    whole = drawn_by(Written(sums), samples=2)
    partial = drawn_by(Written(sums, left=death), samples=2)
    rest = drawn_by(Written(sums), samples=2, stored=partial.calls)
    assert rest.attempts == whole.attempts
    assert {c.key for c in partial.calls} | {c.key for c in rest.calls} == {
        c.key for c in whole.calls
    }
    again = drawn_by(Written(sums, left=0), samples=2, stored=[*partial.calls, *rest.calls])
    assert not again.calls and again.attempts == whole.attempts


def test_another_model_splits_and_its_calls_are_its_own() -> None:
    policy, planner = Written(sums), Written(sums)
    cells = by_cell(drawn := drawn_by(policy, planner=planner))
    assert planner.asked == ["split 1+2+3"] and "split 1+2+3" not in policy.asked
    alone = by_cell(unplanned := drawn_by(Written(sums)))
    for cell, attempt in cells.items():
        split = ["planner"] * cell[1]
        assert [c.model for c in attempt.spent] == [*split, *["policy"] * (3 * cell[1] or 1)]
        assert [replace(c, model="policy") for c in attempt.spent] == list(alone[cell].spent)
        assert (attempt.path, said(attempt)) == (alone[cell].path, said(alone[cell]))
    theirs = {call.key for call in drawn.calls} - {call.key for call in unplanned.calls}
    assert {call.key for call in drawn.calls if call.model == "other"} == theirs
    assert len(theirs) == 2  # its thinking and its answer


@pytest.mark.parametrize("death", range(4))
def test_a_planner_killed_at_a_request_replays_to_identical_attempts(death: int) -> None:
    whole = drawn_by(Written(sums), samples=2, planner=Written(sums))
    partial = drawn_by(Written(sums), samples=2, planner=Written(sums, left=death))
    planner = Written(sums, left=4 - death)
    rest = drawn_by(Written(sums), samples=2, planner=planner, stored=partial.calls)
    assert rest.attempts == whole.attempts and planner.left == 0
    dead = Written(sums, left=0)
    again = drawn_by(dead, samples=2, planner=dead, stored=[*partial.calls, *rest.calls])
    assert not again.calls and again.attempts == whole.attempts


def test_a_part_without_an_answer_makes_its_attempts_missing_and_no_others() -> None:
    engine = Written(sums)
    original = engine.complete

    async def failing(request: Request) -> Completion:
        if text_of(request.prompt or ()) == "3+3" and CLOSE not in (request.prompt or ()):
            raise EngineError("lost")
        return await original(request)

    engine.complete = failing  # type: ignore[method-assign]
    drawn = drawn_by(engine)
    assert set(by_cell(drawn)) == {(0, 0), (16, 0)}
    assert drawn.failures["p0", 0][0] == "lost"


def test_plans_are_read_line_by_line() -> None:
    assert split("1. What is a?\n\n 2) And b?\n- c of #1 and #2?") == [
        "What is a?", "And b?", "c of #1 and #2?",
    ]  # fmt: skip
    assert split("a123045077?\n\n#1012?\n\n") == ["a123045077?", "#1012?"]
    for text in ("", " \n ", "#1?", "a\n#2", "a\n#0", "\n".join("abcdefghij")):
        assert split(text) is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"part": {"strategy": "decompose"}}, "thinking.part"),
        ({"part": {**PART, "family": "think"}}, "stand beside part"),
        ({"depths": [4]}, "thinking.depths.0"),
        ({"ask": "{parts}"}, "thinking.ask: cannot be filled in"),
        ({"join": "{"}, "its fields are {question}, {earlier}"),
        ({"part": {**PART, "budget": [1]}}, "budget"),
        ({"planner": {"name": "agent", "rates": {}}}, r"planner\.rates: are not measured"),
        ({"planner": {"nam": "agent"}}, "planner"),
        ({"planner": {"name": "agent", "setting": "x"}}, r"planner\.setting: says nothing"),
    ],
)
def test_mistakes_in_a_config_are_one_line(options: dict[str, Any], error: str) -> None:
    thinking = {"strategy": "decompose", "part": PART, **options}
    with pytest.raises(UserError, match=error):
        parse({"name": "t", "task": "facts", "model": "agent", "thinking": thinking})


def test_a_server_of_one_model_has_no_planner() -> None:
    told = {"name": "t", "task": "facts", "model": "agent", "engine": "endpoint"}
    thinking = {"strategy": "decompose", "part": PART, "planner": "agent"}
    with pytest.raises(UserError, match=r"planner: engine endpoint serves one model; write"):
        parse({**told, "thinking": thinking})


def test_a_planner_is_paid_by_its_own_parameters_price_and_rates(tmp_path: Path) -> None:
    texts = {"split": "split {question}", "ask": "{part}", "each": " :{answer}"}
    planner = {
        "name": "agent",
        "price": {"input": 30.0, "output": 60.0, "cached": 3.0},
        "rates": {"prefill": 100, "decode": 10},
    }
    told = {
        "name": "planned",
        "task": {"name": "facts_compound", "limit": 3},
        "model": "agent",
        "engine": "transformers",
        "thinking": {
            "strategy": "decompose",
            "part": {"strategy": "nested", "budgets": [32]},
            "planner": planner,
            **{**texts, "join": "join {question}{earlier}", "budget": 4},
        },
        "answer": {"max_tokens": 48},
        "samples": 2,
        "resamples": 100,
        "price": {"input": 1.0, "output": 2.0, "cached": 0.5},
        "rates": {"prefill": 1000, "decode": 200, "concurrency": 2},
        "out": str(tmp_path),
    }
    (run,) = evaluated(told)
    split, whole = (run.scores[run.scores["setting"] == f"depth={d}"] for d in (1, 0))
    assert (whole["planner_tokens"] == 0).all() and (split["planner_tokens"] > 0).all()
    assert (split["planner_flops"] > 0).all() and (split["planner_flops"] < split["flops"]).all()
    sizes = Flops.from_config(run.manifest.planner)
    assert split["planner_flops"].iloc[0] == pytest.approx(
        float(sizes.call(*(split[f"planner_{x}"].iloc[0] for x in ("context", "fed", "tokens")))),
        rel=0.05,  # of two calls, each at its own context
    )
    drawn = split["thinking_tokens"] + split["answer_tokens"] - split["planner_tokens"]
    fed = split["prompt_tokens"] + split["forced_tokens"]
    theirs = 30 * split["planner_fed"] + 60 * split["planner_tokens"] + 3 * split["planner_context"]
    dollars = (fed + 2 * drawn + 0.5 * split["context_tokens"] + theirs) / 1e6
    assert split["usd"].to_numpy() == pytest.approx(dollars.to_numpy())
    seconds = fed / 1000 + drawn / 200 + split["planner_fed"] / 100 + split["planner_tokens"] / 10
    assert split["seconds"].to_numpy() == pytest.approx(seconds.to_numpy())
    assert split["path_seconds"].isna().all() and whole["path_seconds"].notna().all()
    told["thinking"]["planner"] = {"name": "agent"}  # type: ignore[index]
    (unpriced,) = evaluated(told)  # nothing is drawn for another price
    assert unpriced.manifest.sessions == run.manifest.sessions
    unknown = unpriced.scores["setting"] == "depth=1"
    assert (unpriced.scores["usd"].isna() == unknown).all()


def test_the_shipped_agent_splits_solves_with_its_tool_and_joins(tmp_path: Path) -> None:
    tool = {"name": "lookup", "function": "testtime.zoo.facts:lookup"}
    part = {"strategy": "tools", "budgets": [32], "turns": [0, 3], "tools": tool}
    texts = {"split": "split {question}", "ask": "{part}", "each": " :{answer}"}
    config = parse(
        {
            "name": "agent",
            "task": {"name": "facts_compound", "limit": 5},
            "model": "agent",
            "engine": "transformers",
            "thinking": {
                "strategy": "decompose",
                "part": {**part, "dialect": "tags", "system": "lookup"},
                **{**texts, "join": "join {question}{earlier}", "budget": 4},
            },
            "answer": {"max_tokens": 48},
            "samples": 2,
            "resamples": 100,
            "out": str(tmp_path),
        }
    )
    job = prepare.prepare(config, config.model[0], prepare.load_problems(config))
    prepare.register(job)
    assert draw_job(job, Progress()) == []
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "say", lambda self, line: lines.append(line))
        run = evaluate(job.store, Progress())
    assert not [line for line in lines if "budgets" in line]  # each part has one of its own
    assert set(run.cells["setting"]) == {
        "turn=0,depth=0", "turn=3,depth=0", "turn=0,depth=1", "turn=3,depth=1",
    }  # fmt: skip
    scores = run.scores[run.scores["setting"] == "turn=3,depth=1"]
    assert (scores["calls"] > 4).all() and scores["tool_calls"].sum() > 0
    assert (scores["path_tokens"] <= scores["thinking_tokens"] + scores["answer_tokens"]).all()
