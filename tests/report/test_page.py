"""The page: all from outside is escaped, what a table does not support is left out, words agree
with the cells.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from tests.report import made
from testtime import report
from testtime.config.schema import Prices
from testtime.errors import UserError
from testtime.report import findings as words
from testtime.report import health, results
from testtime.runs.priced import priced

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    '<img src="http://127.0.0.1:9/x.png" onerror="window.hacked = 2">',
    "\"'><svg onload=window.hacked=3>",
    "<!--<script>",
    "{{ 7 * 7 }} ${1+1} javascript:alert(1)",
    "\u2028\u2029 \x00 \U0001f600 ]]>",
]


class Reader(HTMLParser):
    """Collects every element with its attributes, and the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.scripts:
            self.scripts[-1] += data


def hostile_run(folder: Path) -> Path:
    """A run whose every text is an attack: ids, models, settings, questions, answers, keys,
    reasoning.
    """
    rows = []
    for p, attack in enumerate(HOSTILE):
        for sample in range(4):
            rows.append(
                {
                    "problem_id": f"{attack} {p}",
                    "model": HOSTILE[0],
                    "setting": HOSTILE[1],
                    "budget": 8,
                    "sample": sample,
                    "score": float((p + sample) % 2),
                    "answer_key": attack,
                    "thinking_tokens": 5,
                    "answer_tokens": 3,
                    "verdict": "correct" if (p + sample) % 2 else "wrong",
                    "thinking": attack * 3,
                    "text": attack,
                }
            )
    table = pd.DataFrame(rows)
    problems = {
        name: (attack, attack)
        for name, attack in zip(table["problem_id"].unique(), HOSTILE, strict=True)
    }
    return report.write(made.run(folder, table, problems))


def test_nothing_from_outside_becomes_markup(tmp_path: Path) -> None:
    page = Reader()
    page.feed(hostile_run(tmp_path).read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.elements]
    assert len(page.scripts) == 2, "the data and the page's own script"
    assert "img" not in tags and "iframe" not in tags and "link" not in tags
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    held = json.loads(page.scripts[0])
    assert sorted(p[1] for p in held["problems"]) == sorted(HOSTILE), "escaped, not changed"
    (model,) = held["models"].values()
    texts = {c["answers"][0]["text"] for chains in model["texts"] for c in chains}
    assert texts == set(HOSTILE)


def test_the_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    file = report.write(made.run(tmp_path))
    text = file.read_text(encoding="utf-8")
    page = Reader()
    page.feed(text)
    links = [
        v
        for tag, a in page.elements
        for k, v in a.items()
        if k in ("src", "href", "xlink:href") and v
    ]
    assert links and all(v.startswith(("#", "figures/", "tables/")) for v in links)
    assert [v for v in links if not v.startswith("#") and not (file.parent / v).is_file()] == []
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    assert policy and "default-src 'none'" in policy and "sha256-" in policy


def test_a_table_with_scores_alone_gives_a_page_that_says_what_it_lacks(tmp_path: Path) -> None:
    table = (
        made.scores()[["problem_id", "sample", "score", "budget"]]
        .query("budget == 64")
        .drop(columns="budget")
    )
    text = report.write(made.run(tmp_path, table)).read_text(encoding="utf-8")
    assert "has no tokens, FLOPs, dollars or seconds" in text
    assert "This run holds no texts" in text


def test_one_sample_of_one_problem_gives_a_page(tmp_path: Path) -> None:
    table = pd.DataFrame({"problem_id": ["only"], "sample": [0], "score": [1.0]})
    text = report.write(made.run(tmp_path, table)).read_text(encoding="utf-8")
    assert (
        "Only 1 problem:" in text
        and "100.0% (one problem, no interval)" in text
        and ">nan" not in text
    )
    two = [
        made.scores(problems=1, model=name).assign(thinking_tokens=lambda t: t["budget"] + 1)
        for name in "ab"
    ]
    text = report.write(made.run(tmp_path / "two", pd.concat(two))).read_text(encoding="utf-8")
    assert (
        "no other to judge on" in text
        and "it needs at least 2 problems" in text
        and "nan%" not in text
    )


def test_effort_levels_take_the_place_of_budgets(tmp_path: Path) -> None:
    table = made.scores().query("budget in (64, 256, 1024)")
    table["setting"] = table["budget"].map(
        {64: "effort=low", 256: "effort=medium", 1024: "effort=high"}
    )
    table["budget"] = float("nan")
    run = made.run(tmp_path, table)
    one = results.of(run)[0]
    assert [setting for setting, _ in one.levels] == ["effort=low", "effort=medium", "effort=high"]
    text = report.write(run).read_text(encoding="utf-8")
    assert "effort=high" in text


def test_several_runs_share_a_page_with_a_switch(tmp_path: Path) -> None:
    runs = [
        made.run(tmp_path, made.scores(problems=20, samples=4, model=f"made/{k}", seed=k))
        for k in range(2)
    ]
    path = report.write(runs)
    assert path == tmp_path / "made" / "report" / "index.html"
    text = path.read_text(encoding="utf-8")
    assert text.count('name="model"') == 2 and "models-tokens" in text
    assert (path.parent / "figures" / "made-1" / "coverage.svg").is_file()


def test_runs_of_one_model_keep_their_own_line_and_name(tmp_path: Path) -> None:
    table, effort = (
        made.scores(problems=20, samples=2),
        {0: "effort=low", 64: "effort=mid", 128: "effort=high"},
    )
    runs = []
    for budget, setting in effort.items():
        part = table[table["budget"] == budget].assign(setting=setting, budget=float("nan"))
        runs.append(made.run(tmp_path / setting, part))
    path = report.write(runs, tmp_path / "levels")
    drawn = pd.read_csv(path.parent / "figures" / "models-tokens.csv")
    assert set(drawn["model"]) == {f"made/model {setting}" for setting in effort.values()}
    text = path.read_text(encoding="utf-8")
    assert all(f"<span>made/model {setting}</span>" in text for setting in effort.values())
    assert text.count("training compute is not known") == 1 and "made/model, made/model" not in text
    again = [made.run(tmp_path / name, table) for name in ("one", "two")]
    every = [e for run in [*again, again[0]] for e in results.of(run)]
    assert len(set(results.names(every))) == 3


def test_prices_give_an_axis_in_dollars(tmp_path: Path) -> None:
    run = made.run(tmp_path, made.scores(problems=20, samples=2))
    assert "usd" not in results.of(run)[0].axes
    prices = Prices(input=1.0, output=4.0, cached=0.5)
    path = report.write(priced(run, prices, None), tmp_path / "priced")
    drawn = pd.read_csv(path.parent / "figures" / "accuracy-usd.csv")
    single = drawn[drawn["n"] == 1].set_index("budget")["usd"]
    assert single[0] == pytest.approx((50 * 1.0 + 4 * 1.0 + 12 * 4.0) / 1e6), "one request"
    at = run.scores[run.scores["budget"] == 64]
    thinking, forced = at["thinking_tokens"], at["forced"]
    once = 50 * 1.0 + (thinking + 12) * 4.0
    again = forced * ((50 + thinking) * 0.5 + 4 * 1.0)
    assert single[64] == pytest.approx((once + again).mean() / 1e6) and forced.any(), (
        "two requests, the second from the cache"
    )


def test_an_axis_that_is_not_there_is_said_for_what_it_is(tmp_path: Path) -> None:
    table = made.scores(problems=4, samples=2)
    assert (
        results.of(made.run(tmp_path / "none", table))[0].absent("usd") == "no prices: give --price"
    )
    free = results.of(made.run(tmp_path / "free", table.assign(usd=0.0)))[0]
    assert "usd" not in free.axes and free.absent("usd").startswith("it is 0 for some settings")
    partly = table.assign(seconds=table["budget"].where(table["budget"] > 64))
    assert (
        results.of(made.run(tmp_path / "partly", partly))[0]
        .absent("seconds")
        .startswith("it is not known")
    )
    run = made.run(tmp_path / "none", table)
    run = replace(run, manifest=run.manifest.changed(imported=None))
    assert "run it again (nothing is drawn)" in results.of(run)[0].absent("usd")


def test_retries_are_shown_where_a_session_counted_them(tmp_path: Path) -> None:
    run = made.run(tmp_path, made.scores(problems=4, samples=2))
    session = {"started": 0.0, "engine": "e", "chain_tokens": 9, "answer_tokens": 1, "seconds": 2.0}
    told = run.manifest.changed(sessions=[session, {**session, "retries": 3}])
    run = replace(run, manifest=told)
    (sessions,) = (t for t in health.tables(results.of(run)[0]) if t.name == "sessions")
    at = list(sessions.columns).index("retries")
    assert [row[at] for row in sessions.rows] == ["-", "3"]
    assert all(len(row) == len(sessions.columns) for row in sessions.rows)


def test_the_share_of_verdicts_by_convention_is_told(tmp_path: Path) -> None:
    run = made.run(tmp_path, made.scores(problems=10, samples=4))
    assert "conventions" not in [t.name for t in health.tables(results.of(run)[0])]
    first = (run.scores["sample"] == 0) & (run.scores["score"] == 1)
    by = run.scores["sample"].map(lambda _: None).where(~first, "percent")
    (one,) = results.of(replace(run, scores=run.scores.assign(convention=by)))
    ((name, count, share, accuracy, without),) = next(
        t.rows for t in health.tables(one) if t.name == "conventions"
    )
    right, total = run.scores["score"].sum(), len(run.scores)
    assert (name, count) == ("percent", str(first.sum()))
    told = [float(share), float(accuracy), float(without)]
    expected = [first.sum() / right, right / total, (right - first.sum()) / total]
    assert told == pytest.approx([100 * e for e in expected], abs=0.051)


def test_the_best_setting_is_quoted_out_of_bag(tmp_path: Path) -> None:
    one = results.of(made.run(tmp_path))[0]
    about = {f.about: f.text for f in words.findings(one)}
    assert set(about) == {"Best setting", "Cheapest within a point", "Longer, or more samples?"}
    best = one.cells[one.cells["selector"] == "majority"]["value"].max()
    quoted = float(about["Best setting"].split("% (95% interval")[0].split()[-1])
    assert quoted <= 100 * best + 0.05, "judged on problems that did not choose it"
    assert "95% interval" in about["Best setting"]
    assert "partly luck" in about["Best setting"], "why the grid's number is another"


def test_warnings_name_what_is_wrong_and_stay_silent_otherwise(tmp_path: Path) -> None:
    table = made.scores(problems=30)
    table.loc[table["sample"] < 3, ["score", "verdict"]] = [None, "timeout"]
    table.loc[table["sample"] == 4, ["score", "verdict", "answer_key"]] = [0.0, "unparsed", None]
    found = " ".join(words.warnings(results.of(made.run(tmp_path, table))[0]))
    for part in (
        "Only 30 problems",
        "hold nothing the grader could read",
        "540 timeout",
        "Unknown is not wrong",
    ):
        assert part in found
    low, high = (
        table["score"].fillna(unknown).groupby(table["budget"]).mean() for unknown in (0.0, 1.0)
    )
    said = re.search(r"one sample at (\S+)(?: tokens)? would solve ([\d.]+)% or ([\d.]+)%", found)
    assert said is not None
    at = int(said[1].replace(",", ""))
    assert [float(said[2]), float(said[3])] == pytest.approx(
        [100 * low[at], 100 * high[at]], abs=0.051
    )
    calm = made.scores(problems=600, samples=4).assign(forced=False)
    assert words.warnings(results.of(made.run(tmp_path / "calm", calm))[0]) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another folder with --out"):
        report.write(made.run(tmp_path), tmp_path / "file" / "report")


def test_a_page_of_two_models_speaks_of_both(tmp_path: Path) -> None:
    """Its subtitle told the first one's samples and budgets, over an empty section on both."""
    table = pd.concat([made.scores(6, 2, f"made/{k}", k) for k in range(2)])
    counted = [c for c in table if c.endswith("_tokens") or c == "flops"]
    table.loc[table["model"] == "made/1", counted] = None
    page = report.write(made.run(tmp_path, table)).read_text()
    assert "2 models, 6 problems: made/0, made/1." in page
    assert "The models together" not in page, "they have no cost in common"
