"""Chains are put back together with their cuts; terminals are shown control characters, not given
them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report import made
from tests.tiny import evaluated
from testtime import importers
from testtime.errors import UserError
from testtime.runs import show as shows
from testtime.runs import transcripts

CONFIG = {
    "name": "told",
    "task": {"name": "chain_sum", "limit": 2},
    "model": "quickstart",
    "engine": "transformers",
    "thinking": {"budgets": [0, 8, 16, 96]},
    "answer": {"max_tokens": 8},
    "samples": 2,
}


@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.integers(0, 70), max_size=6))
def test_segments_joined_are_the_whole_text_and_end_at_the_cuts(
    ids: list[int], cuts: list[int]
) -> None:
    def decode(part: list[int]) -> str:
        return "".join(map(str, part))

    found = transcripts.segments(ids, cuts, decode)  # type: ignore[arg-type]
    assert "".join(text for _, text in found) == decode(ids)
    assert [end for end, _ in found] == [*sorted({c for c in cuts if 0 < c < len(ids)}), len(ids)]
    for end, _ in found:
        assert "".join(text for at, text in found if at <= end) == decode(ids[:end])


def test_a_drawn_run_tells_each_chain_with_its_answers(tmp_path: Path) -> None:
    (run,) = evaluated({**CONFIG, "out": str(tmp_path)})
    names = run.manifest.problems
    told = list(transcripts.read(run.path, run.scores, names))
    assert [t.problem_id for t in told] == names and all(t.question and t.gold for t in told)
    for transcript in told:
        assert [c.sample for c in transcript.chains] == [0, 1]
        for chain in transcript.chains:
            assert chain.segments and chain.segments[-1][0] == chain.tokens
            levels = [level for answer in chain.answers for level in answer.labels]
            assert sorted(map(int, levels)) == [0, 8, 16, 96]
            for answer in chain.answers:
                rows = run.scores.query(
                    "problem_id == @transcript.problem_id and sample == @chain.sample"
                )
                row = rows[rows["budget"] == int(answer.labels[0])].iloc[0]
                known = row["verdict"], row["forced"], row["thinking_tokens"]
                assert (answer.verdict, answer.forced, answer.tokens) == known
                assert (
                    not answer.forced
                    or answer.tokens == 0
                    or answer.tokens in [end for end, _ in chain.segments]
                )
    shown = shows.show(run.path, names[0], [0])
    assert told[0].question in shown and "[cut 8:" in shown and "sample 1" not in shown


def test_show_lists_problems_and_names_the_nearest(tmp_path: Path) -> None:
    run = made.run(tmp_path)
    head, *listed = shows.show(run.path, None).splitlines()
    assert head.startswith("right answers, % of all budgets and samples")
    assert len(listed) == 40 and listed[0].endswith("made/0")
    assert len(json.loads(shows.show(run.path, None, as_json=True))) == 40
    with pytest.raises(UserError, match="did you mean 'made/1"):
        shows.show(run.path, "mode/1")


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    table = (
        made.scores(problems=2, samples=1)
        .query("budget == 64")
        .assign(thinking="a\x1b[2Jb", text="c\x07d\n\te")
    )
    shown = shows.show(made.run(tmp_path, table).path, "made/0")
    assert "\x1b" not in shown and "\x07" not in shown and "a\\x1b[2Jb" in shown


def test_an_import_without_texts_shows_its_verdicts(tmp_path: Path) -> None:
    table = pd.DataFrame({"problem_id": ["a", "a"], "sample": [0, 1], "score": [0.0, 1.0]})
    run = importers.save(importers.Log("quiz", "test", [], table), tmp_path)
    said = shows.show(run.path, "a")
    assert "answer  wrong" in said and "answer  correct" in said and "missing" not in said
