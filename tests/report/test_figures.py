"""Figures show their tables: the plotted data are read back from the drawn axes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.report import made
from testtime import report, style
from testtime.importers import Log, save
from testtime.report import chains, curves, grids, laws, results
from testtime.report import coverage as ceiling
from testtime.report.results import Results
from testtime.report.svg import inline, to_files
from testtime.style import Chart


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results.of(made.run(tmp_path_factory.mktemp("runs")))[0]


@pytest.fixture(autouse=True)
def _house() -> Iterator[None]:
    with style.context():
        yield


def line(chart: Chart, gid: str) -> np.ndarray:
    found = [entry for axes in chart.figure.axes for entry in axes.lines if entry.get_gid() == gid]
    assert len(found) == 1, f"{gid} is drawn {len(found)} times"
    return np.asarray(found[0].get_xydata())


def tiles(chart: Chart) -> dict[tuple[int, int], str]:
    return {
        (round(t.get_position()[0]), round(t.get_position()[1])): t.get_text()
        for t in chart.figure.axes[0].texts
    }


@pytest.mark.parametrize("axis", ["tokens", "flops"])
def test_accuracy_draws_every_cell(one: Results, axis: str) -> None:
    chart = curves.accuracy(one, axis)
    cells = one.run.cells[one.run.cells["selector"] == "majority"]
    assert sorted(cells["n"].unique()) == [1, 2, 4, 8]
    for n, rows in cells.groupby("n"):
        rows = rows.sort_values(axis)
        np.testing.assert_allclose(line(chart, f"n{n}.0"), rows[[axis, "value"]].to_numpy(float))
        assert len(chart.tips[f"n{n}.0"]) == len(rows)
    np.testing.assert_array_equal(chart.table["value"], cells["value"])


def test_the_frontier_of_the_figure_is_no_worse_than_any_cell_that_is_cheaper(
    one: Results,
) -> None:
    frontier = line(curves.accuracy(one, "tokens"), "frontier")
    cells = one.run.cells[one.run.cells["selector"] == "majority"]
    for cost, value in frontier:
        assert value == pytest.approx(cells.loc[cells["tokens"] <= cost * 1.0001, "value"].max())


def test_heat_map_writes_the_percentages(one: Results) -> None:
    for selector in ("majority", "oracle"):
        chart = grids.heat_map(one, selector)
        shown = tiles(chart)
        for row in chart.table.to_dict("records"):
            place = (made.BUDGETS.index(row["budget"]), [1, 2, 4, 8].index(row["n"]))
            assert float(shown[place]) == pytest.approx(
                100 * row["value"], abs=0.51 if row["value"] >= 0.0995 else 0.051
            )


def test_longer_or_more_writes_the_differences(one: Results) -> None:
    chart = grids.longer_or_more(one, "tokens")
    assert chart is not None and (chart.table["n"] > 1).all()
    shown = list(tiles(chart).values())
    assert sorted(shown) == sorted(f"{100 * d:+.1f}" for d in chart.table["difference"])


def test_coverage_and_difficulty_draw_their_tables(one: Results) -> None:
    chart = ceiling.coverage(one)
    assert chart is not None
    top = one.run.cells[(one.run.cells["budget"] == 1024) & (one.run.cells["selector"] == "oracle")]
    np.testing.assert_allclose(
        line(chart, "oracle"), top.sort_values("n")[["n", "value"]].to_numpy(float)
    )
    chart = ceiling.by_difficulty(one)
    assert chart is not None
    for number in range(1, 6):
        drawn = line(chart, f"bin{number}.0")[:, 1]
        table = chart.table[chart.table["difficulty"] == number].sort_values("budget")
        np.testing.assert_allclose(drawn, table["value"])
    assert line(chart, "bin1.0")[-1, 1] > line(chart, "bin5.0")[-1, 1]


def test_a_budget_without_cells_in_a_half_of_the_samples_leaves_the_bins_out(
    tmp_path: Path,
) -> None:
    table = made.scores(problems=20, samples=2).query("budget in (64, 128)")
    for problem, sample in (("made/0", 0), ("made/1", 1)):
        at = (
            (table["problem_id"] == problem)
            & (table["sample"] == sample)
            & (table["budget"] == 128)
        )
        table.loc[at, ["score", "verdict"]] = [None, "timeout"]
    found = results.of(made.run(tmp_path, table))[0]
    assert found.levels == [("", 64.0), ("", 128.0)]
    assert (
        ceiling.by_difficulty(found) is None
        and "half of the samples" in found.left_out["by difficulty"]
    )


def test_coverage_leaves_out_a_selector_without_values_at_the_largest_budget(
    tmp_path: Path,
) -> None:
    table = made.scores(problems=20, samples=4)
    table["reward"] = table["score"].where(table["budget"] < 1024)
    log = Log("made", "test", [], table, {})
    found = results.of(save(log, tmp_path, ["majority", "oracle", "best:reward"]))[0]
    chart = ceiling.coverage(found)
    assert chart is not None and set(chart.table["selector"]) == {"majority", "oracle"}


def test_without_votes_a_verifier_is_set_against_one_sample(tmp_path: Path) -> None:
    """It said "would gain 0 points" over a curve that rises from 66 to 85 %."""
    table = made.scores(problems=20, samples=4).drop(columns="answer_key")
    (one,) = results.of(save(Log("made", "test", [], table, {}), tmp_path, ["oracle"]))
    chart = ceiling.coverage(one)
    assert chart is not None
    line = chart.table.sort_values("n")["value"]
    gain = 100 * (line.iloc[-1] - line.iloc[0])
    assert gain > 1 and f"gain {gain:.0f} points at n = 4 over one sample" in chart.title


def test_chain_figures_agree_with_the_scores(one: Results) -> None:
    chart = chains.lengths(one)
    assert chart is not None
    natural = one.scores[(one.scores["budget"] == 1024) & ~one.scores["forced"]]
    assert chart.table["chains"].sum() == len(natural)
    forced = chains.forced_share(one)
    assert forced is not None
    expected = one.scores.groupby("budget")["forced"].mean()
    np.testing.assert_allclose(forced.table["forced_share"], expected)
    bars = [b.get_height() for b in forced.figure.axes[0].patches]
    np.testing.assert_allclose(bars, expected)
    verdicts = chains.verdicts(one)
    assert verdicts is not None
    np.testing.assert_allclose(verdicts.table[["correct", "wrong", "unparsed"]].sum(axis=1), 1.0)
    both = chains.forced_accuracy(one)
    assert both is not None
    row = both.table[(both.table["level"] == "256") & (both.table["answers"] == "forced")].iloc[0]
    part = one.scores[(one.scores["budget"] == 256) & one.scores["forced"]]
    assert row["value"] == pytest.approx(part["score"].mean()) and row["count"] == len(part)
    assert row["lo"] < row["value"] < row["hi"]


@pytest.mark.parametrize("names", [["turn=0", "turn=1", "turn=4"], ["a very long name", "b" * 18]])
def test_names_under_an_axis_never_collide(tmp_path: Path, names: list[str]) -> None:
    import pandas as pd

    each = made.scores(problems=20, samples=4)
    table = pd.concat([each.assign(setting=name) for name in names])
    (one,) = results.of(made.run(tmp_path, table))
    boards = [grids.heat_map(one, "majority"), grids.longer_or_more(one, "tokens")]
    drawn = [chains.forced_share(one), chains.verdicts(one), *boards]
    for chart in drawn:
        assert chart is not None
        style.freeze(chart.figure)
        (axes,) = chart.figure.axes
        ticks = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True), axes.xaxis.label]
        ticks += [t for t in axes.texts if t.get_position()[0] < len(one.levels) - 0.5]  # in tiles
        boxes = [t.get_tightbbox() for t in ticks if t.get_text()]
        assert len(boxes) >= 3 + len(names)
        slanted = any(t.get_rotation() % 90 for t in ticks)
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                assert slanted or not a.overlaps(b), [t.get_text() for t in ticks]


def test_a_budgets_name_lies_on_no_line(one: Results) -> None:
    chart = curves.accuracy(one, "tokens")
    (axes,) = chart.figure.axes
    named = [t for t in axes.texts if t.get_color() == style.MUTED]
    assert len(named) >= 4
    for text in named:
        box = text.get_tightbbox()
        for drawn in axes.lines:
            for (x0, y0), (x1, y1) in pairwise(axes.transData.transform(drawn.get_xydata())):
                for t in np.linspace(0, 1, 50):
                    x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
                    assert not box.contains(x, y), f"{text.get_text()} on {drawn.get_gid()}"


def test_a_line_joins_the_budgets_of_one_setting(tmp_path: Path) -> None:
    import pandas as pd

    each = made.scores(problems=20, samples=4)
    table = pd.concat([each.assign(setting=name) for name in ("turn=0", "turn=1")])
    (one,) = results.of(made.run(tmp_path, table))
    fifths, kinds = ceiling.by_difficulty(one), chains.forced_accuracy(one)
    assert fifths is not None and kinds is not None
    places = range(len(made.BUDGETS))
    np.testing.assert_array_equal(line(fifths, "bin1.0")[:, 0], places)
    np.testing.assert_array_equal(line(fifths, "bin1.1")[:, 0], [6 + at for at in places])
    assert set(kinds.tips) == {"forced.0", "forced.1", "natural.0", "natural.1"}


def test_a_law_is_drawn_only_where_one_is_supported(one: Results) -> None:
    study = laws.fitted(one, "tokens")
    assert study is not None and study.best is not None
    chart = curves.accuracy(one, "tokens", laws.drawn(study))
    gids = {entry.get_gid() for entry in chart.figure.axes[0].lines}
    assert ("law" in gids) == study.supported
    assert ("law" in gids) == (not laws.warnings(study))


def test_inline_svg_has_unique_ids_page_colours_and_tips(one: Results, tmp_path: Path) -> None:
    chart = curves.accuracy(one, "tokens")
    svg = inline(chart, to_files(chart, tmp_path), "a-b")
    root = ET.fromstring(svg)
    ids = [str(e.get("id")) for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids)) and all(i.startswith("a-b-") for i in ids)
    referred = re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg)
    assert referred and set(referred) <= set(ids)
    assert not re.search("|".join(style.RAMP), svg, re.IGNORECASE), (
        "a colour of the ramp was left as it is"
    )
    titles = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sum("95% interval" in (t or "") for t in titles) == 4 * len(made.BUDGETS)
    for suffix in ("png", "svg", "pdf", "csv"):
        assert (tmp_path / f"{chart.name}.{suffix}").stat().st_size > 500


def test_several_models_are_drawn_at_their_frontiers(tmp_path: Path) -> None:
    runs = [made.run(tmp_path, made.scores(model=f"made/{k}", seed=k)) for k in range(2)]
    both = [e for run in runs for e in results.of(run)]
    chart = curves.models(both, "tokens")
    for index, one in enumerate(both):
        table = chart.table[chart.table["model"] == one.model]
        np.testing.assert_allclose(
            line(chart, f"model{index}"), table[["cost", "out_of_bag"]].to_numpy(float)
        )


def test_a_line_joins_budgets_in_their_order_however_dear_they_are(tmp_path: Path) -> None:
    table = made.scores(problems=30, samples=4)
    dear = {0: 5.0, 64: 1.0, 128: 2.0, 256: 3.0, 512: 4.0, 1024: 6.0}  # a cut chain costs more
    table["usd"] = table["budget"].map(dear) / 1e6
    one = results.of(made.run(tmp_path, table))[0]
    chart = curves.accuracy(one, "usd")
    drawn = line(chart, "n1.0")
    np.testing.assert_allclose(drawn[:, 0], [dear[b] / 1e3 for b in made.BUDGETS])
    assert "per 1,000 problems" in chart.figure.axes[0].get_xlabel()
    badge = next(t for t in chart.figure.axes[0].texts if t.get_text() == "1")
    np.testing.assert_allclose(badge.xy, drawn[-1])
    assert chart.tips["n1.0"][0].startswith("budget 0 tokens")


def test_a_tile_keeps_the_colour_that_stands_for_its_number(one: Results, tmp_path: Path) -> None:
    """A colour of the map may happen to be one of the palette, which changes at night."""
    chart = grids.heat_map(one, "majority")
    tile = chart.figure.axes[0].patches[3]
    tile.set_facecolor(style.RAMP[2])
    svg = inline(chart, to_files(chart, tmp_path), "x")
    root = ET.fromstring(svg)
    group = next(e for e in root.iter() if e.get("id") == f"x-{tile.get_gid()}")
    path = next(e for e in group.iter() if e.get("style"))
    assert f"fill: {style.RAMP[2]}" in path.get("style", "") and path.get("class") is None
    label = next(e for e in root.iter() if "samples n" in (e.text or ""))
    assert "f-muted" in label.get("class", "")


def test_names_never_break_a_figure_or_a_page(tmp_path: Path) -> None:
    from testtime.compare.comparison import compare
    from testtime.compare.text import describe
    from testtime.report.comparison import figure

    name = "$\\frac$\x00<b>\x1b[2J"
    table = made.scores(problems=6, samples=2).assign(model=name)
    page = report.write(made.run(tmp_path, table), tmp_path / "report")
    assert "\x00" not in page.read_text() and "<b>\ufffd" not in page.read_text()
    compared = compare({"a": table, "b": table.assign(model="$x")}, resamples=100)
    figure(compared, tmp_path / "c.png")
    assert "\x1b" not in describe(compared) and (tmp_path / "c.png").stat().st_size > 10_000
