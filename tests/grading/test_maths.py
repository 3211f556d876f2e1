"""The math grader: what math-verify gets wrong, the conventions, votes; one pool for all pairs of a
test.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.grading import grade
from testtime.grading.keys import answer_key

SAME = [
    (r"\frac{1}{2}", "½"), (r"\sqrt{2}", "√2"), ("1234567", "1 234 567"), ("1000", "1e3"), ("42", "٤٢"), ("42", "４２"),
    ("1234567", r"\boxed{1,\!234,\!567}"), ("1234567", r"\boxed{1.234.567}"),
    (r"\frac{1}{3}", r"\boxed{0.\overline{3}}"), ("4", "2²"),
    ("12502500", r"\boxed{" + "+".join(map(str, range(1, 5001))) + "}"), ("1", "(" * 3000 + "1" + ")" * 3000),
    ("x^2+2x+1", r"\boxed{(x+1)^2}"), (r"\frac{\sqrt{2}}{2}", r"\boxed{\frac{1}{\sqrt2}}"), ("x<1", r"\boxed{-x>-1}"),
    ("-1<x<1", r"\boxed{|x|<1}"), ("x>3", r"\boxed{(3,\infty)}"), (r"(3,\infty)", r"\boxed{x>3}"),
    ("1,2", r"\boxed{1} and "
            r"\boxed{2}"), (r"\{1,2,3\}", r"\boxed{3,2,1}"), (r"[0,1)", r"\boxed{\left[0,1\right)}"),
    ("42", r"\boxed{x = 40+2 = 42}"), ("abe", r"\boxed{eab}"), (r"\frac{1}{e}", r"\boxed{e^{-1}}"),
    ("2**(1/4)", r"\boxed{\sqrt{\sqrt{2}}}"), (r"\sqrt{3}-1", "-1 + sqrt(3)"), (r"5\text{ cm}", r"\boxed{5}"),
    ("12", "12 cm^2"), ("60", "60 miles per "
                              "hour"), (r"5\text{ cm}", r"\boxed{5\text{ centimeters}}"),
    (r"25\%", r"\boxed{25}"), ("0.25", r"\boxed{25\%}"), ("25", "25 percent"), (r"\text{Evelyn}", "Evelyn"),
    (r"\text{yes}", r"\boxed{\text{Yes}}"), ("C", r"\boxed{\text{(C)}}"), ("1010_2", r"\boxed{1010_2}"),
    ("f'(x)", r"\boxed{f^{\prime}(x)}"), ("1/3", "0.333333"), ("1000.99", "1,000.99"), (r"\boxed{24}", "24"),
    ("90", r"90^\circ"), (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\boxed{\begin{bmatrix}1&2\\3&4\end{bmatrix}}"),
    ("1e-7", "0.0000001"),
]  # fmt: skip
OTHER = [
    ("(1,2)", r"\boxed{\{1,2\}}"), ("(1,2)", r"\boxed{(2,1)}"), ("1010_2", r"\boxed{1010_3}"),
    (r"5\text{ cm}", r"\boxed{5\text{ km}}"), ("f'(x)", r"\boxed{f'''(x)}"),
    ("a+b+c+d+e", r"\boxed{a+b+c+d+2.718281828459045}"), (r"\text{navy}", r"\boxed{vany}"),
    (r"\text{east}", r"\boxed{seat}"), ("[0,1)", r"\boxed{(0,1)}"), ("42", r"\boxed{42} wait, "
                                                                           r"\boxed{41}"),
    ("1/3", "0.333"), ("0.28", r"\boxed{28}"), ("-2", r"\boxed{2}"),
    ("42", r"<think>\boxed{42}</think> The answer is 41"), ("1", r"\boxed{nan}"), ("1e-7", "2e-7"),
    ("1", r"\boxed{\frac{1}{0}}"), (r"\infty", r"\boxed{-\infty}"), ("", "42"), ("16386.17", "16386.16"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "verdict"), [(SAME, "correct"), (OTHER, "wrong")], ids=["same", "other"]
)
def test_mends(pairs: list[tuple[str, str]], verdict: str) -> None:
    found = grade("math", pairs, workers=1)
    assert [
        (pair, g.verdict) for pair, g in zip(pairs, found, strict=True) if g.verdict != verdict
    ] == []


def test_percent_strict() -> None:
    pairs = [
        ("25", r"\boxed{25\%}"),
        ("0.25", r"\boxed{25\%}"),
        (r"25\%", r"\boxed{25}"),
        (r"25\%", r"\boxed{25\%}"),
    ]
    loose = [g.verdict for g in grade("math", pairs)]
    strict = [g.verdict for g in grade("math", pairs, {"percent": "strict"})]
    assert loose == ["correct"] * 4
    assert strict == ["wrong", "correct", "wrong", "correct"]


def test_no_answer_is_unparsed() -> None:
    texts = ["", "I do not know", r"\boxed{}", r"<think>\boxed{42}", r"\boxed{ }"]
    assert {g.verdict for g in grade("math", [("42", text) for text in texts])} == {"unparsed"}
    long = grade("math", [("42", r"\boxed{" + "x+" * 5000 + "1}")])[0]
    assert (
        long.verdict == "unparsed" and long.answer_key is None and "10001 characters" in long.detail
    )


def test_votes_group_equal_answers_and_ignore_the_gold() -> None:
    answers = [
        r"\boxed{\frac{\sqrt{2}}{2}}",
        r"\boxed{\frac{1}{\sqrt{2}}}",
        r"\boxed{\sqrt{2}/2}",
        r"\boxed{\sqrt{3}}",
    ]
    by_gold = [
        [g.answer_key for g in grade("math", [(gold, a) for a in answers])]
        for gold in (r"\sqrt{2}/2", "7")
    ]
    assert by_gold[0] == by_gold[1]
    assert len(set(by_gold[0][:3])) == 1 and by_gold[0][3] != by_gold[0][0]
    letters = [r"\boxed{C}", r"\boxed{\text{(C)}}", r"\boxed{\text{C}}"]
    assert len({g.answer_key for g in grade("math", [("7", letter) for letter in letters])}) == 1
    strict = [
        [g.answer_key for g in grade("math", [(gold, r"\boxed{25\%}")], {"percent": "strict"})]
        for gold in ("x", "1")
    ]
    assert strict == [["1/4"], ["1/4"]]
    numbers = ["42", r"\boxed{42.0}", r"\boxed{\frac{84}{2}}", "so it is 42."]
    assert len({g.answer_key for g in grade("math", [("42", a) for a in numbers])}) == 1


@pytest.mark.parametrize(
    "same",
    [
        ["42", "42.0", "40+2", r"\frac{84}{2}", "x=42", "((42))", r"\sqrt{1764}", "6*7"],
        [r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt2}", r"\sqrt{2}/2", "2^{-1/2}"],
        ["x+1", "1+x", "f(x)=x+1", r"\frac{2x+2}{2}"],
        [r"\{1,2\}", "2,1", r"\{2, 1\}"],
        ["(1,0.5)", r"(1,\frac{1}{2})"],
        ["3\\frac{1}{2}", "3.5", "7/2"],
    ],
)
def test_equal_answers_share_a_key(same: list[str]) -> None:
    assert len({answer_key(text) for text in same}) == 1


def test_different_answers_have_different_keys() -> None:
    texts = [
        "1",
        "-1",
        "1/2",
        "x",
        "y",
        "x+1",
        "x-1",
        r"\sqrt{2}",
        r"\sqrt{3}",
        "(1,2)",
        "(2,1)",
        "1,2",
        "[1,2)",
        "[1,2]",
    ]
    texts += [
        "x<1",
        "x>1",
        r"\infty",
        r"-\infty",
        "5!",
        "9^{9^{9}}",
        "9^{9^{8}}",
        r"\pi",
        "3.14159",
        r"\sin x",
        r"\cos x",
    ]
    assert len({answer_key(text) for text in texts}) == len(texts)


@given(st.text(alphabet=r"0123456789+-*/^(){}[],.\xyefrac sqrt", max_size=40))
def test_no_text_breaks_the_key(text: str) -> None:
    answer_key(text)


def test_however_deep_a_number_is_nested_it_is_that_number() -> None:
    pairs = [("1", r"\boxed{" + "(" * n + "1" + ")" * n + "}") for n in (10, 1000, 5000)]
    pairs += [("7", r"\boxed{" + "-" * 5000 + "7}"), ("-7", r"\boxed{" + "-" * 5001 + "7}")]
    assert [one.verdict for one in grade("math", pairs)] == ["correct"] * 5
