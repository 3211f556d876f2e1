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
    assert len(boxes) >= 11
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
    for axis in ("flops", "usd", "seconds", "tokens"):
        page.locator(f"input[name='axis-quickstart'][value='{axis}']").check(force=True)
        assert page.locator(f"figure[data-chart='accuracy-{axis}'] svg").is_visible()
    assert page.locator(".list button").count() == 24
    page.locator("input[type=search]").fill("48 - 56 - 47")
    assert page.locator(".list button").count() == 1
    assert said == []
    page.close()


def test_the_switches_and_the_search_work_with_the_keyboard(chromium: Any, page_file: Path) -> None:
    page, said, _ = opened(chromium, page_file, 1280)
    shown = (
        "Array.from(document.querySelectorAll('figure')).filter(f => "
        "f.checkVisibility()).map(f => f.dataset.chart)"
    )
    assert "accuracy-tokens" in page.evaluate(shown) and "accuracy-flops" not in page.evaluate(
        shown
    )
    page.locator("input[name='axis-made-model'][value='tokens']").focus()
    page.keyboard.press("ArrowRight")
    assert "accuracy-flops" in page.evaluate(shown) and "accuracy-tokens" not in page.evaluate(
        shown
    )
    page.locator("input[name='model'][value='made-other']").check(force=True)
    assert not page.locator("[data-of='model'][data-value='made-model']").is_visible()
    page.locator("input[name='model'][value='made-model']").check(force=True)

    browser = page.locator("[data-value='made-model'] .browser")
    assert browser.locator(".list button").count() == 40
    browser.locator("input[type=search]").fill("made/17?")
    assert browser.locator(".list button").count() == 1
    assert "What is the answer to made/17?" in browser.locator(".detail").inner_text()
    browser.locator("input[type=search]").fill("no such thing")
    assert "No problem matches" in browser.locator(".detail").inner_text()
    browser.locator("input[type=search]").fill("")
    before = browser.locator(".detail").inner_text()
    browser.locator(".list button").first.focus()
    page.keyboard.press("ArrowDown")
    assert browser.locator(".detail").inner_text() != before
    assert said == []
    page.close()


def test_hostile_texts_are_shown_and_never_run(chromium: Any, tmp_path: Path) -> None:
    file = hostile_run(tmp_path)
    page, said, asked = opened(chromium, file, 1280)
    for button in page.locator(".list button").all():
        button.click()
    assert page.evaluate("window.hacked") is None
    assert page.locator(".detail img, .detail svg, .detail script").count() == 0
    page.locator("input[type=search]").fill("window.hacked = 1")
    assert "<script>window.hacked = 1</script>" in page.locator(".detail").inner_text()
    assert said == [] and asked == [file.as_uri()]
    page.close()
