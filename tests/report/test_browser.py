"""The page in headless Chromium: no errors, no requests, every figure drawn, switches and search
work.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import testtime
from tests.report import made
from tests.report.test_leaderboard import many
from tests.report.test_page import hostile_run
from testtime import report

pytestmark = pytest.mark.slow
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright's Python package is not installed"
    )
    path = next(
        (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
    )
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    table = made.scores()
    table["text"] = "It is " + table["answer_key"].fillna("")
    table["thinking"] = "Let me think about " + table["problem_id"]
    names = table["problem_id"].unique()
    problems = {name: (f"What is the answer to {name}?", "right") for name in names}
    runs = [
        made.run(folder, table, problems),
        made.run(folder, made.scores(model="made/other", seed=1), problems),
    ]
    return report.write(runs)


@pytest.fixture(scope="module")
def quickstart_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's own report, drawn small, with every axis."""
    small = [
        "task.limit=24",
        "samples=8",
        "engine=transformers",
        f"out={tmp_path_factory.mktemp('runs')}",
    ]
    costs = ["price={input: 1, output: 4}", "rates={concurrency: 64, prefill: 50000, decode: 9000}"]
    config = Path(__file__).resolve().parents[2] / "configs" / "quickstart.yaml"
    (run,) = testtime.run(config, [*small, *costs])
    return run.path / "report" / "index.html"


def opened(
    browser: Any, file: Path, width: int, scheme: str = "light"
) -> tuple[Any, list[str], list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    return page, said, asked


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["page_file", "quickstart_file"])
def test_every_figure_is_drawn_inside_the_window(
    chromium: Any, which: str, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    file = request.getfixturevalue(which)
    page, said, asked = opened(chromium, file, width, scheme)
    boxes = page.evaluate(
        "Array.from(document.querySelectorAll('figure svg')).filter(s => "
        "s.checkVisibility()).map(s => { const r ="
        " s.getBoundingClientRect(); return [r.left, r.right, r.height, s.querySelectorAll('path, "
        "use,"
        " text').length] })"
    )
    assert len(boxes) >= 10
    assert all(
        left >= 0 and right <= width + 1 and height > 100 and parts > 20
        for left, right, height, parts in boxes
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    smallest = page.evaluate(
        "Math.min(...Array.from(document.querySelectorAll('figure svg text')).filter(t => "
        "t.checkVisibility())"
        ".map(t => t.getScreenCTM().a * parseFloat(getComputedStyle(t).fontSize)).filter(size => "
        "size > 0))"
    )
    assert smallest > 5.5, "labels stay legible on a phone"
    assert said == [] and asked == [file.as_uri()]
    page.close()


def test_the_quickstarts_axes_and_search_work(chromium: Any, quickstart_file: Path) -> None:
    page, said, _ = opened(chromium, quickstart_file, 390)
    for axis in ("tokens", "usd", "seconds", "flops"):
        page.locator(f"input[name='axis-quickstart'][value='{axis}']").check(force=True)
        assert page.locator(f"figure[data-chart='accuracy-{axis}'] svg").is_visible()
    browser = page.locator(".browser[data-model]")
    assert browser.locator(".list button").count() == 24
    browser.locator("input[type=search]").fill("48 - 56 - 47")
    page.wait_for_function("document.querySelectorAll('[data-model] .list button').length === 1")
    assert said == []
    page.close()


def test_the_switches_and_the_search_work_with_the_keyboard(chromium: Any, page_file: Path) -> None:
    page, said, _ = opened(chromium, page_file, 1280)
    shown = (
        "Array.from(document.querySelectorAll('figure')).filter(f => "
        "f.checkVisibility()).map(f => f.dataset.chart)"
    )
    assert "accuracy-flops" in page.evaluate(shown) and "accuracy-tokens" not in page.evaluate(
        shown
    )
    page.locator("input[name='axis-made-model'][value='flops']").focus()
    page.keyboard.press("ArrowRight")
    assert "accuracy-tokens" in page.evaluate(shown) and "accuracy-flops" not in page.evaluate(
        shown
    )
    page.locator("input[name='model'][value='made-other']").check(force=True)
    assert not page.locator("[data-of='model'][data-value='made-model']").is_visible()
    page.locator("input[name='model'][value='made-model']").check(force=True)

    browser = page.locator("[data-value='made-model'] .browser")
    assert browser.locator(".list button").count() == 40
    browser.locator("input[type=search]").fill("made/17?")
    browser.locator(".detail", has_text="What is the answer to made/17?").wait_for()
    assert browser.locator(".list button").count() == 1
    browser.locator("input[type=search]").fill("no such thing")
    browser.locator(".detail", has_text="No problem matches").wait_for()
    browser.locator("input[type=search]").fill("")
    browser.locator(".list button").nth(39).wait_for()
    before = browser.locator(".detail").inner_text()
    browser.locator(".list button").first.focus()
    page.keyboard.press("ArrowDown")
    assert browser.locator(".detail").inner_text() != before
    assert said == []
    page.close()


def test_a_press_on_a_heading_sorts_by_number(chromium: Any, page_file: Path) -> None:
    page, said, _ = opened(chromium, page_file, 1280)
    board = page.locator("#leaderboard table")
    column = "rows => rows.map(r => r.cells[{}].textContent)"
    tokens = [h.inner_text() for h in board.locator("th").all()].index("tokens")
    keys = f"rows => rows.map(r => Number(r.cells[{tokens}].dataset.sort))"
    rows = board.locator("tbody tr")
    board.locator("th button", has_text="tokens").first.click()
    down = rows.evaluate_all(keys)
    assert down == sorted(down, reverse=True) and len(set(down)) > 4
    assert board.locator("th[aria-sort='descending']").count() == 1
    board.locator("th button", has_text="tokens").first.press("Enter")
    assert rows.evaluate_all(keys) == sorted(down)
    board.locator("th button", has_text="model").click()
    names = rows.evaluate_all(column.format(0))
    assert names == sorted(names)
    page.locator("#leaderboard .filter").fill("other")
    assert set(board.locator("tbody tr:visible td:first-child").all_inner_texts()) == {"made/other"}
    assert said == []
    page.close()


def test_the_nearest_point_says_what_it_is(chromium: Any, page_file: Path) -> None:
    page, said, _ = opened(chromium, page_file, 1280)
    figure = page.locator("figure[data-chart='accuracy-flops']").first
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg .mark").nth(3).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 2, box["y"] + box["height"] / 2 + 1)
    told = page.locator(".tip").inner_text()
    assert "95% interval" in told and "FLOPs a problem" in told and "budget" in told
    page.mouse.move(2, 2)
    assert not page.locator(".tip").is_visible()
    assert said == []
    page.close()


def test_the_address_holds_model_axis_and_problem(chromium: Any, page_file: Path) -> None:
    page, _, _ = opened(chromium, page_file, 1280)
    page.locator("input[name='axis-made-model'][value='tokens']").check(force=True)
    shown = page.locator("[data-value='made-model'] .browser")
    shown.locator(".list button").nth(5).click()
    told, address = shown.locator(".detail h3").first.inner_text(), page.url
    page.locator("input[name='model'][value='made-other']").check(force=True)
    other = page.url
    page.close()
    again = chromium.new_page()
    again.goto(address)
    part = again.locator("[data-value='made-model']").first
    assert part.locator("figure[data-chart='accuracy-tokens']").is_visible()
    assert part.locator(".browser .detail h3").first.inner_text() == told
    again.goto(other)  # only the part after the # differs, so nothing is loaded again
    assert again.locator("[data-of='model'][data-value='made-other']").is_visible()
    assert not part.is_visible()
    again.close()


def test_filters_and_steps_of_the_problems(chromium: Any, page_file: Path) -> None:
    page, said, _ = opened(chromium, page_file, 1280)
    browser = page.locator("[data-value='made-model'] .browser")
    first = browser.locator(".detail h3").first.inner_text()
    browser.locator(".step[data-step='1']").click()
    assert browser.locator(".detail h3").first.inner_text() != first
    browser.locator(".step[data-step='-1']").click()
    assert browser.locator(".detail h3").first.inner_text() == first
    which, verdict = (browser.locator(f"select.{name}") for name in ("which", "verdict"))
    which.select_option("every")
    solved = browser.locator(".list small").all_inner_texts()
    assert solved and all(text.startswith("100% right") for text in solved)
    which.select_option("all")
    verdict.select_option("u")
    assert 0 < browser.locator(".list button").count() < 40
    assert browser.locator(".detail .strip .unparsed").count() > 0
    verdict.select_option("c")
    anywhere = browser.locator(".list button").count()
    browser.locator("select.level").select_option("0")
    assert 0 < browser.locator(".list button").count() < anywhere, "without thinking alone"
    verdict.select_option("")
    which.select_option("changed")
    assert browser.locator(".list button").count() > 0
    assert browser.locator(".detail .strip td:nth-child(2)").first.get_attribute("aria-label")
    assert said == []
    page.close()


def test_the_legend_hides_a_series_and_arrow_keys_read_the_rest(
    chromium: Any, page_file: Path
) -> None:
    page, said, _ = opened(chromium, page_file, 1280)
    figure = page.locator("figure[data-chart='accuracy-flops']").first
    button = figure.locator(".legend button", has_text="8 samples")
    line = figure.locator("svg [id$='-n8.0'], svg [id$='-n8.0.band'], svg [id$='-n8.0.badge']")
    assert line.count() == 3 and line.first.is_visible()
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false" and not line.first.is_visible()
    figure.locator("svg").focus()
    points = set()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
        points.add(page.locator(".tip").inner_text())
    assert len(points) > 5 and all("95% interval" in text for text in points)
    assert not any("8 samples" in text or "n = 8" in text for text in points)
    page.keyboard.press("Escape")
    assert not page.locator(".tip").is_visible()
    button.click()
    assert line.first.is_visible() and said == []
    page.close()


def test_two_settings_are_set_against_each_other(chromium: Any, page_file: Path) -> None:
    page, said, _ = opened(chromium, page_file, 1280)
    part = page.locator("#differences")
    part.locator("select.a").select_option(label="made/model, budget 64, one sample")
    part.locator("select.b").select_option(label="made/model, budget 1,024, one sample")
    table = made.scores()
    rates = table.groupby(["budget", "problem_id"])["score"].mean().unstack(0)
    gain = 100 * (rates[1024] - rates[64]).mean()
    assert f"Difference +{gain:.1f} points [+" in part.locator(".verdict-of-pair").inner_text()
    apart = ((rates[1024] >= 0.5) & (rates[64] < 0.5)).sum()
    part.locator("select.which").select_option("b")
    assert part.locator(".list button").count() == apart > 2
    first = part.locator(".detail h3").first.inner_text()
    part.locator(".step[data-step='1']").click()
    second = part.locator(".detail h3").first.inner_text()
    assert second != first and part.locator(".sides .correct").count() > 0
    address = page.url
    part.locator("a", has_text="Read its samples").nth(1).click()
    shown = page.locator("[data-value='made-model'] .browser")
    shown.locator(".detail h3", has_text=second).first.wait_for()
    page.close()
    again, _, _ = opened(chromium, page_file, 390, "dark")
    again.goto(address)
    again.reload()
    assert again.locator("#differences .detail h3").first.inner_text() == second
    assert again.evaluate("document.documentElement.scrollWidth") <= 390 and said == []
    again.close()


def test_texts_beyond_one_file_lie_beside_it_and_are_loaded_when_read(
    chromium: Any, tmp_path: Path
) -> None:
    table = made.scores(problems=30, samples=4)
    table["text"] = "It is " + table["answer_key"].fillna("")
    table["thinking"] = [f"Thought {i}. " + "</script> so " * 500 for i in range(len(table))]
    file = report.write(made.run(tmp_path, table))
    parts = sorted((file.parent / "data").glob("*.js"))
    assert len(parts) > 1 and file.stat().st_size < 3_000_000
    assert "'strict-dynamic'" in file.read_text(encoding="utf-8")
    page, said, asked = opened(chromium, file, 1280)
    browser = page.locator(".browser[data-model]")
    browser.locator(".detail .text", has_text="Thought").first.wait_for()
    loaded = [url for url in asked if url.endswith(".js")]
    assert 0 < len(loaded) < len(parts), "one problem is read, not all"
    browser.locator("input[type=search]").fill("thought 719.")
    browser.locator(".count", has_text="1 of 30").wait_for()
    assert len({url for url in asked if url.endswith(".js")}) == len(parts)
    assert all(url.startswith("file:") for url in asked) and said == []
    page.close()
    parts[0].unlink()
    page, _, _ = opened(chromium, file, 1280)
    page.locator(".detail", has_text="is not beside this page").first.wait_for()
    page.close()
    report.write(made.run(tmp_path / "small"), file.parent)
    assert not list((file.parent / "data").glob("*.js")), "no old data"


@pytest.mark.parametrize("width", [1600, 390])
def test_many_models_lead_with_their_leaderboard(chromium: Any, width: int, tmp_path: Path) -> None:
    file = report.write(many(tmp_path, 30))
    page, said, asked = opened(chromium, file, width, "dark")
    assert page.locator("#leaderboard svg").is_visible()
    assert page.locator("#leaderboard tbody tr").count() == 90
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert asked == [file.as_uri()], "details are not loaded before they are asked for"
    name = page.locator("#leaderboard tbody a").first.inner_text()
    page.locator("#leaderboard tbody a").first.click()
    assert page.locator("h1").inner_text() == name and "Best setting" in page.content()
    page.locator(".kicker a").click()
    assert page.locator("#leaderboard").is_visible() and said == []
    page.close()


def test_hostile_texts_are_shown_and_never_run(chromium: Any, tmp_path: Path) -> None:
    file = hostile_run(tmp_path)
    page, said, asked = opened(chromium, file, 1280)
    for button in page.locator(".list button").all():
        button.click()
    assert page.evaluate("window.hacked") is None
    assert page.locator(".detail img, .detail svg, .detail script").count() == 0
    page.locator("input[type=search]").fill("window.hacked = 1")
    shown = page.locator(".browser[data-model] .detail")
    shown.locator(".question", has_text="<script>window.hacked = 1</script>").wait_for()
    assert said == [] and asked == [file.as_uri()]
    page.close()


def test_a_tools_result_stands_in_its_chain_closed_until_it_is_opened(
    chromium: Any, tmp_path: Path
) -> None:
    config = Path(__file__).resolve().parents[2] / "configs" / "tools.yaml"
    small = ["task.limit=6", "samples=2", "engine=transformers", "rates=null", f"out={tmp_path}"]
    (run,) = testtime.run(config, small)
    page, said, _ = opened(chromium, run.path / "report" / "index.html", 1280)
    results = page.locator(".detail details.result")
    for button in page.locator(".list button").all():
        button.click()
        if results.count():
            break
    first = results.first
    assert "lookup, ok, " in str(first.text_content()) and first.get_attribute("open") is None
    assert "<tool_response>" in str(first.text_content())
    assert "tool calls a sample" in page.content() and not said
