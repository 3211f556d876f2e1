"""Hostile pairs: no crash, no hang, no lost neighbour, the same verdicts twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from testtime.grading import Grade, grade

BAD = [
    r"\boxed{9^{9^{9^{9}}}}", r"\boxed{" + "(" * 4000 + "1" + ")" * 3999 + "}", r"\boxed{" * 20_000, "$" * 50_000,
    r"\boxed{" + "9" * 100_000 + "}", r"\boxed{__import__('os').system('touch "
                                      r"PWNED')}", r"\boxed{\frac{1}{0}}",
    "\x00\ud800", r"\boxed{" + r"\frac{1}{1+" * 400 + "1" + "}" * 401, "\\" * 20_000, "x=" * 10_000,
]  # fmt: skip


def test_hostile_answers_lose_no_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = [("x+1", rf"\boxed{{1+x+{number}-{number}}}") for number in range(2, 2 + len(BAD))]
    pairs = [
        pair
        for bad, neighbour in zip(BAD, good, strict=True)
        for pair in ((r"\sqrt{2}", bad), neighbour)
    ]
    found = grade("math", pairs, workers=2)
    assert [g.verdict for g in found[1::2]] == ["correct"] * len(good)
    assert not [g for g in found[::2] if g.verdict == "correct"]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_the_170_hostile_pairs_twice(shared_data: Path) -> None:
    rows = [
        json.loads(line)
        for line in (shared_data / "grading" / "nasty_inputs.jsonl").read_text().splitlines()
    ]
    runs: list[list[Grade]] = [
        grade("math", [(row["gold"], row["pred"]) for row in rows], workers=2) for _ in range(2)
    ]
    # CPU limits are met with room to spare on both sides (the dearest verdict takes half of them).
    assert [g.verdict for g in runs[0]] == [g.verdict for g in runs[1]]
    assert [g.answer_key for g in runs[0]] == [g.answer_key for g in runs[1]]
    for row, found in zip(rows, runs[0], strict=True):
        if row["expected"] is not None:
            assert (found.verdict == "correct") == row["expected"], row["source"]
    assert Counter(g.verdict for g in runs[0])["error"] == 0


def test_a_power_too_long_to_write_out_is_never_evaluated() -> None:
    found = grade(
        "math",
        [
            ("1", r"\boxed{9^{9^{9}}}"),
            ("1", r"\boxed{9^{9^{9}} - 9^{9^{8}}}"),
            (r"2^{10}", r"\boxed{1024}"),
            ("x", r"\boxed{x^{99999999}}"),
        ],
    )
    assert [g.verdict for g in found] == ["wrong", "timeout", "correct", "wrong"]
    assert all("not evaluated" in g.detail for g in found[:2])
