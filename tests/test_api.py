"""What `import testtime` offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import testtime
from tests.report import made
from testtime.errors import UserError


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, testtime; print(sorted(m for m in sys.modules if m.startswith('testtime.') or m in ('pandas', 'numpy')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_rooms_are_packages_and_may_be_called() -> None:
    import testtime.compare.comparison
    import testtime.laws.study

    assert callable(testtime.compare) and callable(testtime.laws) and callable(testtime.report)
    assert testtime.laws.study.testtime and testtime.__version__.count(".") >= 1
    with pytest.raises(AttributeError, match="no attribute 'lwas'"):
        testtime.lwas  # noqa: B018


def test_a_run_shows_itself_and_is_compared(tmp_path: Path) -> None:
    run = testtime.load(made.run(tmp_path, made.scores(20, 4)).path)
    assert "<th>model</th>" in run._repr_html_() and "made/model" in run._repr_html_()
    assert run.plot().axes[0].get_xlabel().startswith("FLOPs")
    with pytest.raises(UserError, match="axis usd is not known here; there are flops"):
        run.plot("usd")
    found = testtime.compare(run, bins=0, resamples=200)
    assert "Recommended settings" in str(found) and "<pre>" in found._repr_html_()
    found.figure(tmp_path / "compared.png")
    assert (tmp_path / "compared.png").stat().st_size > 10_000


def test_laws_of_a_table() -> None:
    found = testtime.laws(made.scores(20, 4), axis="budget")
    assert found.curves and "test-time curves from the table" in found.report()


def test_several_models_are_drawn_together(tmp_path: Path) -> None:
    import pandas as pd

    both = pd.concat([made.scores(10, 2, m, s) for s, m in enumerate(("a/one", "b/two"))])
    run = testtime.load(made.run(tmp_path, both).path)
    said = {text.get_text() for text in run.plot().axes[0].texts}
    assert any("one" in text for text in said) and any("two" in text for text in said)
