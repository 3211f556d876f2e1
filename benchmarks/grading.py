"""How fast and how right the math grader is: `python -m benchmarks.grading [reference folder]`.

Speed: 500 problems x 40 samples with realistic repeats (a right answer in several spellings, a few
popular wrong ones, a long tail), through `grade` with two workers, beside the loop most people
write: math-verify's parse and verify on each pair, on a random part of the same pairs in the same
run, because all of it would take too long. The ratio is per answer and of CPU seconds, the workers'
included; that of wall seconds stands behind it, and half of it is two workers' against one loop.
Agreement: every labelled file of the reference folder, where it is there.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from testtime.grading import Grade, grade
from testtime.grading.maths import Math

SPELLINGS = [
    "So the answer is \\boxed{{{0}}}.",
    "Adding up, we get ${0}$.\n\nTherefore, the final answer is $\\boxed{{{0}}}$.",
    "The final answer is ${0}$. I hope it is correct.",
    "**Answer:** \\boxed{{{0}}}",
]


def answers(rng: random.Random, problems: int, samples: int) -> list[tuple[str, str]]:
    """Pairs as a run would have them: golds of several kinds, each sample right with its problem's
    own rate.
    """
    pairs = []
    for _ in range(problems):
        kind, a, b = rng.randrange(6), rng.randint(2, 99), rng.randint(2, 99)
        gold, right, wrong = [
            (str(a * b), [str(a * b), f"{a * b}.0", f"{a * b:,}"], [str(a * b + d) for d in (1, 10, -1, a)]),
            (rf"\frac{{{a}}}{{{b}}}", [rf"\frac{{{a}}}{{{b}}}", f"{a}/{b}", rf"\dfrac{{{2 * a}}}{{{2 * b}}}"],
             [rf"\frac{{{a + d}}}{{{b}}}" for d in (1, 2, 3)]),
            (rf"{a}\sqrt{{{b}}}", [rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}"],
             [rf"{a + d}\sqrt{{{b}}}" for d in (1, 2)]),
            (f"x^2+{a}x+{b}", [f"x^2+{a}x+{b}", f"{b}+{a}x+x^2"], [f"x^2+{a}x-{b}", f"x^2-{a}x+{b}"]),
            (f"({a},{b})", [f"({a},{b})", f"({a}, {b})", rf"\left({a},{b}\right)"], [f"({b},{a})", f"({a},{b + 1})"]),
            (rf"[{a},\infty)", [rf"[{a},\infty)", rf"\left[{a},\infty\right)", rf"x\geq {a}"], [rf"({a},\infty)"]),
        ][kind]  # fmt: skip
        rate = rng.betavariate(0.8, 0.8)
        for _ in range(samples):
            if rng.random() < rate:
                value = rng.choice(right)
            else:
                value = rng.choice(wrong) if rng.random() < 0.8 else str(rng.randint(-999, 999))
            pairs.append((gold, rng.choice(SPELLINGS).format(value)))
    return pairs


def plain_loop(pairs: list[tuple[str, str]]) -> None:
    """math-verify's own parse and verify, one pair after another."""
    from math_verify import parse, verify

    for gold, answer in pairs:
        verify(parse(f"${gold}$"), parse(answer))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds of some work, its ended child processes' CPU included."""
    before, started = os.times(), time.perf_counter()
    work()
    after = os.times()
    return time.perf_counter() - started, sum(after[:4]) - sum(before[:4])


def speed(problems: int, samples: int, part: int, seed: int) -> None:
    """Print the seconds and the ratios."""
    rng = random.Random(seed)
    pairs = answers(rng, problems, samples)
    grades: list[Grade] = []
    ours = seconds(lambda: grades.extend(grade("math", pairs, workers=2)))
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    plain_loop(pairs[:1])  # what it imports and compiles is not counted
    loop = seconds(lambda: plain_loop(rng.sample(pairs, part)))
    print(f"{len(pairs)} pairs, {len(set(pairs))} distinct; 2 workers, their start included")
    for kind, own, plain in zip(("CPU", "wall"), ours[::-1], loop[::-1], strict=True):
        whole = plain / part * len(pairs)
        told = f"{plain:.1f} s for {part}, so {whole:.0f} s for all"
        print(f"{kind}: {own:.1f} s; plain loop {told}; ratio {whole / own:.1f}")
    print("verdicts", dict(Counter(g.verdict for g in grades)))


def agreement(folder: Path) -> None:
    """Print how often the verdict is the label's."""
    for name in ("math_verify", "lighteval_math", "gsm8k_model_solutions", "qwen_math_cot_100"):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        if name in ("math_verify", "lighteval_math"):
            stage, verdicts = "verification stage", [_stage(row) for row in rows]
        else:
            found = grade("math", [(row["gold"], row["pred"]) for row in rows], workers=2)
            stage, verdicts = "full grader", [g.verdict == "correct" for g in found]
        same = sum(verdict == row["expected"] for verdict, row in zip(verdicts, rows, strict=True))
        print(f"{name} ({stage}): {same} of {len(rows)} = {same / len(rows):.4f}")


def _stage(row: dict[str, object]) -> bool:
    given = row.get("opts")
    options = dict(given) if isinstance(given, dict) else {}
    kinds = options.pop("match_types", None) or options.pop("match_type", None)
    known = {
        key: options[key]
        for key in ("precision", "strict", "allow_set_relation_comp")
        if key in options
    }
    grader = Math.model_validate({**known, **({"match_types": kinds} if kinds else {})})
    return grader.verify(str(row["gold"]), str(row["pred"]))


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, help="folder of labelled pairs (.../grading)"
    )
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--part", type=int, default=1000, help="pairs of the plain loop")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    speed(given.problems, given.samples, given.part, given.seed)
    if given.folder:
        agreement(given.folder)


if __name__ == "__main__":
    sys.exit(main())
